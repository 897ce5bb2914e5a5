"""Score masks at the size of their files, per volume and per slice, with the patient as the unit.

docs/localization.md has the definitions. A patient without a tumour has no Dice; a missed tumour has a Dice of 0.
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
# The numbers of patients that are averaged.
_MEANS = (
    "dice", "dice_slice", "iou_slice", "surface_dice", "hd95", "area_error", "empty_clean", "false_pixels",
    *(f"dice_{name}" for name in SIZES),
)  # fmt: skip


def compare(predicted: Mask, truth: Mask) -> dict[str, float]:
    """Compare two masks of one slice.

    Args:
        predicted: uint8 (H, W), not 0 where a tumour is predicted.
        truth: uint8 (H, W), not 0 where there is a tumour.

    Returns:
        - `tp`, `fp`, `fn`, `area` (of the truth) and `predicted_area`, in pixels.
        - `dice` and `iou`.
        - `surface_dice`: the share of both boundaries that lies within 2 pixels of the other.
        - `hd95`: the larger of the two directed 95th percentiles of the distances between the boundaries, in pixels.

        Where the truth has a tumour and the prediction none, the last four are 0, 0, 0 and the picture's diagonal.
        Where the truth has no tumour, they are NaN.
    """
    marked, tumour = predicted.astype(bool), truth.astype(bool)
    tp = int((marked & tumour).sum())
    counts = {"tp": tp, "fp": int(marked.sum()) - tp, "fn": int(tumour.sum()) - tp}
    counts |= {"area": int(tumour.sum()), "predicted_area": int(marked.sum())}
    if not tumour.any():
        return counts | dict.fromkeys(("dice", "iou", "surface_dice", "hd95"), np.nan)
    overlap = {"dice": _dice(counts["tp"], counts["fp"], counts["fn"]), "iou": tp / (marked | tumour).sum()}
    if not marked.any():
        return counts | overlap | {"surface_dice": 0.0, "hd95": float(np.hypot(*truth.shape))}
    forth, back = _boundary_distances(marked, tumour)
    near = (forth <= TOLERANCE).sum() + (back <= TOLERANCE).sum()
    far = max(np.percentile(forth, 95), np.percentile(back, 95))
    return counts | overlap | {"surface_dice": near / (len(forth) + len(back)), "hd95": float(far)}


def emptied(slices: pd.DataFrame, emptied_slices: NDArray[np.bool_], diagonals: NDArray[np.float64]) -> pd.DataFrame:
    """Return the values of `compare` as if nothing had been predicted in some slices.

    Args:
        slices: a table of the values of `compare`, one row per slice.
        emptied_slices: bool (n,), the slices without a prediction.
        diagonals: float64 (n,), the diagonals of the slices' pictures in pixels.
    """
    values = slices.copy()
    values.loc[emptied_slices, ["tp", "fp", "predicted_area"]] = 0
    values.loc[emptied_slices, "fn"] = slices.loc[emptied_slices, "area"]
    missed = emptied_slices & (slices["area"] > 0).to_numpy()
    values.loc[missed, ["dice", "iou", "surface_dice"]] = 0.0
    values.loc[missed, "hd95"] = diagonals[missed]
    return values


def terciles(areas: NDArray[np.int64]) -> tuple[float, float]:
    """Return the areas, in pixels, that divide the tumour slices among `areas` into thirds."""
    low, high = np.quantile(areas[areas > 0], [1 / 3, 2 / 3]) if (areas > 0).any() else (0, 0)
    return float(low), float(high)


def patients(slices: pd.DataFrame, thirds: tuple[float, float]) -> pd.DataFrame:
    """Score each patient over all slices.

    Args:
        slices: a table of the values of `compare` with a column `case`, one row per slice.
        thirds: the `terciles` of the data set's tumours.

    Returns:
        One row per patient, NaN where a number is not defined:

        - `dice`: 2 TP / (2 TP + FP + FN) over all slices.
        - `dice_slice`, `iou_slice`, `surface_dice` and `hd95`: means over tumour slices.
        - `area_error`: (predicted - true) / true; `area` in pixels; `tumour_slices`, their number.
        - `dice_small`, `dice_medium` and `dice_large`: `dice_slice` over the slices whose tumour is in that third.
        - Over empty slices, `empty_clean`: the share predicted empty; `false_pixels`: predicted pixels per slice.
    """
    rows = []
    for case, members in slices.groupby("case", sort=True):
        total = members[["tp", "fp", "fn", "area", "predicted_area"]].sum()
        tumour, empty = members[members["area"] > 0], members[members["area"] == 0]
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
    """Average the scores of patients, with intervals from a bootstrap over patients.

    Args:
        slices: a table of the values of `compare` with a column `case`, one row per slice. If a case is unknown, every
            slice counts as a patient.
        thirds: the `terciles` of the data set's tumours.
        strata: a label per slice, such as its fold; each bootstrap sample has as many patients of each label as the
            data. None for no strata.

    Returns:
        The means of the numbers of `patients` over the patients for whom they are defined; `dice_median` and
        `hd95_median`; `dice_pooled`, over all pixels of all slices; `dice_legacy`, the mean over all slices, where two
        empty masks count as 1; and `dice_minimum`, which has no limits. With a single patient nothing has limits,
        since one patient does not show how patients differ.
    """
    if (slices["case"] == "").any():
        slices = slices.assign(case=[f"{row}" for row in range(len(slices))])
    table = patients(slices, thirds)
    values = {name: torch.tensor(table[name].to_numpy(dtype=float)) for name in _MEANS}
    slices = slices.assign(legacy=_legacy(slices), n=1)
    totals = slices.groupby("case")[["tp", "fp", "fn", "legacy", "n"]].sum()
    sums = {name: torch.tensor(column.to_numpy(dtype=float)) for name, column in totals.items()}

    def measure(weights: Tensor) -> dict[str, Tensor]:
        means = {name: _mean(value, weights) for name, value in values.items()}
        means |= {f"{name}_median": _median(values[name], weights) for name in ("dice", "hd95")}
        tp, fp, fn, legacy, count = (weights @ sums[name] for name in ("tp", "fp", "fn", "legacy", "n"))
        return means | {"dice_pooled": 2 * tp / (2 * tp + fp + fn), "dice_legacy": legacy / count}

    scores = bootstrap.intervals(measure, list(table["case"]), _of_patients(slices, strata))
    if len(table) == 1:
        scores = {name: _alone(interval["value"]) for name, interval in scores.items()}
    lowest = table["dice"].min()
    return scores | {"dice_minimum": _alone(None if np.isnan(lowest) else float(lowest))}


def _of_patients(slices: pd.DataFrame, strata: Sequence[object] | None) -> list[object] | None:
    """Return the label of each patient, in the order of their names, from one per slice; None for None."""
    return None if strata is None else list(pd.Series(list(strata)).groupby(slices["case"].to_numpy()).first())


def score_region(slices: pd.DataFrame, strata: Sequence[object] | None = None) -> dict[str, Interval]:
    """Average the Dice per volume of a region over patients, with intervals from a bootstrap over them.

    Args:
        slices: columns `tp`, `fp`, `fn` and `case`, one row per slice.
        strata: see `score`.

    Returns:
        `dice`, the mean over the patients who have the region, as for whole tumours; and `dice_brats`, the mean over
        all of them, where a patient without the region has 1 if nothing is predicted, and else 0.
    """
    totals = slices.groupby("case", sort=True)[["tp", "fp", "fn"]].sum()
    tp, fp, fn = (totals[name].to_numpy(dtype=float) for name in ("tp", "fp", "fn"))
    there = tp + fn > 0
    dice = 2 * tp / np.maximum(2 * tp + fp + fn, 1)
    values = {
        "dice": torch.tensor(np.where(there, dice, np.nan)),
        "dice_brats": torch.tensor(np.where(there, dice, np.where(fp > 0, 0.0, 1.0))),
    }
    names = [str(name) for name in totals.index]
    patient_strata = _of_patients(slices, strata)
    scores = bootstrap.intervals(
        lambda weights: {name: _mean(value, weights) for name, value in values.items()}, names, patient_strata
    )
    if len(totals) == 1:
        scores = {name: _alone(interval["value"]) for name, interval in scores.items()}
    return scores


def volumes(cases: Sequence[str], numbers: Sequence[int]) -> Iterator[list[int]]:
    """Yield the row numbers of each named patient's slices, from the lowest slice number up."""
    table = pd.DataFrame({"case": list(cases), "slice": list(numbers)})
    for case, members in table.groupby("case", sort=True):
        if case:
            yield [int(place) for place in members.sort_values("slice").index]


def _alone(value: float | None) -> Interval:
    return {"value": value, "low": None, "high": None}


def _dice(tp: float, fp: float, fn: float) -> float:
    return 2 * tp / (2 * tp + fp + fn)


def _legacy(slices: pd.DataFrame) -> Any:
    both = 2 * slices["tp"] + slices["fp"] + slices["fn"]
    return (2 * slices["tp"] / both.clip(lower=1)).where(both > 0, 1.0)


def _boundary_distances(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the distances in pixels from each boundary pixel of one mask to the other's boundary, for both masks."""
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (first, second)]
    distances = [ndimage.distance_transform_edt(~edge) for edge in edges]
    return distances[1][edges[0]], distances[0][edges[1]]


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Average the defined values (n,) for each weighting (R, n): (R,), NaN where none is defined."""
    known = ~values.isnan()
    return weights[:, known] @ values[known] / weights[:, known].sum(1)


def _median(values: Tensor, weights: Tensor) -> Tensor:
    """Return the median for each weighting by whole numbers; a value of weight 2 counts twice."""
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
