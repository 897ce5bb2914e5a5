"""Compare two systems on the same patients."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from brain_tumor.metrics.bootstrap import LEVEL, RESAMPLES


class Difference(NamedTuple):
    """The mean difference of a score over patients.

    Attributes:
        value: second less first.
        low: of the 95 % interval of a bootstrap over patients.
        high: likewise.
        above: share of the bootstrap's samples in which the second is better.
        patients: how many both have scored.
    """

    value: float
    low: float
    high: float
    above: float
    patients: int


def difference(first: "pd.Series[float]", second: "pd.Series[float]", seed: int = 0) -> Difference | None:
    """Compare scores of patients, by name; None where no patient has both.

    Args:
        first: a score per patient.
        second: likewise; patients that only one of them has do not count.
        seed: of the bootstrap.
    """
    apart = (second - first).dropna().to_numpy(dtype=np.float64)
    if not len(apart):
        return None
    drawn = np.random.default_rng(seed).integers(0, len(apart), (RESAMPLES, len(apart)))
    means = apart[drawn].mean(1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(float(apart.mean()), float(low), float(high), float((means > 0).mean()), len(apart))
