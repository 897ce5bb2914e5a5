"""Predict slices of any size with one run: fitted as its training slices were, in batches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.inference.base import Outputs, Run
from brain_tumor.io.prefetch import prefetch
from brain_tumor.scans import cases as cases_
from brain_tumor.scans import fitted as fitted_
from brain_tumor.scans import volumes
from brain_tumor.scans.cases import Slices
from brain_tumor.scans.fitted import Fitted


class RunPredictor:
    """Predict slices with one run.

    Args:
        run: the run.
        key: the run's key in the configuration, for messages.

    Raises:
        ValueError: the run's checkpoint is missing or damaged.
    """

    def __init__(self, run: Run, key: str = "run") -> None:
        self._run, self._key, self._network = run, key, run.network()
        published = run.sequences == cases_.SEQUENCES and run.scaling is None
        self._by_way_of = volumes.PUBLISHED if published else None

    @property
    def batch(self) -> int:
        """The number of slices that it predicts together."""
        return self._network.batch

    def __call__(self, cases: Sequence[Slices], rows: Sequence[NDArray[np.intp]] | None = None) -> list[Outputs]:
        """Predict the slices of each case, or only some rows; the next batch is fitted meanwhile.

        Raises:
            ValueError: the network gives no numbers.
        """
        images = [case.of(self._run.sequences) for case in cases]
        chosen = [np.arange(len(stack)) for stack in images] if rows is None else rows
        counts = [len(part) for part in chosen]
        if not sum(counts):
            return [Outputs(np.empty((0, len(self._run.classes))), None) for _ in cases]
        with ThreadPoolExecutor(1) as pool:
            outputs = [self._predict(batch) for batch in self._fitted(pool, cases, images, chosen)]
        return _divide(outputs, counts)

    def predict_fitted(self, fit: Callable[[NDArray[np.intp]], Fitted], rows: NDArray[np.intp]) -> Outputs:
        """Predict rows of a data set.

        Args:
            fit: returns rows as the network gets them.
            rows: (n,).

        Raises:
            ValueError: the network gives no numbers.
        """
        return _divide([self._predict(fit(part)) for part in _batches(rows, self.batch)], [len(rows)])[0]

    def explain(self, case: Slices, target: int) -> NDArray[np.float32] | None:
        """Return heat maps of a class, float32 (n, size, size) from 0 up; None if the network cannot make any."""
        return self._network.explain(self._fit_volume(case, case.of(self._run.sequences)), target)

    def _predict(self, fitted: Fitted) -> Outputs:
        outputs = self._network(fitted)
        if not np.isfinite(outputs.probabilities).all():
            raise ValueError(f"{self._key}={self._run.name}: its network gives no numbers (NaN); train it again")
        return outputs

    def _fitted(
        self,
        pool: ThreadPoolExecutor,
        cases: Sequence[Slices],
        images: Sequence[NDArray[np.uint8]],
        chosen: Sequence[NDArray[np.intp]],
    ) -> Iterator[Fitted]:
        """Yield the chosen slices of all cases as the network gets them, in batches."""
        if self._sees_volumes:
            volumes_ = zip(cases, images, chosen, strict=True)
            parts = [self._fit_volume(case, stack).of(rows) for case, stack, rows in volumes_]
            yield from fitted_.join(parts).batches(self.batch)
        else:
            work = [(case, stack[row]) for case, stack, part in zip(cases, images, chosen, strict=True) for row in part]
            yield from prefetch(pool, self._alone, _batches(work, self.batch))

    def _alone(self, work: Sequence[tuple[Slices, NDArray[np.uint8]]]) -> Fitted:
        """Fit slices that are seen for themselves."""
        images = self._fit(work)
        return Fitted(images, None, images.shape[-1])

    @property
    def _sees_volumes(self) -> bool:
        """Whether what the network gets of a slice depends on the other slices of its volume."""
        return self._run.intensities == "volume" or self._run.neighbours > 0

    def _fit_volume(self, case: Slices, images: NDArray[np.uint8]) -> Fitted:
        """Fit all slices of a case."""
        squares = self._fit([(case, image) for image in images])
        step = fitted_.step(case.spacing, self._run.neighbour_mm)
        standardized = self._run.intensities == "volume"
        return fitted_.of_volume(squares, standardized, self._run.neighbours, step, case.numbers)

    def _fit(self, work: Sequence[tuple[Slices, NDArray[np.uint8]]]) -> NDArray[np.uint8]:
        """Fit slices of cases into squares: uint8 (n, size, size, C)."""
        fitted = [
            volumes.fit(image, self._run.size, case.millimetres, self._by_way_of if case.volume is not None else None)
            for case, image in work
        ]
        return np.stack(fitted)


def _batches(items: Any, size: int) -> list[Any]:
    """Divide a sequence, or an array, into parts of `size` items."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _divide(outputs: Sequence[Outputs], counts: Sequence[int]) -> list[Outputs]:
    """Concatenate batches, and divide them into parts with these numbers of slices."""
    ends = np.cumsum(counts)[:-1]

    def divided(batches: Iterable[NDArray[Any] | None]) -> list[Any]:
        arrays = [batch for batch in batches if batch is not None]
        return np.split(np.concatenate(arrays), ends) if arrays else [None] * len(counts)

    fields = (divided(batches) for batches in zip(*outputs, strict=True))
    return [Outputs(*values) for values in zip(*fields, strict=True)]
