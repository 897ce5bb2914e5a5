"""Score how well heat maps over slices with a tumour point at the tumour."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from brain_tumor.metrics import bootstrap
from brain_tumor.metrics.bootstrap import Interval

Map = NDArray[np.float32]
Mask = NDArray[np.uint8]
THRESHOLDS = np.arange(1, 20) / 20  # shares of a map's maximum
_IOU = [f"iou@{threshold:g}" for threshold in THRESHOLDS]


def compare(pairs: Iterable[tuple[Map, Mask]]) -> pd.DataFrame:
    """Compare heat maps with masks.

    Args:
        pairs: heat maps float32 (H, W) with values from 0 up, each with its mask uint8 (H, W), which is not empty.

    Returns:
        One row per slice:

        - `pointing`: 1 where the map's maximum lies in the mask, otherwise 0. If several pixels have the maximum, the
          share of them in the mask. 0 for a map of zeros.
        - `energy`: the share of the map's sum inside the mask; 0 for a map of zeros.
        - `share`: the mask's share of the picture, which is the energy of an even map.
        - `zero`: whether the map is all zeros.
        - `iou@T` for each of `THRESHOLDS`: intersection over union of the mask and the pixels of the map that reach
          the share T of its maximum.
    """
    return pd.DataFrame([_compare(heat, mask.astype(bool)) for heat, mask in pairs])


def _compare(heat: Map, tumour: NDArray[np.bool_]) -> dict[str, Any]:
    highest, total = float(heat.max()), float(heat.sum(dtype=np.float64))
    scores: dict[str, Any] = {"share": tumour.mean(), "zero": highest <= 0}
    if highest <= 0:
        return scores | {"pointing": 0.0, "energy": 0.0} | dict.fromkeys(_IOU, 0.0)
    top = heat == highest
    scores |= {"pointing": (top & tumour).sum() / top.sum(), "energy": heat[tumour].sum(dtype=np.float64) / total}
    # Count the pixels, and the tumour's pixels, that reach each threshold: two histograms instead of twenty masks.
    levels = np.searchsorted(THRESHOLDS, heat / highest, side="right")
    every, inside = (
        np.bincount(counted.reshape(-1), minlength=len(THRESHOLDS) + 1)[::-1].cumsum()[::-1][1:]
        for counted in (levels, levels[tumour])
    )
    return scores | dict(zip(_IOU, inside / (every + tumour.sum() - inside), strict=True))


def threshold(slices: pd.DataFrame) -> float:
    """Return the threshold with the best mean IoU over slices of `compare`, which should not be test slices."""
    return float(THRESHOLDS[slices[_IOU].mean().argmax()])


def score(slices: pd.DataFrame, threshold: float) -> dict[str, Interval]:
    """Average `pointing`, `energy`, `share` and `iou` within a patient, then over patients.

    Args:
        slices: the table of `compare` with a column `case`; where a case is unknown, every slice counts as a patient.
        threshold: one of `THRESHOLDS`.
    """
    known = (slices["case"] != "").all()
    table = slices.assign(iou=slices[f"iou@{threshold:g}"])[["pointing", "energy", "share", "iou"]]
    means = table.groupby(slices["case"].to_numpy() if known else np.arange(len(slices))).mean()
    values = {str(name): torch.tensor(column.to_numpy(dtype=float)) for name, column in means.items()}

    def measure(weights: Tensor) -> dict[str, Tensor]:
        return {name: weights @ value / weights.sum(1) for name, value in values.items()}

    return bootstrap.intervals(measure, [str(name) for name in means.index])


def centre_gaussian(sizes: Iterable[tuple[int, int]]) -> Iterator[Map]:
    """Yield for each height and width a Gaussian at the picture's centre, its sigma a quarter of each side."""
    for height, width in sizes:
        y, x = (np.linspace(-0.5, 0.5, side, dtype=np.float32) for side in (height, width))
        yield np.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * 0.25**2))
