"""Score data with one label per patient: a patient's probability is the mean over the slices.

The bootstrap resamples people: if one person has several names, these are drawn together.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from brain_tumor.metrics import bootstrap
from brain_tumor.metrics.binary import confusion_matrix, one_class


class PatientMeans(NamedTuple):
    """Probabilities and labels of patients.

    Attributes:
        probabilities: float64 (P, C), means over a patient's slices.
        labels: int64 (P,).
        first: int64 (P,), the index of each patient's first slice.
        table: one row per patient with `case`, `label`, and `person` and `fold` where slices have them.
    """

    probabilities: Tensor
    labels: Tensor
    first: Tensor
    table: pd.DataFrame


def one_label_each(table: pd.DataFrame) -> bool:
    """Return whether every patient is known and has slices of one class only.

    Args:
        table: columns `case` and `label`.
    """
    known = len(table) > 0 and bool((table["case"] != "").all())
    return known and table["case"].nunique() > 1 and bool((table.groupby("case")["label"].nunique() == 1).all())


def people(table: pd.DataFrame) -> list[str]:
    """Return for each slice whom the bootstrap resamples: the person where the data names one, or else the case."""
    return list(table.get("person", table["case"]))


def group(table: pd.DataFrame, probabilities: Tensor) -> PatientMeans:
    """Average the probabilities (n, C) of each patient's slices.

    Args:
        table: columns `case`, `label` and perhaps `person` and `fold`, one row per slice.
        probabilities: float64 (n, C).
    """
    names, first, places = np.unique(table["case"].to_numpy(dtype=str), return_index=True, return_inverse=True)
    sums = torch.zeros(len(names), probabilities.shape[1], dtype=torch.float64)
    sums.index_add_(0, torch.from_numpy(places), probabilities.double())
    # Rounded, so that equal probabilities stay equal for any number of slices.
    means = (sums / torch.from_numpy(np.bincount(places)).double()[:, None]).round(decimals=12)
    first_rows = table.iloc[first].reset_index(drop=True)
    facts = first_rows[["case", "label", *(name for name in ("person", "fold") if name in first_rows)]]
    return PatientMeans(means, torch.tensor(first_rows["label"].to_numpy(dtype=np.int64)), torch.tensor(first), facts)


def score(
    table: pd.DataFrame, probabilities: Tensor, classes: Sequence[str], resamples: int = bootstrap.RESAMPLES
) -> dict[str, Any]:
    """Score slices and patients.

    Args:
        table: columns `case`, `label` and perhaps `person` and `fold`, one row per slice. Each fold is tested by
            another model, so areas are computed within folds and averaged, and the bootstrap draws within folds.
        probabilities: float64 (n, C), rows adding up to 1.
        classes: C names.
        resamples: number of bootstrap samples.

    Returns:
        With intervals, for slices and, as `patient_...`, for patients: `balanced_accuracy`, `macro_f1`,
        `recall(CLASS)` and `auroc(CLASS)`, which is that class against the rest. For patients only also
        `patient_accuracy` and `patient_auroc`, the mean over the classes. Without intervals:
        `patient_confusion_matrix` (actual class by predicted class) and the number of `patients`.
    """
    grouped = group(table, probabilities)
    labels = torch.tensor(table["label"].to_numpy(dtype=np.int64))
    folds = None if "fold" not in table else table["fold"].to_numpy()
    patient_folds = None if folds is None else grouped.table["fold"].to_numpy()

    def measure(weights: Tensor) -> dict[str, Tensor]:
        slices = measures(probabilities.double(), labels, weights, classes, folds)
        by_patient = measures(grouped.probabilities, grouped.labels, weights[:, grouped.first], classes, patient_folds)
        # `classification.score` has the slices' accuracy and AUROC already.
        by_slice = {name: slices[name] for name in slices if name not in {"accuracy", "auroc"}}
        return by_slice | {f"patient_{name}": value for name, value in by_patient.items()}

    scores: dict[str, Any] = dict(bootstrap.intervals(measure, people(table), _strata(folds), resamples))
    scores["patient_confusion_matrix"] = confusion_matrix(grouped.probabilities, grouped.labels)
    scores["patients"] = len(grouped.labels)
    return scores


def _strata(folds: NDArray[Any] | None) -> list[object] | None:
    return None if folds is None else list(folds)


def measures(
    probabilities: Tensor, labels: Tensor, weights: Tensor, classes: Sequence[str], folds: NDArray[Any] | None = None
) -> dict[str, Tensor]:
    """Compute accuracy, balanced accuracy, macro F1, and recall and AUROC of each class, for many weightings.

    Args:
        probabilities: float64 (n, C).
        labels: int64 (n,).
        weights: float64 (R, n).
        classes: C names.
        folds: (n,) numbers of folds: areas are computed within each and averaged. None for one fold.

    Returns:
        Values float64 (R,) by name; NaN where a weighting leaves a class without slices.
    """
    predicted = probabilities.argmax(1)
    every = range(probabilities.shape[1])
    rates = [one_class(probabilities[:, k], predicted == k, labels == k, weights) for k in every]
    areas = [_area(probabilities[:, k], predicted == k, labels == k, weights, folds) for k in every]
    return {
        "accuracy": weights @ (predicted == labels).double() / weights.sum(1),
        "balanced_accuracy": torch.stack([scores["sensitivity"] for scores in rates]).mean(0),
        "macro_f1": torch.stack([scores["f1"] for scores in rates]).mean(0),
        "auroc": torch.stack(areas).mean(0),
        **{f"recall({name})": scores["sensitivity"] for name, scores in zip(classes, rates, strict=True)},
        **{f"auroc({name})": area for name, area in zip(classes, areas, strict=True)},
    }


def _area(scores: Tensor, predicted: Tensor, actual: Tensor, weights: Tensor, folds: NDArray[Any] | None) -> Tensor:
    if folds is None:
        return one_class(scores, predicted, actual, weights)["auroc"]
    members = [torch.from_numpy(folds == fold) for fold in np.unique(folds)]
    # NaN stands for a fold that a bootstrap sample leaves with one class.
    within = [
        one_class(scores[member], predicted[member], actual[member], weights[:, member])["auroc"] for member in members
    ]
    return torch.stack(within).nanmean(0)


def permutation(
    table: pd.DataFrame, probabilities: Tensor, permutations: int = 10_000, seed: int = 0
) -> tuple[list[float], list[float]]:
    """Test each class's AUROC against the rest by permuting the patients' labels within folds.

    Args:
        table: as for `score`, with `fold`.
        probabilities: float64 (n, C).
        permutations: number of permutations.
        seed: seed of the permutations.

    Returns:
        The area of each class, computed within folds and averaged; and its one-sided p, the share of permutations
        with as large an area, at least 1 / (permutations + 1).
    """
    grouped = group(table, probabilities)
    folds = grouped.table["fold"].to_numpy()
    # Several names of one person are permuted separately, since their labels may differ.
    generator = np.random.default_rng(seed)
    drawn = np.tile(grouped.labels.numpy(), (permutations + 1, 1))
    for fold in np.unique(folds):
        places = np.flatnonzero(folds == fold)
        drawn[1:, places] = generator.permuted(drawn[1:, places], axis=1)
    areas = np.stack([_ranked(grouped.probabilities[:, k].numpy(), drawn == k, folds) for k in range(_width(grouped))])
    least = (1 + (areas[:, 1:] >= areas[:, :1] - 1e-12).sum(1)) / (permutations + 1)
    return [float(value) for value in areas[:, 0]], [float(value) for value in least]


def _width(grouped: PatientMeans) -> int:
    return int(grouped.probabilities.shape[1])


def _ranked(scores: NDArray[np.float64], actual: NDArray[np.bool_], folds: NDArray[Any]) -> NDArray[np.float64]:
    """Compute AUROCs of many labellings from the ranks of the scores, within folds, and average over the folds.

    Args:
        scores: float64 (n,).
        actual: bool (R, n), a labelling per row.
        folds: (n,) numbers of folds.

    Returns:
        float64 (R,).
    """
    from scipy.stats import rankdata

    areas = []
    for fold in np.unique(folds):
        member = folds == fold
        ranks, positives = rankdata(scores[member]), actual[:, member].sum(1)
        negatives = member.sum() - positives
        with np.errstate(invalid="ignore", divide="ignore"):
            areas.append(
                (actual[:, member] @ ranks - positives * (positives + 1) / 2) / (positives * negatives).astype(float)
            )
    mean: NDArray[np.float64] = np.nanmean(np.stack(areas), 0)
    return mean


def holm(values: Sequence[float]) -> list[float]:
    """Correct p values for multiple tests as Holm (1979) does, which is valid for dependent tests too."""
    order = np.argsort(values)
    factors = len(values) - np.arange(len(values))
    raised = np.minimum(1, np.maximum.accumulate(np.asarray(values)[order] * factors))
    corrected = np.empty(len(values))
    corrected[order] = raised
    return [float(value) for value in corrected]
