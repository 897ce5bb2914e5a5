"""The benchmark's sections; each gives rows of the table."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping

from brain_tumor.benchmark import command, loops
from brain_tumor.benchmark.bench import Bench, rate, seconds
from brain_tumor.benchmark.end_to_end import training
from brain_tumor.benchmark.exported import exported
from brain_tumor.benchmark.measure import Row, alone, compare, interleave
from brain_tumor.benchmark.plain import PlainLoop
from brain_tumor.data import phantom
from brain_tumor.data.sources import LggDataModule
from brain_tumor.models import features
from brain_tumor.models import precision as precisions


def computing(bench: Bench) -> Iterator[Row]:
    """Images per second of fine-tuning's computation alone, and what each step from the plain loop's way gives."""
    fast = precisions.MIXED.get(bench.precision, torch.float32)
    batch, size = bench.data.batch_size, bench.data.size
    for name in bench.models:
        plain = bench.build(name, "finetune").to(bench.device).to(memory_format=torch.contiguous_format)
        ours = bench.build(name, "finetune").to(bench.device)
        ladder = {
            "float32": (plain, torch.float32),
            "float32, channels last": (ours, torch.float32),
            f"{bench.precision}, channels last": (ours, fast),
        }
        speeds = interleave(
            {
                title: partial(loops.compute, model, size, batch, dtype, bench.device, max(2, bench.batches // 2))
                for title, (model, dtype) in ladder.items()
            },
            bench.repeats,
        )
        for title, values in speeds.items():
            yield compare(f"{name} computation alone, {title}", "images/s", speeds["float32"], values)


def loading(bench: Bench) -> list[Row]:
    """Images per second of the loaders alone, ready for the network."""
    plain = PlainLoop(bench.build(bench.models[0], "finetune"), bench.data, bench.device).loaders["train"]

    def theirs() -> int:
        return sum(len(labels) for _, (_, labels) in zip(range(bench.batches), plain, strict=False))

    def ours() -> int:
        seen = 0
        for rows in bench.data.train_dataloader():
            seen += len(bench.data.batch(rows, device).inputs)
        return seen

    device = bench.device
    bench.data.place(device)
    bench.data.transforms.train()
    speeds = interleave({"plain": lambda: rate(theirs, device), "ours": lambda: rate(ours, device)}, bench.repeats)
    return [compare("loader alone", "images/s", speeds["plain"], speeds["ours"])]


def start(bench: Bench) -> list[Row]:
    """Seconds from starting the command to its first training step, and the peak memory of an epoch."""
    rows = []
    for name in bench.models:
        arguments = bench.arguments(name, "finetune")
        measured = []
        for _ in range(bench.repeats):
            with tempfile.TemporaryDirectory() as folder:
                measured.append(command.to_first_step(arguments, Path(folder)))
        rows.append(alone(f"{name} fine-tune, start to first step, decoded data", "s", measured))
        with tempfile.TemporaryDirectory() as folder:
            limits = [f"+trainer.limit_train_batches={bench.batches}", "trainer.max_epochs=1"]
            _, memory = command.whole([*arguments, *limits], Path(folder))
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
    ours = seconds(lambda: trainer.fit(model, bench.data), device)
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
            data.features = features.cached(bench.build(name, "freeze").backbone, data, bench.precision, device)
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
    "computing": computing,
    "loading": loading,
    "start": start,
    "accuracy": accuracy,
    "scaling": scaling,
    "exported": exported,  # needs the extra onnx
}
