"""The benchmark's sections; each returns rows of the table."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch.utils.flop_counter import FlopCounterMode

from brain_tumor.data import phantom
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.sources import LggDataModule
from brain_tumor.models import features
from brain_tumor.models.classifier import Classifier
from brain_tumor.speed import loops, process
from brain_tumor.speed.measure import Row, alone, compare, interleave
from brain_tumor.speed.plain import PlainLoop


@dataclass
class Bench:
    """What the sections share.

    Attributes:
        data: set up.
        build: makes a model from a name of `models` and a strategy.
        models: names of models.
        precision: Lightning's name, resolved.
        device: to measure on.
        trainer: the arguments of `lightning.Trainer` that say on what to train and how.
        arguments: makes overrides that train the same model on the same data as `build` does in this process.
        repeats: how often each side is measured.
        batches: training batches a measurement.
        epochs: length of a whole experiment.
        full: measure the plain loop's whole frozen experiment instead of extrapolating it.
        target: test accuracy to be reached.
    """

    data: SliceDataModule
    build: Callable[[str, str], Classifier]
    models: list[str]
    precision: str
    device: torch.device
    trainer: dict[str, Any]
    arguments: Callable[[str, str], list[str]]
    repeats: int
    batches: int
    epochs: int
    full: bool
    target: float


@contextmanager
def _features(bench: Bench, model: Classifier, folder: Path) -> Iterator[None]:
    """Give the data module the frozen model's features, kept in `folder`, for a while."""
    home, bench.data.cache_dir = bench.data.cache_dir, folder
    bench.data.features = features.cached(model, bench.data, bench.precision, bench.device)
    try:
        yield
    finally:
        bench.data.cache_dir, bench.data.features = home, None


def training(bench: Bench) -> Iterator[Row]:
    """Images per second of training and test, what the framework costs, and how near the hardware's limit that is."""
    yield alone("matrix product, peak", "TFLOP/s", [loops.peak(bench.precision, bench.device) / 1e12])
    for name in bench.models:
        yield from _finetuned(bench, name)
        yield from _frozen(bench, name)


def _finetuned(bench: Bench, name: str) -> list[Row]:
    data, device, batches = bench.data, bench.device, bench.batches
    plain, model = PlainLoop(bench.build(name, "finetune"), data, device), bench.build(name, "finetune")
    speeds = interleave(
        {
            "plain": lambda: _rate(lambda: plain.train(batches), device),
            "ours": lambda: loops.framework(model, data, bench.trainer, batches),
            "by hand": lambda: loops.by_hand(model, data, bench.precision, device, batches),
            **_tests(bench, plain, model),
        },
        bench.repeats,
    )
    used = [_flops(model, data, device) * speed / loops.peak(bench.precision, device) for speed in speeds["ours"]]
    theirs, ours = (_experiment(bench, speeds[side], speeds[f"{side} test"]) for side in ("plain", "ours"))
    return [
        compare(f"{name} fine-tune, training", "images/s", speeds["plain"], speeds["ours"]),
        compare(f"{name}, test", "images/s", speeds["plain test"], speeds["ours test"]),
        alone(f"{name} fine-tune, share of the peak", "%", [100 * share for share in used]),
        _overhead(f"{name} fine-tune, framework over hand-written loop", speeds["by hand"], speeds["ours"]),
        compare(
            f"{name} fine-tune, {bench.epochs} epochs", "s", theirs, ours, "both extrapolated from the speeds above"
        ),
    ]


def _tests(bench: Bench, plain: PlainLoop, model: Classifier) -> dict[str, Callable[[], float]]:
    return {
        "plain test": lambda: _rate(lambda: plain.test(bench.batches)[0], bench.device),
        "ours test": lambda: loops.evaluation(model, bench.data, bench.precision, bench.device, 128),
    }


def _experiment(bench: Bench, training: list[float], test: list[float]) -> list[float]:
    """Extrapolate whole experiments, in seconds, from images per second."""
    rows = bench.data.rows
    pairs = zip(training, test, strict=True)
    return [bench.epochs * (len(rows["train"]) / fit + len(rows["test"]) / score) for fit, score in pairs]


