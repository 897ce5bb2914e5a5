"""Measure the intensities of volumes in decoded slices, and remove skulls from them, once, next to the cached slices.

<cache_dir>/slices/<key>/depths-<hash>.npy       uint8 (N, size, size): how deep pixels lie under the head's outline
<cache_dir>/slices/<key>/intensities-<hash>.npy  float32 (V, D, C, 4): what the intensities of volumes are
                                                 standardized by, whole (0) and stripped at D - 1 depths
"""

import hashlib
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from tqdm import tqdm

from brain_tumor.data.cache import DecodedSlices
from brain_tumor.io import atomic
from brain_tumor.scans import brain, head, standardization
from brain_tumor.scans.images import fit_mask

CHOICES = ("file", "volume")
SKULLS = ("keep", "remove")
BrainOf = Callable[[int], NDArray[np.bool_]]
Number = TypeVar("Number", np.uint8, np.float32)
FORMAT = 2  # raised whenever the same slices would give other numbers
_STRIPPED = (0.04, 0.08)  # least and largest depth of a strip, as a share of the slice's side: scalp and skull, or more
_STRIPS = 10


def strip_depths(size: int) -> NDArray[np.int64]:
    """Return the depths in pixels, ascending, at which slices of a size are stripped."""
    low, high = _STRIPPED
    return np.linspace(low * size, high * size, _STRIPS).round().astype(np.int64)


def volumes(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return the number of each slice's volume (N,): that of its case, or its own where a case's slices have no order.

    Args:
        table: columns `case` and `slice` (see `brain_tumor.datasets.base`).
    """
    ordered = (table["case"] != "") & (table["slice"] >= 0).groupby(table["case"]).transform("all")
    alone = pd.Series([f"\0{row}" for row in range(len(table))], table.index)
    return pd.factorize(table["case"].where(ordered, alone))[0].astype(np.int64)


def depths(decoded: DecodedSlices, numbers: NDArray[np.int64], brain_of: BrainOf | None) -> NDArray[np.uint8]:
    """Return how deep every pixel lies under its head's outline (see `head.depth`).

    Args:
        decoded: the slices.
        numbers: int64 (N,), each slice's volume.
        brain_of: returns the brain mask of a row, bool (H, W) at its file's size: it is deeper than any strip, and
            nothing else is. None where nobody has such masks.

    Returns:
        uint8 (N, size, size), memory-mapped.
    """
    size, name = decoded.images.shape[1], _hash(numbers.tolist())
    if brain_of is not None:
        content = hashlib.sha256()
        for row in range(len(decoded.images)):
            content.update(brain_of(row).tobytes())
        name = content.hexdigest()[:16]

    def fill(array: NDArray[np.uint8]) -> None:
        for rows in tqdm(_rows_of(numbers), "outlines", unit=" volumes", leave=False, disable=None):
            air = standardization.air(decoded.images[rows])
            for row in rows.tolist():
                if brain_of is None:
                    array[row] = head.depth(decoded.images[row], air)
                else:
                    array[row] = head.DEEPEST * fit_mask(brain_of(row).astype(np.uint8), size, "").pixels

    return _kept(decoded.folder / f"depths-{name}.npy", decoded.images.shape[:3], np.uint8, fill)


def statistics(
    decoded: DecodedSlices, numbers: NDArray[np.int64], deep: NDArray[np.uint8] | None
) -> NDArray[np.float32]:
    """Return what the intensities of volumes are standardized by (see `standardization.statistics`).

    Args:
        decoded: the slices.
        numbers: int64 (N,), each slice's volume.
        deep: how deep pixels lie, from `depths`, to strip the volumes, too; None for whole volumes alone.

    Returns:
        float32 (V, D, C, 4), memory-mapped; D is 1, or one more than `strip_depths` has depths.
    """
    edges = np.empty(0, np.int64) if deep is None else strip_depths(decoded.images.shape[1])
    parts = _rows_of(numbers)
    # A mapped file is known by its name.
    origin = Path(getattr(deep, "filename", None) or "").name

    def fill(array: NDArray[np.float32]) -> None:
        for number, rows in enumerate(tqdm(parts, "intensities", unit=" volumes", leave=False, disable=None)):
            # Its layer is the number of strips that a pixel survives.
            layers = None if deep is None else np.searchsorted(edges, deep[rows], side="left").astype(np.uint8)
            array[number] = standardization.measure(decoded.images[rows], layers, len(edges) + 1)

    name = f"intensities-{_hash(numbers.tolist(), edges.tolist(), origin)}.npy"
    return _kept(decoded.folder / name, (len(parts), len(edges) + 1, decoded.images.shape[-1], 4), np.float32, fill)


def without_skulls(decoded: DecodedSlices, table: pd.DataFrame) -> DecodedSlices:
    """Return the slices with their skulls removed by one mask per volume (see `brain.find`).

    Each sequence is scaled so that its maximum stays 255, as files of volumes without skulls are. Masks stay whole.

    Args:
        decoded: the slices.
        table: their rows, with the columns `case` and `slice`.

    Raises:
        ValueError: slices are not in volumes.
    """
    if ((table["case"] == "") | (table["slice"] < 0)).any():
        raise ValueError("data.skull=remove: needs volumes, and this data has slices of unknown patients or numbers")
    numbers = volumes(table)
    parts = [rows[np.argsort(table["slice"].to_numpy()[rows], kind="stable")] for rows in _rows_of(numbers)]

    def fill(array: NDArray[np.uint8]) -> None:
        for rows in tqdm(parts, "brains", unit=" volumes", leave=False, disable=None):
            images = decoded.images[rows]
            images[~brain.find(images)] = 0
            top = images.max((0, 1, 2)).clip(1)
            array[rows] = (images * (255.0 / top)).round().astype(np.uint8)

    folder = decoded.folder / f"brains-{_hash(numbers.tolist(), table['slice'].tolist())}"
    folder.mkdir(exist_ok=True)
    key = f"{decoded.key} {folder.name}"
    images = _kept(folder / "images.npy", decoded.images.shape, np.uint8, fill)
    return replace(decoded, key=key, images=images, folder=folder)


def _rows_of(numbers: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Return the rows of each volume."""
    return np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1])


def _hash(*values: Any) -> str:
    return hashlib.sha256(repr((FORMAT, *values)).encode()).hexdigest()[:16]


def _kept(
    path: Path, shape: tuple[int, ...], dtype: type[Number], fill: Callable[[NDArray[Number]], None]
) -> NDArray[Number]:
    """Return the array in a file, copy-on-write since torch wants writable memory; fill the file first if missing.

    Raises:
        ValueError: the disk has no room for it.
    """
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            # A full disk kills a process that writes into a map.
            needed, free = math.prod(shape) * np.dtype(dtype).itemsize, shutil.disk_usage(path.parent).free
            if needed > free:
                raise ValueError(
                    f"{path.parent}: needs {needed / 1e6:,.1f} MB, and {free / 1e6:,.1f} are free there. Make room, or "
                    "choose another cache_dir"
                )
            with atomic.file(path) as temporary:
                array = open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
                fill(array)
                array.flush()
    kept: NDArray[Number] = np.load(path, mmap_mode="c")
    return kept
