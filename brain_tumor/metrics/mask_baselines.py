"""Predict masks without any pixel: an image-free baseline on the same split, beside which every Dice is read."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.metrics import baselines

_BINS = 20
_THRESHOLDS = np.arange(1, 20) / 40  # of the share of training slices with a tumour at a pixel
_FOREGROUND = np.arange(256) > 0
_TOGETHER = 128  # masks in memory at once


class ByHeight(NamedTuple):
    """Mean masks of the training slices, by their relative height within their case.

    Attributes:
        means: float32 (20, H, W), the share of slices with a tumour at each pixel, from the lowest height up.
        places: integers (n,) from 0 to 19, the height of each test slice.
        threshold: the share from which on a pixel is predicted as tumour: the one with the best mean Dice per volume on
            the training part.
    """

    means: NDArray[np.float32]
    places: NDArray[np.integer]
    threshold: float


def by_height(table: pd.DataFrame, masks: NDArray[np.uint8], tumour: NDArray[np.bool_] = _FOREGROUND) -> ByHeight:
    """Average the masks of the training slices at each height, and choose a threshold for the averages.

    Args:
        table: columns `case`, `slice` and `part`, one row per slice; every slice has a number.
        masks: uint8 (N, H, W) of labels, possibly on disk: only 128 are read at a time.
        tumour: bool (256,), which labels count.
    """
    bins = (baselines.heights(table) * _BINS).clip(upper=_BINS - 1).astype(int).to_numpy()
    train, test = (np.flatnonzero(table["part"] == part) for part in ("train", "test"))
    means = np.zeros((_BINS, *masks.shape[1:]), np.float32)
    counts = np.zeros((len(train), len(_THRESHOLDS), 2))  # true positive and predicted pixels
    areas = np.zeros(len(train), np.int64)
    for height in range(_BINS):
        chunks = _chunks(np.flatnonzero(bins[train] == height))
        if not chunks:
            continue
        sums = sum(tumour[masks[train[places]]].sum(0, dtype=np.int64) for places in chunks)
        means[height] = sums / sum(map(len, chunks))
        predicted = means[height].reshape(1, -1) >= _THRESHOLDS[:, None].astype(np.float32)
        for places in chunks:
            pixels = tumour[masks[train[places]]].reshape(len(places), -1).astype(np.float32)
            counts[places, :, 0] = pixels @ predicted.T.astype(np.float32)
            counts[places, :, 1] = predicted.sum(1)
            areas[places] = pixels.sum(1, dtype=np.float64)
    return ByHeight(means, bins[test], _best_threshold(table["case"].to_numpy()[train], counts, areas))


def _best_threshold(cases: NDArray[Any], counts: NDArray[np.float64], areas: NDArray[np.int64]) -> float:
    """Return the threshold with the best mean Dice per volume.

    Args:
        cases: n names of patients, one per slice.
        counts: float64 (n, thresholds, 2), true positive and predicted pixels of each slice.
        areas: int64 (n,), pixels of each slice's tumour.
    """
    names, members = np.unique(cases.astype(str), return_inverse=True)
    total_areas = np.bincount(members, weights=areas, minlength=len(names))
    totals = np.zeros((len(names), *counts.shape[1:]))
    np.add.at(totals, members, counts)
    tumours = total_areas > 0
    dice = 2 * totals[tumours, :, 0] / (totals[tumours, :, 1] + total_areas[tumours, None])
    return float(_THRESHOLDS[dice.mean(0).argmax()])


def _chunks(places: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [places[start : start + _TOGETHER] for start in range(0, len(places), _TOGETHER)]
