"""Divide the variance of a score between two things that were crossed: which patients trained, and which seed."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Spread(NamedTuple):
    """Standard deviations of a score; NaN where there are not two of each.

    Attributes:
        rows: from row to row.
        columns: from column to column.
        rest: of what neither explains.
    """

    rows: float
    columns: float
    rest: float


def spread(scores: ArrayLike) -> Spread:
    """Estimate how much rows and columns change a score, by a two-way analysis of variance without repetition.

    A variance that comes out negative, as small ones do, counts as 0.

    Args:
        scores: (R, C), a score for each row and column.
    """
    table = np.asarray(scores, dtype=np.float64)
    if min(table.shape) < 2:
        return Spread(np.nan, np.nan, np.nan)
    count_rows, count_columns = table.shape
    by_row, by_column, mean = table.mean(1), table.mean(0), table.mean()
    left = table - by_row[:, None] - by_column[None] + mean
    rest = float((left**2).sum()) / ((count_rows - 1) * (count_columns - 1))
    rows = float(by_row.var(ddof=1)) - rest / count_columns
    columns = float(by_column.var(ddof=1)) - rest / count_rows
    return Spread(*(float(np.sqrt(max(0.0, variance))) for variance in (rows, columns, rest)))
