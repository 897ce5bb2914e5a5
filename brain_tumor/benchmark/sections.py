"""Measure the benchmark's sections; each function returns rows of the table."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.optim import AdamW

from brain_tumor.benchmark import command, loops
from brain_tumor.benchmark.bench import Bench
from brain_tumor.benchmark.end_to_end import training
from brain_tumor.benchmark.exported import exported
from brain_tumor.benchmark.loops import rate
from brain_tumor.benchmark.measure import Row, alone, compare, interleave
from brain_tumor.benchmark.plain import PlainLoop
from brain_tumor.benchmark.volumes import volumes
from brain_tumor.data.batches import Batch
from brain_tumor.data.inputs import Inputs
from brain_tumor.models.classifier import Classifier
from brain_tumor.models.segmenter import Segmenter
from brain_tumor.models.task import Task


def computing(bench: Bench) -> Iterator[Row]:
    """Measure images per second of fine-tuning's computation alone, and the gain of each step from the plain loop.

    Each measurement repeats one batch that lies on the device, so that no loading is measured.
    """
    data, steps = bench.data, loops.WARM + max(2, bench.batches // 2)
    labels = torch.arange(data.batch_size, device=bench.device) % 2
    images = torch.rand(data.batch_size, 3, data.size, data.size, device=bench.device)
    ladder = {
        "float32": (torch.contiguous_format, "32-true"),
        "float32, channels last": (torch.channels_last, "32-true"),
        f"{bench.precision}, channels last": (torch.channels_last, bench.precision),
    }
    for name in bench.models:
        sides = {}
        for title, (layout, precision) in ladder.items():
            model = bench.build(name, "finetune").to(bench.device).to(memory_format=layout).train()
            batches = [Batch(images.to(memory_format=layout), labels, labels)] * steps
            sides[title] = partial(loops.steps, model, batches, precision, bench.device)
        speeds = interleave(sides, bench.repeats)
        for title, values in speeds.items():
            yield compare(f"{name} computation alone, {title}", "images/s", speeds["float32"], values)


def loading(bench: Bench) -> list[Row]:
    """Measure images per second of the loaders alone, until batches are ready for the network."""
    data, device = bench.data, bench.device
    loader = PlainLoop(bench.build(bench.models[0], "finetune"), data, device).loaders["train"]
    data.store.place(device)
    data.transforms.train()
    works = {
        "plain": lambda: sum(len(labels) for _, labels in islice(loader, bench.batches)),
        "ours": lambda: sum(len(data.store.batch(rows, device).inputs) for rows in data.train_dataloader()),
    }
    speeds = interleave({side: partial(rate, work, device) for side, work in works.items()}, bench.repeats)
    return [compare("loader alone", "images/s", speeds["plain"], speeds["ours"])]


def neighbours(bench: Bench) -> Iterator[Row]:
    """Measure training steps with the slices above and below, loading included, beside those of slices alone."""
    data, before = bench.data, bench.data.store
    settings: dict[str, Any] = {"num_classes": data.num_classes, "weights": "none", "optimizer": AdamW}
    builders: dict[str, Callable[..., Task]] = {
        "resnet18": partial(Classifier, backbone="resnet18", **settings),
        "resunet18": partial(Segmenter, encoder="resnet18", **settings),
    }
    for name, build in builders.items():

        def side(count: int, build: Callable[..., Task] = build) -> float:
            inputs = Inputs(neighbours=count)
            data.store = inputs.store(data.decoded, data.table, data.transforms, data.resident, data.dataset)
            data.serve_masks()
            return loops.by_hand(bench, build(neighbours=count), bench.batches)

        speeds = interleave({"alone": partial(side, 0), "with both": partial(side, 1)}, bench.repeats)
        times = [100 * (alone_ / both - 1) for alone_, both in zip(speeds["alone"], speeds["with both"], strict=True)]
        yield alone(f"{name} fine-tune, neighbours over slices alone", "% more time", times)
    data.store = before


def start(bench: Bench) -> list[Row]:
    """Measure the seconds from a command's start to its first training step, and the peak memory of an epoch."""
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


SECTIONS: dict[str, Callable[[Bench], Iterable[Row]]] = {
    "training": training,
    "computing": computing,
    "loading": loading,
    "start": start,
    "neighbours": neighbours,
    "volumes": volumes,  # needs the optional dependencies "scan"
    "exported": exported,  # needs the optional dependencies "onnx"
}
