"""Score classifications of slices: every metric with its interval, and the table of predictions."""

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from brain_tumor.io.tables import columns
from brain_tumor.metrics import baselines, bootstrap, patients
from brain_tumor.metrics.binary import confusion_matrix, one_class
from brain_tumor.metrics.bootstrap import Interval

_BINS = 15  # of the calibration error


def score_probabilities(
    scored: pd.DataFrame, classes: list[str], probabilities: Tensor, positive: str | None
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Score predictions on slices.

    Args:
        scored: the slices' rows of the data module's table.
        classes: C names of classes.
        probabilities: float64 (n, C), rows adding up to 1.
        positive: the class that means a tumour; None for none.

    Returns:
        The scores and the table of predictions. The scores are every metric with its interval, the confusion matrix,
        what the intervals resample, and, where each patient has one label, those of `brain_tumor.metrics.patients`.
    """
    labels = torch.tensor(scored["label"].to_numpy())
    cases = patients.people(scored)
    # One model has tested all slices, even where the data has folds.
    without_folds = scored.drop(columns="fold", errors="ignore")
    scores = {
        **score(probabilities, labels, cases, place_of(positive, classes)),
        **(patients.score(without_folds, probabilities, classes) if patients.one_label_each(scored) else {}),
        "confusion_matrix": confusion_matrix(probabilities, labels),
        "resampled": bootstrap.resampled_unit(cases),
        "slices": len(scored),
    }
    return scores, predictions(scored, probabilities.numpy(), classes)


def score_baselines(table: pd.DataFrame, classes: list[str], positive: str | None) -> dict[str, dict[str, Interval]]:
    """Score every baseline that the data allows on the test part of the data module's table."""
    train, test = (table[table["part"] == part] for part in ("train", "test"))
    predicted = baselines.predict(train, test, len(classes))
    return {
        name: score_baseline(test, classes, torch.from_numpy(probabilities), positive)
        for name, probabilities in predicted.items()
    }


def score_baseline(
    test: pd.DataFrame, classes: list[str], probabilities: Tensor, positive: str | None
) -> dict[str, Interval]:
    """Score probabilities, float64 (n, C), of test slices like `score_probabilities`, but return intervals only."""
    scores = score_probabilities(test, classes, probabilities, positive)[0]
    return {name: cast("Interval", value) for name, value in scores.items() if isinstance(value, dict)}


def predictions(table: pd.DataFrame, probabilities: NDArray[np.floating], classes: list[str]) -> pd.DataFrame:
    """Return the table of test slices with their probabilities (n, C), one column `p(<class>)` per class."""
    chances = pd.DataFrame(probabilities, columns=columns(classes), index=table.index)
    known = [name for name in ("path", "case", "person", "slice", "label") if name in table]
    return pd.concat([table[known], chances], axis=1)


def answers(predictions: pd.DataFrame) -> pd.DataFrame:
    """Add to a table of predictions the columns `predicted` (a class index), `confidence` and `right`."""
    scores: NDArray[np.float64] = probabilities_of(predictions).to_numpy()
    predicted = scores.argmax(1)
    return predictions.assign(
        predicted=predicted, confidence=scores.max(1), right=predicted == predictions["label"].to_numpy()
    )


def probabilities_of(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of a table of predictions that hold probabilities, in the order of the classes."""
    return predictions.filter(regex=r"^p\(")


def place_of(positive: str | None, classes: Sequence[str]) -> int | None:
    """Return the index of the class that means a tumour if there are two classes; None otherwise."""
    return classes.index(positive) if positive is not None and len(classes) == 2 else None


def score(
    probabilities: Tensor,
    labels: Tensor,
    cases: Sequence[str],
    positive: int | None,
    resamples: int = bootstrap.RESAMPLES,
) -> dict[str, Interval]:
    """Return every metric with its 95 % interval.

    Args:
        probabilities: float (n, C), rows adding up to 1.
        labels: int64 (n,) in [0, C).
        cases: n names of patients; "" for unknown.
        positive: index of the class that means a tumour (see `place_of`); None for none.
        resamples: number of bootstrap samples.

    Returns:
        `loss` (mean cross-entropy in nats), `accuracy`, `sensitivity`, `specificity`, `precision`, `f1`, `auroc`,
        `average_precision` and `calibration_error` (expected, 15 bins, of the predicted class). The metrics from
        sensitivity to average precision are those of the positive class; without one they are means over the
        classes, each against the rest. A metric that is undefined because a class has no slice is None.
    """
    return bootstrap.intervals(partial(_weighted, probabilities.double(), labels, positive), cases, resamples=resamples)


def values(probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    """Return every metric like `score` without a positive class, but without intervals."""
    numbers = _weighted(probabilities.double(), labels, None, torch.ones(1, len(labels), dtype=torch.float64))
    return {name: float(value) for name, value in numbers.items()}


def score_folds(
    probabilities: Sequence[Tensor], labels: Tensor, cases: Sequence[str], folds: Sequence[int], positive: int | None
) -> dict[str, Interval]:
    """Score the slices of all folds together, each tested by its fold's model, and average over seeds.

    Args:
        probabilities: for each seed float64 (n, C), rows adding up to 1.
        labels: int64 (n,) in [0, C).
        cases: n names of patients.
        folds: n numbers of folds.
        positive: index of the class that means a tumour (see `place_of`); None for none.

    Returns:
        The metrics of `score`. But `auroc` and `average_precision` are computed within each fold and averaged, since
        the scores of several models share no scale, and the bootstrap draws patients within folds.
    """
    members = [torch.tensor([number == fold for number in folds]) for fold in sorted(set(folds))]

    def measure(weights: Tensor) -> dict[str, Tensor]:
        by_seed = []
        for seed in probabilities:
            values = _weighted(seed, labels, positive, weights)
            within = [_weighted(seed[fold], labels[fold], positive, weights[:, fold]) for fold in members]
            for name in ("auroc", "average_precision"):
                # NaN stands for a fold that a bootstrap sample leaves with one class.
                values[name] = torch.stack([fold[name] for fold in within]).nanmean(0)
            by_seed.append(values)
        return {name: torch.stack([values[name] for values in by_seed]).mean(0) for name in by_seed[0]}

    return bootstrap.intervals(measure, cases, folds)


def _weighted(probabilities: Tensor, labels: Tensor, positive: int | None, weights: Tensor) -> dict[str, Tensor]:
    """Compute every metric for many weightings of the slices at once (see `bootstrap.Measure`).

    The tests compare the values with those of torchmetrics.
    """
    classes = probabilities.shape[1]
    total = weights.sum(1)
    confidence, predicted = probabilities.max(1)
    right = (predicted == labels).double()
    # A probability of exactly 0, which a baseline may give, would make the loss infinite.
    losses = -probabilities.gather(1, labels[:, None])[:, 0].clamp(min=1e-7).log()
    bins = F.one_hot(torch.bucketize(confidence, torch.linspace(0, 1, _BINS + 1), right=True) - 1, _BINS + 1).double()
    values = {"loss": weights @ losses / total, "accuracy": weights @ right / total}
    rated = range(classes) if positive is None else [positive]
    one_against_rest = [one_class(probabilities[:, c], predicted == c, labels == c, weights) for c in rated]
    for name in one_against_rest[0]:
        values[name] = torch.stack([scores[name] for scores in one_against_rest]).mean(0)
    values["calibration_error"] = (weights @ (bins * (right - confidence)[:, None])).abs().sum(1) / total
    return values
