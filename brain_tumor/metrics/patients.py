"""Score classes that are patients': a patient's probability is the mean over the slices.

The bootstrap resamples people: names that one person has are drawn together.
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


class Grouped(NamedTuple):
    """Slices by patient.

    Attributes:
        probabilities: float64 (P, C), means over a patient's slices.
        labels: int64 (P,).
        first: int64 (P,), a slice of each patient.
        table: a row a patient: `case`, `person`, `label`, and `fold` where slices have one.
    """

    probabilities: Tensor
    labels: Tensor
    first: Tensor
    table: pd.DataFrame


def apply(table: pd.DataFrame) -> bool:
    """Return whether classes are patients': every patient is known, and has slices of one class only.

    Args:
        table: columns `case` and `label`.
    """
    known = len(table) > 0 and bool((table["case"] != "").all())
    return known and table["case"].nunique() > 1 and bool((table.groupby("case")["label"].nunique() == 1).all())


def people(table: pd.DataFrame) -> list[str]:
    """Name who is resampled: the person where the data tells, else the case."""
    return list(table.get("person", table["case"]))


def group(table: pd.DataFrame, probabilities: Tensor) -> Grouped:
    """Average the probabilities (n, C) of each patient's slices.

    Args:
        table: columns `case`, `label` and perhaps `person` and `fold`, one row a slice.
        probabilities: float64 (n, C).
    """
    names, first, places = np.unique(table["case"].to_numpy(dtype=str), return_index=True, return_inverse=True)
    sums = torch.zeros(len(names), probabilities.shape[1], dtype=torch.float64)
    sums.index_add_(0, torch.from_numpy(places), probabilities.double())
    # Rounded, so that equal probabilities stay equal whatever the number of slices.
    means = (sums / torch.from_numpy(np.bincount(places)).double()[:, None]).round(decimals=12)
    own = table.iloc[first].reset_index(drop=True)
    kept = own[["case", "label", *(name for name in ("person", "fold") if name in own)]]
    return Grouped(means, torch.tensor(own["label"].to_numpy(dtype=np.int64)), torch.tensor(first), kept)


def score(
    table: pd.DataFrame, probabilities: Tensor, classes: Sequence[str], resamples: int = bootstrap.RESAMPLES
) -> dict[str, Any]:
    """Score slices and patients.

    Args:
        table: columns `case`, `label` and perhaps `person` and `fold`, one row a slice. With folds, each tested by its
            own model, areas are computed within each and averaged, and the bootstrap draws within folds.
        probabilities: float64 (n, C), rows adding up to 1.
        classes: C names.
        resamples: number of bootstrap samples.

    Returns:
        With intervals, of slices and, as `patient_...`, of patients: `balanced_accuracy`, `macro_f1`, `recall(CLASS)`
        and `auroc(CLASS)`, that class against the rest; `patient_accuracy` and `patient_auroc`, the mean over the
        classes; the `patient_confusion_matrix` (actual class by predicted class), and how many `patients`.
    """
    grouped = group(table, probabilities)
    labels = torch.tensor(table["label"].to_numpy(dtype=np.int64))
    folds = None if "fold" not in table else table["fold"].to_numpy()
    of_patients = None if folds is None else grouped.table["fold"].to_numpy()

    def measure(weights: Tensor) -> dict[str, Tensor]:
        slices = measures(probabilities.double(), labels, weights, classes, folds)
        own = measures(grouped.probabilities, grouped.labels, weights[:, grouped.first], classes, of_patients)
        kept = {name: slices[name] for name in slices if name not in {"accuracy", "auroc"}}  # which stand there already
        return kept | {f"patient_{name}": value for name, value in own.items()}

    found: dict[str, Any] = dict(bootstrap.intervals(measure, people(table), _strata(folds), resamples))
    found["patient_confusion_matrix"] = confusion_matrix(grouped.probabilities, grouped.labels)
    found["patients"] = len(grouped.labels)
    return found


def _strata(folds: NDArray[Any] | None) -> list[object] | None:
    return None if folds is None else list(folds)


def measures(
    probabilities: Tensor, labels: Tensor, weights: Tensor, classes: Sequence[str], folds: NDArray[Any] | None = None
) -> dict[str, Tensor]:
    """Compute accuracy, balanced accuracy, macro F1, and of each class recall and AUROC, for many weightings.

    Args:
        probabilities: float64 (n, C).
        labels: int64 (n,).
        weights: float64 (R, n).
        classes: C names.
        folds: (n,), within which areas are computed and then averaged; None for one.

    Returns:
        Values (R,) by name; NaN where a weighting leaves a class without anything.
    """
    predicted = probabilities.argmax(1)
    every = range(probabilities.shape[1])
    own = [one_class(probabilities[:, k], predicted == k, labels == k, weights) for k in every]
    areas = [_area(probabilities[:, k], predicted == k, labels == k, weights, folds) for k in every]
    return {
        "accuracy": weights @ (predicted == labels).double() / weights.sum(1),
        "balanced_accuracy": torch.stack([scores["sensitivity"] for scores in own]).mean(0),
        "macro_f1": torch.stack([scores["f1"] for scores in own]).mean(0),
        "auroc": torch.stack(areas).mean(0),
        **{f"recall({name})": scores["sensitivity"] for name, scores in zip(classes, own, strict=True)},
        **{f"auroc({name})": area for name, area in zip(classes, areas, strict=True)},
    }


def _area(scores: Tensor, predicted: Tensor, actual: Tensor, weights: Tensor, folds: NDArray[Any] | None) -> Tensor:
    if folds is None:
        return one_class(scores, predicted, actual, weights)["auroc"]
    members = [torch.from_numpy(folds == fold) for fold in np.unique(folds)]
    # A fold that a bootstrap sample leaves with one class has none.
    within = [one_class(scores[own], predicted[own], actual[own], weights[:, own])["auroc"] for own in members]
    return torch.stack(within).nanmean(0)


def permutation(
    table: pd.DataFrame, probabilities: Tensor, permutations: int = 2000, seed: int = 0
) -> tuple[list[float], list[float]]:
    """Ask how often patients' labels, permuted within folds, give as large an AUROC of a class against the rest.

    Args:
        table: as for `score`, with `fold`.
        probabilities: float64 (n, C).
        permutations: how many.
        seed: of the permutations.

    Returns:
        The areas of each class, means within folds, and their one-sided p: at least 1 / (permutations + 1).
    """
    grouped = group(table, probabilities)
    folds = grouped.table["fold"].to_numpy()
    # Names of one person are permuted one by one: nothing says that their labels are one.
    generator = np.random.default_rng(seed)
    drawn = np.tile(grouped.labels.numpy(), (permutations + 1, 1))
    for fold in np.unique(folds):
        places = np.flatnonzero(folds == fold)
        drawn[1:, places] = generator.permuted(drawn[1:, places], axis=1)
    areas = np.stack([_ranked(grouped.probabilities[:, k].numpy(), drawn == k, folds) for k in range(_width(grouped))])
    least = (1 + (areas[:, 1:] >= areas[:, :1] - 1e-12).sum(1)) / (permutations + 1)
    return [float(value) for value in areas[:, 0]], [float(value) for value in least]


def _width(grouped: Grouped) -> int:
    return int(grouped.probabilities.shape[1])


def _ranked(scores: NDArray[np.float64], actual: NDArray[np.bool_], folds: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean within folds of the areas of labellings bool (R, n), by the ranks of the scores (n,)."""
    from scipy.stats import rankdata

    areas = []
    for fold in np.unique(folds):
        own = folds == fold
        ranks, positives = rankdata(scores[own]), actual[:, own].sum(1)
        negatives = own.sum() - positives
        with np.errstate(invalid="ignore", divide="ignore"):
            areas.append(
                (actual[:, own] @ ranks - positives * (positives + 1) / 2) / (positives * negatives).astype(float)
            )
    found: NDArray[np.float64] = np.nanmean(np.stack(areas), 0)
    return found


def holm(values: Sequence[float]) -> list[float]:
    """Correct p values for their number, as Holm (1979) does: still valid if they depend on each other."""
    order = np.argsort(values)
    factors = len(values) - np.arange(len(values))
    raised = np.minimum(1, np.maximum.accumulate(np.asarray(values)[order] * factors))
    found = np.empty(len(values))
    found[order] = raised
    return [float(value) for value in found]
