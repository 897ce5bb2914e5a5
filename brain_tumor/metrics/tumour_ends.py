"""Say where slices lie relative to the ends of a patient's tumour."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

NOWHERE = np.iinfo(np.int64).min  # the distance to the tumour of a patient without one


def distance(table: pd.DataFrame) -> NDArray[np.int64] | None:
    """Count the slices from each slice to the nearest end of its patient's tumour.

    Args:
        table: columns `case`, `slice` and the truth value `tumour`, one row per slice.

    Returns:
        int64 (n,): 0 for a tumour's first and last slice, 1, 2, ... towards its middle, and -1, -2, ... away from it.
        Slices are counted by their numbers, so that a gap in them counts. A tumour that reaches the first or the last
        slice of the scan ends there. A patient without a tumour has `NOWHERE`. None where a patient or a slice's
        number is unknown.
    """
    if not (table["case"] != "").all() or not (table["slice"] >= 0).all():
        return None
    numbers, tumour = table["slice"].to_numpy(), table["tumour"].to_numpy(dtype=bool)
    found = np.full(len(table), NOWHERE)
    for _, rows in pd.Series(np.arange(len(table))).groupby(table["case"].to_numpy()):
        found[rows] = _of_patient(numbers[rows], tumour[rows])
    return found


def _of_patient(numbers: NDArray[Any], tumour: NDArray[np.bool_]) -> NDArray[np.int64]:
    if not tumour.any():
        return np.full(len(numbers), NOWHERE)
    # Beyond the first and the last slice there is no tumour.
    outside = np.concatenate([numbers[~tumour], [numbers.min() - 1, numbers.max() + 1]])
    inwards = np.abs(numbers[:, None] - outside).min(1) - 1
    outwards = np.abs(numbers[:, None] - numbers[tumour]).min(1)
    found: NDArray[np.int64] = np.where(tumour, inwards, -outwards).astype(np.int64)
    return found