def _frozen(bench: Bench, name: str) -> list[Row]:
    data, device = bench.data, bench.device
    plain, model = PlainLoop(bench.build(name, "freeze"), data, device), bench.build(name, "freeze")
    with tempfile.TemporaryDirectory() as folder, _features(bench, model, Path(folder)):
        epoch = len(data.train_dataloader()) - loops.WARM
        speeds = interleave(
            {
                "plain": lambda: _rate(lambda: plain.train(bench.batches), device),
                "plain test": lambda: _rate(lambda: plain.test(bench.batches)[0], device),
                "ours": lambda: loops.framework(model, data, bench.trainer, epoch),
                "by hand": lambda: loops.by_hand(model, data, bench.precision, device, epoch),
            },
            bench.repeats,
        )
    with tempfile.TemporaryDirectory() as folder:
        empty = [f"cache_dir={folder}/cache", f"trainer.max_epochs={bench.epochs}"]
        seconds, memory = process.whole([*bench.arguments(name, "freeze"), *empty], Path(folder) / "outputs")
    if bench.full:
        theirs = [_seconds(lambda: [(plain.train(), plain.test()) for _ in range(bench.epochs)], device)]
    else:
        theirs = _experiment(bench, speeds["plain"], speeds["plain test"])
    note = "ours: a whole process from empty caches; plain: " + ("measured" if bench.full else "extrapolated")
    return [
        compare(f"{name} frozen, training once features are there", "images/s", speeds["plain"], speeds["ours"]),
        _overhead(f"{name} frozen, framework over hand-written loop", speeds["by hand"], speeds["ours"]),
        compare(f"{name} frozen, {bench.epochs} epochs", "s", theirs, [seconds] * len(theirs), note),
        alone(f"{name} frozen, peak resident memory", "GiB", [memory / 2**30]),
    ]


def _overhead(what: str, by_hand: list[float], ours: list[float]) -> Row:
    shares = [100 * (hand / framework - 1) for hand, framework in zip(by_hand, ours, strict=True)]
    return alone(what, "% more time", shares)


def loading(bench: Bench) -> list[Row]:
    """Images per second of the loaders alone, ready for the network."""
    plain = PlainLoop(bench.build(bench.models[0], "finetune"), bench.data, bench.device).loaders["train"]

    def theirs() -> int:
        return sum(len(labels) for _, (_, labels) in zip(range(bench.batches), plain, strict=False))

    def ours() -> int:
        seen = 0
        for rows in bench.data.train_dataloader():
            moved = [tensor.to(bench.device) for tensor in bench.data.on_before_batch_transfer(rows, 0)]
            seen += len(bench.data.on_after_batch_transfer(tuple(moved), 0).inputs)
        return seen

    device = bench.device
    speeds = interleave({"plain": lambda: _rate(theirs, device), "ours": lambda: _rate(ours, device)}, bench.repeats)
    return [compare("loader alone", "images/s", speeds["plain"], speeds["ours"])]


def start(bench: Bench) -> list[Row]:
    """Seconds from starting the command to its first training step, and the peak memory of an epoch."""
    rows = []
    for name in bench.models:
        arguments = bench.arguments(name, "finetune")
        seconds = []
        for _ in range(bench.repeats):
            with tempfile.TemporaryDirectory() as folder:
                seconds.append(process.to_first_step(arguments, Path(folder)))
        rows.append(alone(f"{name} fine-tune, start to first step, decoded data", "s", seconds))
        with tempfile.TemporaryDirectory() as folder:
            limits = [f"+trainer.limit_train_batches={bench.batches}", "trainer.max_epochs=1"]
            _, memory = process.whole([*arguments, *limits], Path(folder))
        rows.append(alone(f"{name} fine-tune, peak resident memory", "GiB", [memory / 2**30]))
    return rows


