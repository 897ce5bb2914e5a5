"""Score masks at the size that the files have, a volume and a slice at a time, with the patient as the unit.

The definitions are those of docs/localization.md. A patient without a tumour has no Dice; a missed tumour has 0.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from brain_tumor.metrics import bootstrap
from brain_tumor.metrics.bootstrap import Interval

Mask = NDArray[np.uint8]
TOLERANCE = 2.0  # of the surface Dice, in pixels
SIZES = ("small", "medium", "large")  # thirds of the tumour slices, by area


def compare(predicted: Mask, truth: Mask) -> dict[str, float]:
    """Compare two masks (H, W) of one slice.

    Returns:
        `tp`, `fp`, `fn`, `area` (of the truth) and `predicted_area`, in pixels; on tumour slices also `dice`, `iou`,
        `surface_dice` (the share of both boundaries that lies within 2 pixels of the other) and `hd95` (the larger of
        the two directed 95th percentiles of the distances between the boundaries, in pixels). Where the truth has a
        tumour and the prediction none, they are 0, 0, 0 and the picture's diagonal; where the truth has none, NaN.
    """
    found, tumour = predicted.astype(bool), truth.astype(bool)
    tp = int((found & tumour).sum())
    counts = {"tp": tp, "fp": int(found.sum()) - tp, "fn": int(tumour.sum()) - tp}
    counts |= {"area": int(tumour.sum()), "predicted_area": int(found.sum())}
    if not tumour.any():
        return counts | dict.fromkeys(("dice", "iou", "surface_dice", "hd95"), np.nan)
    overlap = {"dice": _dice(counts["tp"], counts["fp"], counts["fn"]), "iou": tp / (found | tumour).sum()}
    if not found.any():
        return counts | overlap | {"surface_dice": 0.0, "hd95": float(np.hypot(*truth.shape))}
    forth, back = _boundary_distances(found, tumour)
    near = (forth <= TOLERANCE).sum() + (back <= TOLERANCE).sum()
    far = max(np.percentile(forth, 95), np.percentile(back, 95))
    return counts | overlap | {"surface_dice": near / (len(forth) + len(back)), "hd95": float(far)}


def emptied(slices: pd.DataFrame, gone: NDArray[np.bool_], diagonals: NDArray[np.float64]) -> pd.DataFrame:
    """Return `compare`'s values as if nothing had been predicted in some slices.

    Args:
        slices: `compare`'s values.
        gone: (n,) which slices.
        diagonals: (n,) of the slices' pictures, in pixels.
    """
    found = slices.copy()
    found.loc[gone, ["tp", "fp", "predicted_area"]] = 0
    found.loc[gone, "fn"] = slices.loc[gone, "area"]
    missed = gone & (slices["area"] > 0).to_numpy()
    found.loc[missed, ["dice", "iou", "surface_dice"]] = 0.0
    found.loc[missed, "hd95"] = diagonals[missed]
    return found


def terciles(areas: NDArray[np.int64]) -> tuple[float, float]:
    """Return the areas, in pixels, that divide the tumour slices among `areas` into thirds."""
    low, high = np.quantile(areas[areas > 0], [1 / 3, 2 / 3]) if (areas > 0).any() else (0, 0)
    return float(low), float(high)


def patients(slices: pd.DataFrame, thirds: tuple[float, float]) -> pd.DataFrame:
    """Sum up the slices of each patient.

    Args:
        slices: `compare`'s values with `case`.
        thirds: `terciles` of the data set's tumours.

    Returns:
        One row a patient: `dice` (2 TP / (2 TP + FP + FN) over all slices; NaN without a tumour), the means of
        `dice_slice`, `iou_slice`, `surface_dice` and `hd95` over tumour slices, `area_error` ((predicted - true) /
        true), `area`, `tumour_slices`, `dice_small`, `dice_medium` and `dice_large` (`dice_slice` of the slices whose
        tumour is in that third), and over empty slices `empty_clean` (the share predicted empty) and
        `false_pixels` (a slice).
    """
    rows = []
    for case, own in slices.groupby("case", sort=True):
        total = own[["tp", "fp", "fn", "area", "predicted_area"]].sum()
        tumour, empty = own[own["area"] > 0], own[own["area"] == 0]
        third = np.digitize(tumour["area"], thirds, right=True)
        rows.append(
            {
                "case": case,
                "dice": _dice(total["tp"], total["fp"], total["fn"]) if len(tumour) else np.nan,
                "dice_slice": tumour["dice"].mean(),
                "iou_slice": tumour["iou"].mean(),
                "surface_dice": tumour["surface_dice"].mean(),
                "hd95": tumour["hd95"].mean(),
                "area_error": (total["predicted_area"] - total["area"]) / total["area"] if len(tumour) else np.nan,
                "area": total["area"],
                "tumour_slices": len(tumour),
                **{f"dice_{name}": tumour["dice"][third == place].mean() for place, name in enumerate(SIZES)},
                "empty_clean": (empty["predicted_area"] == 0).mean(),
                "false_pixels": empty["predicted_area"].mean(),
            }
        )
    return pd.DataFrame(rows)


def score(
    slices: pd.DataFrame, thirds: tuple[float, float], strata: Sequence[object] | None = None
) -> dict[str, Interval]:
    """Average over patients, with intervals from a bootstrap over them.

    Args:
        slices: `compare`'s values with `case`; where it is unknown, every slice counts as a patient.
        thirds: `terciles` of the data set's tumours.
        strata: what the bootstrap keeps the sizes of, such as folds, one a slice; None for one.

    Returns:
        Means of `patients`' numbers over those who have them, `dice_median`, `hd95_median`, `dice_pooled` (over all
        pixels of all slices) and `dice_legacy` (the mean over all slices, two empty masks counting 1); and without
        limits `dice_minimum`. One patient says nothing about others: nothing has limits then.
    """
    if (slices["case"] == "").any():
        slices = slices.assign(case=[f"{row}" for row in range(len(slices))])
    table = patients(slices, thirds)
    names = [
        "dice", "dice_slice", "iou_slice", "surface_dice", "hd95", "area_error", "empty_clean", "false_pixels",
        *(f"dice_{name}" for name in SIZES),
    ]  # fmt: skip
    values = {name: torch.tensor(table[name].to_numpy(dtype=float)) for name in names}
    sums = {
        name: torch.tensor(column.to_numpy(dtype=float))
        for name, column in slices.assign(legacy=_legacy(slices), n=1).groupby("case")[
            ["tp", "fp", "fn", "legacy", "n"]
        ].sum().items()
    }  # fmt: skip

    def measure(weights: Tensor) -> dict[str, Tensor]:
        found = {name: _mean(value, weights) for name, value in values.items()}
        found |= {f"{name}_median": _median(values[name], weights) for name in ("dice", "hd95")}
        tp, fp, fn, legacy, count = (weights @ sums[name] for name in ("tp", "fp", "fn", "legacy", "n"))
        return found | {"dice_pooled": 2 * tp / (2 * tp + fp + fn), "dice_legacy": legacy / count}

    own = None if strata is None else list(pd.Series(list(strata)).groupby(slices["case"].to_numpy()).first())
    found = bootstrap.intervals(measure, list(table["case"]), own)
    if len(table) == 1:
        found = {name: _alone(interval["value"]) for name, interval in found.items()}
    lowest = table["dice"].min()
    return found | {"dice_minimum": _alone(None if np.isnan(lowest) else float(lowest))}


def largest_component(volume: Mask) -> Mask:
    """Keep the largest 6-connected part of a volume (slices, H, W)."""
    labels, count = ndimage.label(volume)
    if count < 2:
        return volume
    sizes = np.bincount(labels.reshape(-1))
    kept: Mask = (labels == 1 + sizes[1:].argmax()).astype(np.uint8)
    return kept


def volumes(cases: Sequence[str], numbers: Sequence[int]) -> Iterator[list[int]]:
    """Yield the places of each patient's slices, from the lowest number up."""
    table = pd.DataFrame({"case": list(cases), "slice": list(numbers)})
    for case, own in table.groupby("case", sort=True):
        if case:
            yield [int(place) for place in own.sort_values("slice").index]


