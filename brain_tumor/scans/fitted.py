"""Slices as a network gets them: fitted into squares, with what their intensities are standardized by."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_tumor.scans import standardization


class Fitted(NamedTuple):
    """Slices as a network gets them.

    Attributes:
        images: uint8 (n, size, size, C K): the C sequences of K slices, each slice in the middle of its neighbours.
        statistics: float32 (n, C, 4), what the intensities of each slice's volume are standardized by (see
            `standardization.statistics`); None for networks that see the files' grey levels.
        channels: C.
    """

    images: NDArray[np.uint8]
    statistics: NDArray[np.float32] | None = None
    channels: int = 3

    @property
    def middle(self) -> NDArray[np.uint8]:
        """The slices without their neighbours: uint8 (n, size, size, C)."""
        start = (self.images.shape[-1] // self.channels // 2) * self.channels
        return self.images[..., start : start + self.channels]

    @property
    def stretched(self) -> NDArray[np.uint8]:
        """The slices without neighbours, uint8 (n, size, size, C), and stretched if they are standardized."""
        if self.statistics is None:
            return self.middle
        return standardization.stretch(self.middle, self.statistics[:, None, None])

    def of(self, rows: NDArray[np.intp]) -> "Fitted":
        """Return some of the slices."""
        statistics = None if self.statistics is None else self.statistics[rows]
        return Fitted(self.images[rows], statistics, self.channels)

    def batches(self, size: int) -> Iterator["Fitted"]:
        """Yield parts of at most `size` slices, in order."""
        for start in range(0, len(self.images), size):
            part = slice(start, start + size)
            statistics = None if self.statistics is None else self.statistics[part]
            yield Fitted(self.images[part], statistics, self.channels)


def of_volume(
    images: NDArray[np.uint8],
    standardized: bool,
    neighbours: int = 0,
    step: int = 1,
    numbers: NDArray[np.int64] | None = None,
) -> Fitted:
    """Return a volume's slices, uint8 (n, size, size, C), as a network gets them.

    Args:
        images: all slices of the volume, in order, or a single picture.
        standardized: whether the network sees standardized intensities.
        neighbours: how many slices on each side it sees besides a slice.
        step: how many slices lie from one neighbour to the next.
        numbers: int64 (n,), the slices' numbers; None for 0, 1, 2, ...
    """
    statistics = None
    if standardized:
        measured = standardization.measure(images)[0]
        statistics = np.repeat(measured[None], len(images), axis=0)
    if not neighbours:
        return Fitted(images, statistics, images.shape[-1])
    known = np.arange(len(images)) if numbers is None else numbers
    rows = around(np.zeros(len(images), np.int64), known, neighbours, step)
    stacked = np.moveaxis(images[rows], 1, -2)
    return Fitted(stacked.reshape(*images.shape[:3], -1), statistics, images.shape[-1])


def step(spacing: float, millimetres: float | None) -> int:
    """Return how many slices, `spacing` apart, lie from one neighbour to the next; 1 where that is unknown (NaN)."""
    return 1 if millimetres is None or math.isnan(spacing) else max(1, round(millimetres / spacing))


def around(volumes: NDArray[np.int64], numbers: NDArray[np.int64], neighbours: int, step: int) -> NDArray[np.int64]:
    """Return the rows that each slice's channels come from.

    Args:
        volumes: int64 (N,), which volume a slice belongs to.
        numbers: int64 (N,), its number in it.
        neighbours: how many slices on each side.
        step: how many slices lie from one to the next.

    Returns:
        int64 (N, 2 neighbours + 1): from below to above. The slice itself stands in for one that is not there.
    """
    pairs = list(zip(volumes.tolist(), numbers.tolist(), strict=True))
    place = {pair: row for row, pair in enumerate(pairs)}
    offsets = [step * side for side in range(-neighbours, neighbours + 1)]
    rows = [
        [row if offset == 0 else place.get((volume, number + offset), row) for offset in offsets]
        for row, (volume, number) in enumerate(pairs)
    ]
    return np.array(rows, np.int64).reshape(-1, len(offsets))


def join(parts: list[Fitted]) -> Fitted:
    """Join slices of several volumes."""
    statistics = [part.statistics for part in parts if part.statistics is not None]
    images = np.concatenate([part.images for part in parts])
    return Fitted(images, np.concatenate(statistics) if statistics else None, parts[0].channels)