def accuracy(bench: Bench) -> list[Row]:
    """Seconds until the first model's fine-tuning reaches the target accuracy on the test part, once for each side."""
    name, device = bench.models[0], bench.device
    plain = PlainLoop(bench.build(name, "finetune"), bench.data, device)
    started, reached = loops.now(device), 0.0
    for _ in range(bench.epochs):
        plain.train()
        reached = plain.test()[1]
        if reached >= bench.target:
            break
    theirs = loops.now(device) - started

    model = bench.build(name, "finetune")
    stop = EarlyStopping(
        "test/accuracy", mode="max", stopping_threshold=bench.target, patience=bench.epochs, check_finite=False
    )
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    quiet |= {"enable_progress_bar": False, "num_sanity_val_steps": 0}
    trainer = L.Trainer(**bench.trainer, **quiet, max_epochs=bench.epochs, callbacks=stop)
    ours = _seconds(lambda: trainer.fit(model, bench.data), device)
    last = model.history[-1]["test"]["accuracy"]
    note = f"reached {reached:.3f} and {last:.3f} (after {len(model.history)} epochs)"
    return [compare(f"{name} fine-tune, to test accuracy {bench.target}", "s", [theirs], [ours], note)]


def scaling(bench: Bench) -> list[Row]:
    """How the framework's time grows with the number of images, and with their size."""
    name, device, rows = bench.models[0], bench.device, []
    settings: dict[str, Any] = {"transforms": bench.data.transforms, "batch_size": bench.data.batch_size}

    def open_phantoms(cases: int, size: int, folder: str) -> LggDataModule:
        root = phantom.generate(bench.data.cache_dir, cases, 0)
        data = LggDataModule(root=str(root), cache_dir=folder, size=size, **settings)
        data.prepare_data()
        data.setup()
        return data

    for cases in (24, 48, 96):
        with tempfile.TemporaryDirectory() as folder:
            started = loops.now(device)
            data = open_phantoms(cases, 96, folder)
            decoded = loops.now(device)
            data.features = features.cached(bench.build(name, "freeze"), data, bench.precision, device)
            extracted = loops.now(device)
            model = bench.build(name, "freeze")
            speed = loops.framework(model, data, bench.trainer, len(data.train_dataloader()) - 2)
            data.features = None
            tuning = loops.framework(bench.build(name, "finetune"), data, bench.trainer, bench.batches)
            title = f"{len(data.table)} phantom slices of 96 pixels"
            count = len(data.rows["train"])
            rows += [
                alone(f"{title}: decoding", "s", [decoded - started]),
                alone(f"{title}: {name} features", "s", [extracted - decoded]),
                alone(f"{title}: {name} frozen epoch", "s", [count / speed]),
                alone(f"{title}: {name} fine-tune epoch", "s", [count / tuning], "extrapolated from some batches"),
            ]
    for size in (96, 160, 224, 320):
        with tempfile.TemporaryDirectory() as folder:
            data = open_phantoms(24, size, folder)
            speed = loops.framework(bench.build(name, "finetune"), data, bench.trainer, bench.batches)
            rows.append(alone(f"{size} pixels: {name} fine-tune, training", "images/s", [speed]))
    return rows


SECTIONS: dict[str, Callable[[Bench], Iterable[Row]]] = {
    "training": training,
    "loading": loading,
    "start": start,
    "accuracy": accuracy,
    "scaling": scaling,
}


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    started = loops.now(device)
    work()
    return loops.now(device) - started


def _rate(work: Callable[[], int], device: torch.device) -> float:
    started = loops.now(device)
    count = work()
    return count / (loops.now(device) - started)


def _flops(model: Classifier, data: SliceDataModule, device: torch.device) -> float:
    """Count the floating point operations of training on one image."""
    images = torch.randn(2, 3, data.size, data.size, device=device)
    model.to(device).train()
    with FlopCounterMode(display=False) as counter:
        model(images).sum().backward()
    model.zero_grad()
    return float(counter.get_total_flops()) / len(images)
