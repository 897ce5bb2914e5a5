"""The benchmark's main section: training and test end to end, fine-tuned and frozen."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from brain_tumor.benchmark import command, loops
from brain_tumor.benchmark.bench import Bench, flops, rate
from brain_tumor.benchmark.measure import Row, alone, compare, interleave
from brain_tumor.benchmark.plain import PlainLoop
from brain_tumor.models import features
from brain_tumor.models.classifier import Classifier


def training(bench: Bench) -> Iterator[Row]:
    """Images per second of training and test, what the framework costs, and how near the hardware's limit that is."""
    for precision in dict.fromkeys(["32-true", bench.precision]):
        yield alone(f"matrix product, {precision}", "TFLOP/s", [loops.peak(precision, bench.device) / 1e12])
    for name in bench.models:
        yield from _finetuned(bench, name)
        yield from _frozen(bench, name)
        yield _partial(bench, name)


def _finetuned(bench: Bench, name: str) -> list[Row]:
    data, device, batches = bench.data, bench.device, bench.batches
    plain, model = PlainLoop(bench.build(name, "finetune"), data, device), bench.build(name, "finetune")
    speeds = interleave(
        {
            "plain": lambda: rate(lambda: plain.train(batches), device),
            "ours": lambda: loops.framework(model, data, bench.trainer, batches),
            "by hand": lambda: loops.by_hand(model, data, bench.precision, device, batches),
            **_tests(bench, plain, model),
        },
        bench.repeats,
    )
    used = [flops(model, data, device) * speed / loops.peak(bench.precision, device) for speed in speeds["ours"]]
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
        "plain test": lambda: rate(lambda: plain.test(bench.batches), bench.device),
        "ours test": lambda: loops.evaluation(model, bench.data, bench.precision, bench.device, bench.batches),
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
                "plain": lambda: rate(lambda: plain.train(bench.batches), device),
                "plain test": lambda: rate(lambda: plain.test(bench.batches), device),
                "ours": lambda: loops.framework(model, data, bench.trainer, epoch),
                "by hand": lambda: loops.by_hand(model, data, bench.precision, device, epoch),
            },
            bench.repeats,
        )
    with tempfile.TemporaryDirectory() as folder:
        empty = [f"cache_dir={folder}/cache", f"trainer.max_epochs={bench.epochs}"]
        took, memory = command.whole([*bench.arguments(name, "freeze"), *empty], Path(folder) / "outputs")
    theirs = _experiment(bench, speeds["plain"], speeds["plain test"])
    note = "ours: a whole process from empty caches; plain: extrapolated"
    return [
        compare(f"{name} frozen, training once features are there", "images/s", speeds["plain"], speeds["ours"]),
        _overhead(f"{name} frozen, framework over hand-written loop", speeds["by hand"], speeds["ours"]),
        compare(f"{name} frozen, {bench.epochs} epochs", "s", theirs, [took] * len(theirs), note),
        alone(f"{name} frozen, peak resident memory", "GiB", [memory / 2**30]),
    ]


def _partial(bench: Bench, name: str) -> Row:
    """Train the last block and the head on kept feature maps, beside fine-tuning with the same framework."""
    tuned, model = bench.build(name, "finetune"), bench.build(name, "partial")

    def kept_maps() -> float:
        with _features(bench, model, Path(folder)):
            return loops.framework(model, bench.data, bench.trainer, bench.batches)

    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "whole": lambda: loops.framework(tuned, bench.data, bench.trainer, bench.batches),
            "part": kept_maps,
        }
        speeds = interleave(sides, bench.repeats)
    times = [part / whole for whole, part in zip(speeds["whole"], speeds["part"], strict=True)]
    return alone(f"{name} partial (layer4), training, over fine-tuning", "times", times)


def _overhead(what: str, by_hand: list[float], ours: list[float]) -> Row:
    shares = [100 * (hand / framework - 1) for hand, framework in zip(by_hand, ours, strict=True)]
    return alone(what, "% more time", shares)


@contextmanager
def _features(bench: Bench, model: Classifier, folder: Path) -> Iterator[None]:
    """Give the data module the features of a model's frozen part, kept in `folder`, for a while."""
    part = model.frozen_part
    assert part is not None, "only what is frozen has features to keep"
    home, bench.data.cache_dir = bench.data.cache_dir, folder
    bench.data.store.features = features.cached(part, bench.data, bench.precision, bench.device)
    try:
        yield
    finally:
        bench.data.cache_dir, bench.data.store.features = home, None