def _alone(value: float | None) -> Interval:
    return {"value": value, "low": None, "high": None}


def _dice(tp: float, fp: float, fn: float) -> float:
    return 2 * tp / (2 * tp + fp + fn)


def _legacy(slices: pd.DataFrame) -> Any:
    both = 2 * slices["tp"] + slices["fp"] + slices["fn"]
    return (2 * slices["tp"] / both.clip(lower=1)).where(both > 0, 1.0)


def _boundary_distances(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return how far each boundary pixel of either mask is from the other's boundary, in pixels."""
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (first, second)]
    distances = [ndimage.distance_transform_edt(~edge) for edge in edges]
    return distances[1][edges[0]], distances[0][edges[1]]


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Average what is defined: values (n,) and weights (R, n) to (R,), NaN where nothing is."""
    known = ~values.isnan()
    return weights[:, known] @ values[known] / weights[:, known].sum(1)


def _median(values: Tensor, weights: Tensor) -> Tensor:
    """Return the median of each weighting by whole numbers, as if a value of weight 2 stood twice."""
    known = ~values.isnan()
    if not known.any():
        return torch.full((len(weights),), torch.nan, dtype=torch.float64)
    order = values[known].argsort()
    ordered, ends = values[known][order], weights[:, known][:, order].cumsum(1)
    total = ends[:, -1:]
    lower, upper = (torch.searchsorted(ends, middle, right=True) for middle in ((total - 1) // 2, total // 2))
    last = len(ordered) - 1
    middle = (ordered[lower.clamp(max=last)] + ordered[upper.clamp(max=last)]) / 2
    return torch.where(total > 0, middle, torch.nan)[:, 0]
