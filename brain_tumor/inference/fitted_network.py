"""A run's network over slices of any size: fitted as its training's were, many at a time."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.inference.base import Outputs, Run
from brain_tumor.io.prefetch import prefetch
from brain_tumor.scans import cases as cases_
from brain_tumor.scans import volumes
from brain_tumor.scans.cases import Slices


class FittedNetwork:
    """One run's network, and how it wants its pictures.

    Args:
        run: whose.

    Raises:
        ValueError: its checkpoint is missing or damaged.
    """

    def __init__(self, run: Run) -> None:
        self._network, self._size, self._classes = run.network(), run.size, len(run.classes)
        self._name, self._channels = run.name, run.sequences
        self._by_way_of = volumes.PUBLISHED if self._channels == cases_.SEQUENCES else None

    @property
    def batch(self) -> int:
        """How many pictures it looks at together."""
        return self._network.batch

    def __call__(self, cases: Sequence[Slices], rows: Sequence[NDArray[np.intp]] | None = None) -> list[Outputs]:
        """Return what the network says of each case, or of its chosen rows; the next are fitted meanwhile.

        Raises:
            ValueError: it gives no numbers.
        """
        shown = [case.of(self._channels) for case in cases]
        chosen = [np.arange(len(own)) for own in shown] if rows is None else rows
        work = [(case, own[row]) for case, own, part in zip(cases, shown, chosen, strict=True) for row in part]
        if not work:
            return [Outputs(np.empty((0, self._classes)), None) for _ in cases]
        with ThreadPoolExecutor(1) as pool:
            parts = [work[start : start + self.batch] for start in range(0, len(work), self.batch)]
            outputs = [self._network(fitted) for fitted in prefetch(pool, self._fit, parts)]
        if not all(np.isfinite(own.probabilities).all() for own in outputs):
            raise ValueError(f"run={self._name}: its network gives no numbers (NaN); train it again")
        return _divide(outputs, [len(part) for part in chosen])

    def explain(self, case: Slices, target: int) -> NDArray[np.float32] | None:
        """Return how much each place speaks for a class, float32 (n, size, size) from 0 up; None if it cannot tell."""
        return self._network.explain(self._fit([(case, image) for image in case.of(self._channels)]), target)

    def _fit(self, work: Sequence[tuple[Slices, NDArray[np.uint8]]]) -> NDArray[np.uint8]:
        """Fit slices of cases into squares: uint8 (n, size, size, 3)."""
        fitted = [
            volumes.fit(image, self._size, case.millimetres, self._by_way_of if case.volume is not None else None)
            for case, image in work
        ]
        return np.stack(fitted)


def _divide(outputs: Sequence[Outputs], counts: Sequence[int]) -> list[Outputs]:
    """Put batches together, and divide them into so many slices each."""
    ends = np.cumsum(counts)[:-1]

    def divided(parts: Iterable[NDArray[Any] | None]) -> list[Any]:
        known = [part for part in parts if part is not None]
        return np.split(np.concatenate(known), ends) if known else [None] * len(counts)

    fields = (divided(parts) for parts in zip(*outputs, strict=True))
    return [Outputs(*own) for own in zip(*fields, strict=True)]
