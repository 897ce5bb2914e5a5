"""Put a 95 % interval around any number that is computed from slices, by bootstrap over patients."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

RESAMPLES = 1000
LEVEL = 0.95


class Interval(TypedDict):
    """A number with its 95 % interval; None stands for what is undefined."""

    value: float | None
    low: float | None
    high: float | None


# Computes numbers for many weightings of the slices at once: weights float64 (R, n) to values float64 (R,) by name. A
# resample is a weighting, so a bootstrap is a few matrix products instead of thousands of calls.
Measure = Callable[["Tensor"], "dict[str, Tensor]"]


def intervals(
    measure: Measure,
    cases: Sequence[str],
    strata: Sequence[object] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return every number of `measure` with the percentile interval of a bootstrap.

    Slices of one patient resemble each other, so patients are resampled where they are known, and slices elsewhere.

    Args:
        measure: what to compute.
        cases: n names of patients, one a slice; "" for unknown.
        strata: n labels, such as the fold that a slice was tested in: a bootstrap sample has as many patients of each
            as there are; None for one.
        resamples: number of bootstrap samples.
        seed: of the bootstrap.
    """
    import torch  # late: records are read without it

    point = {name: float(value) for name, value in measure(torch.ones(1, len(cases), dtype=torch.float64)).items()}
    units = cases if resampled_unit(cases) == "patient" else range(len(cases))
    names, groups = np.unique(units, return_inverse=True)
    generator = np.random.default_rng(seed)
    # A patient tested in several strata belongs to the last.
    kinds = np.zeros(len(names), dtype=np.intp)
    if strata is not None:
        kinds[groups] = np.unique([str(stratum) for stratum in strata], return_inverse=True)[1]
    drawn = np.empty((resamples, len(names)), dtype=np.int64)
    for kind in np.unique(kinds):
        own = np.flatnonzero(kinds == kind)
        drawn[:, own] = generator.multinomial(len(own), np.full(len(own), 1 / len(own)), size=resamples)
    # A few resamples at a time, so that memory stays small however many slices there are.
    chunks = [
        measure(torch.from_numpy(counts[:, groups]).double())
        for counts in np.array_split(drawn, max(1, resamples * len(cases) // 2**22))
    ]
    return {name: _interval(point[name], torch.cat([chunk[name] for chunk in chunks]).numpy()) for name in point}


def resampled_unit(cases: Sequence[str]) -> str:
    """Name what `intervals` resamples: "patient" or "slice"."""
    return "patient" if all(cases) and len(set(cases)) > 1 else "slice"


def _interval(value: float, draws: NDArray[np.float64]) -> Interval:
    defined = draws[~np.isnan(draws)]
    if np.isnan(value) or not len(defined):
        return {"value": None, "low": None, "high": None}
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": value, "low": float(low), "high": float(high)}
