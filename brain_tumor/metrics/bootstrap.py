"""Compute 95 % intervals of numbers that are computed from slices, by a bootstrap over patients."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

RESAMPLES = 1000
LEVEL = 0.95


class Interval(TypedDict):
    """A number with the limits of its 95 % interval; None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


# A measure computes numbers for many weightings of the slices at once: from weights float64 (R, n) to values float64
# (R,) by name. A bootstrap sample is a weighting, so a bootstrap needs a few matrix products, not thousands of calls.
Measure = Callable[["Tensor"], "dict[str, Tensor]"]


def intervals(
    measure: Measure,
    cases: Sequence[str],
    strata: Sequence[object] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return every number of `measure` with the percentile interval of a bootstrap.

    Slices of one patient resemble each other, so patients are resampled where all are known, and slices elsewhere.

    Args:
        measure: computes the numbers.
        cases: n names of patients, one per slice; "" for unknown.
        strata: n labels, such as the fold in which a slice was tested; every bootstrap sample has as many patients of
            each label as the data. None for no strata.
        resamples: number of bootstrap samples.
        seed: seed of the bootstrap.
    """
    import torch  # imported late, since reading records needs no torch

    point = {name: float(value) for name, value in measure(torch.ones(1, len(cases), dtype=torch.float64)).items()}
    units = cases if resampled_unit(cases) == "patient" else range(len(cases))
    names, groups = np.unique(units, return_inverse=True)
    generator = np.random.default_rng(seed)
    # A patient tested in several strata belongs to the last.
    stratum_of = np.zeros(len(names), dtype=np.intp)
    if strata is not None:
        stratum_of[groups] = np.unique([str(stratum) for stratum in strata], return_inverse=True)[1]
    drawn = np.empty((resamples, len(names)), dtype=np.int64)
    for stratum_number in np.unique(stratum_of):
        members = np.flatnonzero(stratum_of == stratum_number)
        drawn[:, members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), size=resamples)
    # A few resamples at a time, so that memory stays small for any number of slices.
    chunks = [
        measure(torch.from_numpy(counts[:, groups]).double())
        for counts in np.array_split(drawn, max(1, resamples * len(cases) // 2**22))
    ]
    return {name: _interval(point[name], torch.cat([chunk[name] for chunk in chunks]).numpy()) for name in point}


def resampled_unit(cases: Sequence[str]) -> str:
    """Return what `intervals` resamples: "patient" or "slice"."""
    return "patient" if all(cases) and len(set(cases)) > 1 else "slice"


def _interval(value: float, draws: NDArray[np.float64]) -> Interval:
    defined = draws[~np.isnan(draws)]
    if np.isnan(value) or not len(defined):
        return {"value": None, "low": None, "high": None}
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": value, "low": float(low), "high": float(high)}
