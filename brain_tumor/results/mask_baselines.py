"""What masks that see no pixel score on the same split: every Dice must be read beside them."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.results import baselines

_BINS = 20
_THRESHOLDS = np.arange(1, 20) / 40


def by_height(table: pd.DataFrame, masks: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
    """Give every test slice the mean mask of the training slices at the same relative height within their case.

    Args:
        table: columns `case`, `slice` and `part`, one row a slice; every slice has a number.
        masks: uint8 (N, H, W) of 0 and 1.

    Returns:
        Shares of tumour float32 (n, H, W), one a test slice, and the threshold with the best mean Dice a volume on
        the training part.
    """
    bins = (baselines.heights(table) * _BINS).clip(upper=_BINS - 1).astype(int).to_numpy()
    train, test = (np.flatnonzero(table["part"] == part) for part in ("train", "test"))
    means = np.zeros((_BINS, *masks.shape[1:]), np.float32)
    counts = np.zeros((len(train), len(_THRESHOLDS), 2))  # hits and predicted pixels
    for own in range(_BINS):
        places = np.flatnonzero(bins[train] == own)
        if not len(places):
            continue
        pixels = masks[train[places]].reshape(len(places), -1).astype(np.float32)
        means[own] = pixels.mean(0).reshape(masks.shape[1:])
        found = means[own].reshape(1, -1) >= _THRESHOLDS[:, None].astype(np.float32)
        counts[places, :, 0] = pixels @ found.T.astype(np.float32)
        counts[places, :, 1] = found.sum(1)
    areas = masks[train].reshape(len(train), -1).sum(1, dtype=np.int64)
    sums = pd.DataFrame({"area": areas}).groupby(table["case"].to_numpy()[train]).sum()
    cases = pd.factorize(table["case"].to_numpy()[train], sort=True)[0]
    totals = np.zeros((len(sums), *counts.shape[1:]))
    np.add.at(totals, cases, counts)
    tumours = sums["area"].to_numpy() > 0
    dice = 2 * totals[tumours, :, 0] / (totals[tumours, :, 1] + sums["area"].to_numpy()[tumours, None])
    return means[bins[test]], float(_THRESHOLDS[dice.mean(0).argmax()])
