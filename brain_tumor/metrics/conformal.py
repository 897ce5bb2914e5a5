"""Make intervals of measurements from their relative errors on held-out patients: split conformal prediction.

The ratios of true to measured values of n patients that a model has not seen give two factors; a new patient's value
lies between its measurement times these with at least the wanted probability, if that patient is like the n (Vovk,
Gammerman, Shafer 2005; of one tail each: Linusson, Johansson, Loefstroem 2014).
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Factors(NamedTuple):
    """What a measurement is multiplied by for the ends of its interval."""

    low: float
    high: float


def fit(true: Array, measured: Array, level: float) -> Factors:
    """Find the factors of intervals from held-out patients.

    Args:
        true: (n,) true values, from 0 up.
        measured: (n,) measured ones, above 0.
        level: the wanted probability, half of whose rest lies on either side.

    Raises:
        ValueError: there are too few patients for that level.
    """
    ratios, count = np.sort(true / measured), len(true)
    tail = (1 - level) / 2
    lowest, highest = int((count + 1) * tail + 1e-9), int(np.ceil((count + 1) * (1 - tail) - 1e-9))
    if lowest < 1 or highest > count:
        needed = int(np.ceil(1 / tail - 1e-9)) - 1
        raise ValueError(f"{count} patients are too few for intervals of {level:.0%}; these need {needed}")
    return Factors(float(ratios[lowest - 1]), float(ratios[highest - 1]))


def coverage(true: Array, measured: Array, folds: Sequence[Hashable], level: float) -> dict[Hashable, tuple[int, int]]:
    """Count in each fold the patients whose intervals, fitted on the other folds, hold the true value.

    Args:
        true: see `fit`.
        measured: see `fit`.
        folds: (n,) each patient's.
        level: see `fit`.

    Returns:
        By the fold: how many are covered, and of how many.

    Raises:
        ValueError: the other folds have too few patients.
    """
    counted = {}
    for fold in dict.fromkeys(folds):
        held = np.array([own == fold for own in folds])
        low, high = fit(true[~held], measured[~held], level)
        inside = (true[held] >= low * measured[held]) & (true[held] <= high * measured[held])
        counted[fold] = (int(inside.sum()), int(held.sum()))
    return counted
