"""What masks that see no pixel score on the same split: every Dice must be read beside them."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.metrics import baselines

_BINS = 20
_THRESHOLDS = np.arange(1, 20) / 40
_TOGETHER = 128  # masks


class ByHeight(NamedTuple):
    """Mean masks of training slices, by their relative height within their case.

    Attributes:
        means: shares of tumour float32 (20, H, W), from the lowest height up.
        places: integers (n,), the height of each test slice.
        threshold: the share with the best mean Dice a volume on the training part.
    """

    means: NDArray[np.float32]
    places: NDArray[np.integer]
    threshold: float


def by_height(table: pd.DataFrame, masks: NDArray[np.uint8]) -> ByHeight:
    """Average the masks of the training slices at each height.

    Args:
        table: columns `case`, `slice` and `part`, one row a slice; every slice has a number.
        masks: uint8 (N, H, W) of 0 and 1, of which some are looked at together, however many there are.
    """
    bins = (baselines.heights(table) * _BINS).clip(upper=_BINS - 1).astype(int).to_numpy()
    train, test = (np.flatnonzero(table["part"] == part) for part in ("train", "test"))
    means = np.zeros((_BINS, *masks.shape[1:]), np.float32)
    counts = np.zeros((len(train), len(_THRESHOLDS), 2))  # hits and predicted pixels
    areas = np.zeros(len(train), np.int64)
    for own in range(_BINS):
        chunks = _chunks(np.flatnonzero(bins[train] == own))
        if not chunks:
            continue
        sums = sum(masks[train[places]].sum(0, dtype=np.int64) for places in chunks)
        means[own] = sums / sum(map(len, chunks))
        found = means[own].reshape(1, -1) >= _THRESHOLDS[:, None].astype(np.float32)
        for places in chunks:
            pixels = masks[train[places]].reshape(len(places), -1).astype(np.float32)
            counts[places, :, 0] = pixels @ found.T.astype(np.float32)
            counts[places, :, 1] = found.sum(1)
            areas[places] = pixels.sum(1, dtype=np.float64)
    totals_of_areas = pd.DataFrame({"area": areas}).groupby(table["case"].to_numpy()[train]).sum()["area"].to_numpy()
    cases = pd.factorize(table["case"].to_numpy()[train], sort=True)[0]
    totals = np.zeros((len(totals_of_areas), *counts.shape[1:]))
    np.add.at(totals, cases, counts)
    tumours = totals_of_areas > 0
    dice = 2 * totals[tumours, :, 0] / (totals[tumours, :, 1] + totals_of_areas[tumours, None])
    return ByHeight(means, bins[test], float(_THRESHOLDS[dice.mean(0).argmax()]))


def _chunks(places: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [places[start : start + _TOGETHER] for start in range(0, len(places), _TOGETHER)]
