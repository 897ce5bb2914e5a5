"""Find the slices above and below a slice."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data import intensities
from brain_tumor.scans import fitted


def rows(table: pd.DataFrame, neighbours: int, step: int) -> NDArray[np.int64]:
    """Return the rows that each slice's channels come from (see `fitted.around`).

    Args:
        table: columns `case` and `slice` (see `brain_tumor.datasets.base`).
        neighbours: how many slices on each side.
        step: how many slices lie from one to the next.

    Raises:
        ValueError: no slice has a neighbour.
    """
    around = fitted.around(intensities.volumes(table), table["slice"].to_numpy(np.int64), neighbours, step)
    if (around == np.arange(len(table))[:, None]).all():
        raise ValueError(f"data.neighbours={neighbours}: this data names no neighbouring slices; leave it out")
    return around
