"""Measure volumes: decoding, the loader beside files that are read for each slice, and steps on all channels."""

import itertools
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim import AdamW

from brain_tumor.benchmark import loops
from brain_tumor.benchmark.bench import Bench
from brain_tumor.benchmark.loops import rate
from brain_tumor.benchmark.measure import Row, alone, compare, interleave
from brain_tumor.data import cache
from brain_tumor.datasets.base import Listing
from brain_tumor.models.segmenter import Segmenter


def volumes(bench: Bench) -> Iterator[Row]:
    """Measure the decoding of volumes, their loader, and a training step of a U-Net on all their channels.

    Raises:
        ValueError: the data has no NIfTI volumes.
    """
    listing = bench.data.dataset.listing()
    if not all(stack.files[0].name.endswith((".nii", ".nii.gz")) for stack in listing.read_together):
        raise ValueError(
            "sections=[volumes]: this data has no volumes; give data=phantom3d, or data=nnunet data.root=..."
        )
    yield from _decoding(bench, listing)
    yield _loading(bench, listing)
    if listing.channels != 3:
        yield _steps(bench, listing)


def _decoding(bench: Bench, listing: Listing) -> Iterator[Row]:
    """Decode everything into another cache."""
    count = len(listing.read_together)
    with tempfile.TemporaryDirectory() as folder:
        clock, cores = time.perf_counter(), time.process_time()
        cache.load(listing, bench.data.size, Path(folder))
        passed = time.perf_counter() - clock, time.process_time() - cores
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    yield alone("decoding a volume", "s", [passed[0] / count], f"{count} volumes, {len(listing.table)} slices of them")
    yield alone("decoding a volume, seconds of a core", "s", [passed[1] / count])
    yield alone("decoded files", "MB", [size / 1e6])


def _loading(bench: Bench, listing: Listing) -> Row:
    """Compare slices from the loader, transformed, with slices for each of which nibabel reads all channels' files."""
    import nibabel

    data, device = bench.data, bench.device
    data.store.place(device)
    data.transforms.train()
    files = [stack.files[: listing.channels] for stack in listing.read_together for _ in range(stack.count)]
    numbers = data.table["slice"].to_numpy()
    drawn = itertools.cycle(np.random.default_rng(0).permutation(data.rows["train"]))

    def plain() -> int:
        for row in itertools.islice(drawn, bench.batches):
            opened: list[Any] = [nibabel.load(path) for path in files[row]]
            planes = [np.asarray(image.dataobj, np.float32)[..., numbers[row]] for image in opened]
            F.interpolate(torch.from_numpy(np.stack(planes))[None], size=(data.size, data.size)).to(device)
        return bench.batches

    def ours() -> int:
        return sum(len(data.store.batch(rows, device).inputs) for rows in data.train_dataloader())

    speeds = interleave({"plain": partial(rate, plain, device), "ours": partial(rate, ours, device)}, bench.repeats)
    note = "plain: nibabel for each slice"
    return compare("loader alone, volumes", "images/s", speeds["plain"], speeds["ours"], note)


def _steps(bench: Bench, listing: Listing) -> Row:
    """Repeat a batch that lies on the device, of all channels and of the first three."""
    data, device = bench.data, bench.device
    data.store.place(device)
    data.serve_masks()
    batch = data.store.batch(torch.from_numpy(data.rows["train"][: data.batch_size]), device)
    repeated = loops.WARM + bench.batches

    def side(channels: int) -> float:
        labels = listing.regions.plain()
        model = Segmenter(
            encoder="resnet18", num_classes=2, weights="none", channels=channels, labels=labels, optimizer=AdamW
        )
        given = [batch._replace(inputs=batch.inputs[:, :channels])] * repeated
        return loops.steps(model.to(device).train(), given, bench.precision, device)

    speeds = interleave({"three": partial(side, 3), "all": partial(side, listing.channels)}, bench.repeats)
    times = [three / every for three, every in zip(speeds["three"], speeds["all"], strict=True)]
    return alone(f"resunet18, a step on {listing.channels} channels over one on three", "times", times)
