"""Score predictions with torchmetrics, and put a 95 % interval around every number by bootstrap."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional import classification as tm

RESAMPLES = 1000
LEVEL = 0.95
Interval = dict[str, float | None]


def compute(probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    """Return every test metric.

    Args:
        probabilities: float (n, C), rows adding up to 1.
        labels: int64 (n,) in [0, C).

    Returns:
        `loss` (mean cross-entropy in nats), `accuracy`, `sensitivity`, `specificity`, `precision`, `f1`, `auroc`,
        `average_precision` and `calibration_error` (expected, 15 bins, of the predicted class). With two classes the
        ones from sensitivity to average precision are about class 1; with more they are means over the classes. What
        is undefined because a class has no slice is NaN.
    """
    classes = probabilities.shape[1]
    chosen = probabilities.gather(1, labels[:, None])[:, 0]
    # A probability of exactly 0 or 1, as a baseline may give, would make the loss infinite.
    values = {"loss": float(F.binary_cross_entropy(chosen.clamp(1e-7, 1), torch.ones_like(chosen)))}
    complete = int(torch.bincount(labels, minlength=classes).gt(0).sum()) == classes
    for name, (function, needs_all) in _functions(classes).items():
        scores = (
            probabilities[:, 1] if classes == 2 and name not in {"accuracy", "calibration_error"} else probabilities
        )
        values[name] = float(function(scores, labels)) if complete or not needs_all else float("nan")
    return values


def _functions(classes: int) -> dict[str, tuple[Callable[[Tensor, Tensor], Tensor], bool]]:
    """Name each torchmetrics function, and say whether it needs every class among the labels."""
    every = partial(partial, num_classes=classes, validate_args=False)
    both = {"accuracy": (every(tm.multiclass_accuracy, average="micro"), False)}
    error = {"calibration_error": (every(tm.multiclass_calibration_error, n_bins=15), False)}
    if classes == 2:
        one = partial(partial, validate_args=False)
        return {
            **both,
            "sensitivity": (one(tm.binary_recall), True),
            "specificity": (one(tm.binary_specificity), True),
            "precision": (one(tm.binary_precision), True),
            "f1": (one(tm.binary_f1_score), True),
            "auroc": (one(tm.binary_auroc), True),
            "average_precision": (one(tm.binary_average_precision), True),
            **error,
        }
    macro = partial(every, average="macro")
    return {
        **both,
        "sensitivity": (macro(tm.multiclass_recall), True),
        "specificity": (macro(tm.multiclass_specificity), True),
        "precision": (macro(tm.multiclass_precision), True),
        "f1": (macro(tm.multiclass_f1_score), True),
        "auroc": (macro(tm.multiclass_auroc), True),
        "average_precision": (macro(tm.multiclass_average_precision), True),
        **error,
    }


def score(
    probabilities: Tensor, labels: Tensor, cases: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """Return every metric as `value`, `low` and `high`: the 95 % percentile interval of a bootstrap.

    Slices of one patient resemble each other, so patients are resampled where they are known, and slices elsewhere.

    Args:
        probabilities: float (n, C).
        labels: int64 (n,).
        cases: n names of patients; "" for unknown.
        resamples: number of bootstrap samples.
        seed: of the bootstrap.

    Returns:
        For each metric of `compute` its interval; None stands for what is undefined.
    """
    point = compute(probabilities, labels)
    groups = _groups(cases)
    generator = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {name: [] for name in point}
    for _ in range(resamples):
        drawn = generator.integers(len(groups), size=len(groups))
        rows = torch.from_numpy(np.concatenate([groups[group] for group in drawn]))
        for name, value in compute(probabilities[rows], labels[rows]).items():
            draws[name].append(value)
    return {name: _interval(point[name], np.array(draws[name])) for name in point}


def resampled_unit(cases: Sequence[str]) -> str:
    """Name what `score` resamples: "patient" or "slice"."""
    return "patient" if all(cases) and len(set(cases)) > 1 else "slice"


def _groups(cases: Sequence[str]) -> list[NDArray[np.intp]]:
    if resampled_unit(cases) == "slice":
        return [np.array([row]) for row in range(len(cases))]
    names = np.asarray(cases)
    return [np.flatnonzero(names == name) for name in np.unique(names)]


def _interval(value: float, draws: NDArray[np.float64]) -> Interval:
    defined = draws[~np.isnan(draws)]
    if np.isnan(value) or not len(defined):
        return {"value": None, "low": None, "high": None}
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": value, "low": float(low), "high": float(high)}


def confusion_matrix(probabilities: Tensor, labels: Tensor) -> list[list[int]]:
    """Count slices by actual class (rows) and predicted class (columns)."""
    counts = tm.multiclass_confusion_matrix(probabilities, labels, num_classes=probabilities.shape[1])
    return [[int(count) for count in row] for row in counts]
