"""The benchmark's sections; each gives rows of the table."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import torch

from brain_tumor.benchmark import command, loops
from brain_tumor.benchmark.bench import Bench, rate
from brain_tumor.benchmark.end_to_end import training
from brain_tumor.benchmark.exported import exported
from brain_tumor.benchmark.measure import Row, alone, compare, interleave
from brain_tumor.benchmark.plain import PlainLoop
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
            seen += len(bench.data.store.batch(rows, device).inputs)
        return seen

    device = bench.device
    bench.data.store.place(device)
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


SECTIONS: dict[str, Callable[[Bench], Iterable[Row]]] = {
    "training": training,
    "computing": computing,
    "loading": loading,
    "start": start,
    "exported": exported,  # needs the extra onnx
}
