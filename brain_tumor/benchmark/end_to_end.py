"""Measure training and test end to end, fine-tuned, frozen and partially trained: the benchmark's main section."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brain_tumor.benchmark import command, loops
from brain_tumor.benchmark.bench import Bench
from brain_tumor.benchmark.loops import rate
from brain_tumor.benchmark.measure import Row, alone, compare, interleave
from brain_tumor.benchmark.plain import PlainLoop
from brain_tumor.models import features
from brain_tumor.models.classifier import Classifier


def training(bench: Bench) -> Iterator[Row]:
    """Measure images per second of training and test, the framework's overhead, and the share of the peak reached."""
    for precision in dict.fromkeys(["32-true", bench.precision]):
        yield alone(f"matrix product, {precision}", "TFLOP/s", [loops.peak(precision, bench.device) / 1e12])
    for name in bench.models:
        yield from _finetuned(bench, name)
        yield from _frozen(bench, name)
        yield _partial(bench, name)


def _finetuned(bench: Bench, name: str) -> list[Row]:
    model = bench.build(name, "finetune")
    loop = PlainLoop(bench.build(name, "finetune"), bench.data, bench.device)
    speeds = interleave(
        {
            "plain": lambda: rate(lambda: loop.train(bench.batches), bench.device),
            "ours": lambda: loops.framework(bench, model, bench.batches),
            "by hand": lambda: loops.by_hand(bench, model, bench.batches),
            "plain test": lambda: rate(lambda: loop.test(bench.batches), bench.device),
            "ours test": lambda: rate(lambda: loops.test(bench, model), bench.device),
        },
        bench.repeats,
    )
    needed, peak = loops.flops(bench, model), loops.peak(bench.precision, bench.device)
    plain, ours = (_experiment(bench, speeds[side], speeds[f"{side} test"]) for side in ("plain", "ours"))
    return [
        compare(f"{name} fine-tune, training", "images/s", speeds["plain"], speeds["ours"]),
        compare(f"{name}, test", "images/s", speeds["plain test"], speeds["ours test"]),
        alone(f"{name} fine-tune, share of the peak", "%", [100 * needed * speed / peak for speed in speeds["ours"]]),
        _overhead(f"{name} fine-tune, framework over hand-written loop", speeds["by hand"], speeds["ours"]),
        compare(
            f"{name} fine-tune, {bench.epochs} epochs", "s", plain, ours, "both extrapolated from the speeds above"
        ),
    ]


def _experiment(bench: Bench, training: list[float], test: list[float]) -> list[float]:
    """Extrapolate the seconds of whole experiments from images per second of training and of test."""
    rows = bench.data.rows
    pairs = zip(training, test, strict=True)
    return [bench.epochs * (len(rows["train"]) / fit + len(rows["test"]) / score) for fit, score in pairs]


def _frozen(bench: Bench, name: str) -> list[Row]:
    model = bench.build(name, "freeze")
    loop = PlainLoop(bench.build(name, "freeze"), bench.data, bench.device)
    with tempfile.TemporaryDirectory() as folder, _features(bench, model, Path(folder)):
        epoch = len(bench.data.train_dataloader()) - loops.WARM
        speeds = interleave(
            {
                "plain": lambda: rate(lambda: loop.train(bench.batches), bench.device),
                "plain test": lambda: rate(lambda: loop.test(bench.batches), bench.device),
                "ours": lambda: loops.framework(bench, model, epoch),
                "by hand": lambda: loops.by_hand(bench, model, epoch),
            },
            bench.repeats,
        )
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        bench.fill(cache)
        empty = [f"cache_dir={cache}", f"trainer.max_epochs={bench.epochs}"]
        seconds, memory = command.whole([*bench.arguments(name, "freeze"), *empty], Path(folder) / "outputs")
    plain = _experiment(bench, speeds["plain"], speeds["plain test"])
    note = "ours: a whole process from empty caches; plain: extrapolated"
    return [
        compare(f"{name} frozen, training once features are there", "images/s", speeds["plain"], speeds["ours"]),
        _overhead(f"{name} frozen, framework over hand-written loop", speeds["by hand"], speeds["ours"]),
        compare(f"{name} frozen, {bench.epochs} epochs", "s", plain, [seconds] * len(plain), note),
        alone(f"{name} frozen, peak resident memory", "GiB", [memory / 2**30]),
    ]


def _partial(bench: Bench, name: str) -> Row:
    """Measure training of the last block and the head on cached feature maps, beside fine-tuning the whole network."""
    tuned, model = bench.build(name, "finetune"), bench.build(name, "partial")

    def on_cached_maps() -> float:
        with _features(bench, model, Path(folder)):
            return loops.framework(bench, model, bench.batches)

    with tempfile.TemporaryDirectory() as folder:
        sides = {"whole": lambda: loops.framework(bench, tuned, bench.batches), "part": on_cached_maps}
        speeds = interleave(sides, bench.repeats)
    times = [part / whole for whole, part in zip(speeds["whole"], speeds["part"], strict=True)]
    return alone(f"{name} partial (layer4), training, over fine-tuning", "times", times)


def _overhead(what: str, by_hand: list[float], ours: list[float]) -> Row:
    shares = [100 * (hand / framework - 1) for hand, framework in zip(by_hand, ours, strict=True)]
    return alone(what, "% more time", shares)


@contextmanager
def _features(bench: Bench, model: Classifier, folder: Path) -> Iterator[None]:
    """Let the data module serve cached features of a model's frozen part, in `folder`, within the context."""
    part = model.frozen_part
    assert part is not None, "only a frozen part has features to cache"
    former, bench.data.cache_dir = bench.data.cache_dir, folder
    bench.data.store.features = features.cached(part, bench.data, bench.precision, bench.device)
    try:
        yield
    finally:
        bench.data.cache_dir, bench.data.store.features = former, None
