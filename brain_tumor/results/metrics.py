"""Score predictions, and put a 95 % interval around every number by bootstrap."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_confusion_matrix

RESAMPLES = 1000
LEVEL = 0.95
_BINS = 15  # of the calibration error
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
    weights = torch.ones(1, len(labels), dtype=torch.float64)
    return {name: float(value) for name, value in _weighted(probabilities.double(), labels, weights).items()}


def _weighted(probabilities: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Compute every metric for many weightings of the slices at once: weights (R, n) to values (R,), all float64.

    A resample is a weighting, so a bootstrap is a few matrix products instead of thousands of calls. The tests hold
    the values against torchmetrics'.
    """
    classes = probabilities.shape[1]
    total = weights.sum(1)
    confidence, predicted = probabilities.max(1)
    right = (predicted == labels).double()
    # A probability of exactly 0 or 1, as a baseline may give, would make the loss infinite.
    losses = -probabilities.gather(1, labels[:, None])[:, 0].clamp(min=1e-7).log()
    bins = F.one_hot(torch.bucketize(confidence, torch.linspace(0, 1, _BINS + 1), right=True) - 1, _BINS + 1).double()
    values = {"loss": weights @ losses / total, "accuracy": weights @ right / total}
    rated = [1] if classes == 2 else range(classes)
    one_against_rest = [_one_class(probabilities[:, c], predicted == c, labels == c, weights) for c in rated]
    for name in one_against_rest[0]:
        values[name] = torch.stack([scores[name] for scores in one_against_rest]).mean(0)
    values["calibration_error"] = (weights @ (bins * (right - confidence)[:, None])).abs().sum(1) / total
    return values


def _one_class(scores: Tensor, predicted: Tensor, actual: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Rate one class against the rest: scores, predicted, actual (n,) and weights (R, n) to values (R,)."""
    hit = weights @ (predicted & actual).double()
    positives, negatives, chosen = (weights @ kind.double() for kind in (actual, ~actual, predicted))
    # Cumulated from the highest score down; slices of equal score form one step of the curves.
    order = torch.argsort(scores, descending=True)
    ends = torch.cat([scores[order].diff() != 0, torch.ones(1, dtype=torch.bool)])
    above = (weights * actual)[:, order].cumsum(1)[:, ends]
    below = (weights * ~actual)[:, order].cumsum(1)[:, ends]
    before = F.pad(above[:, :-1], (1, 0))
    step = below.diff(dim=1, prepend=torch.zeros(len(weights), 1, dtype=torch.float64))
    ranked = ((above + before) / 2 * step).sum(1) / (positives * negatives)
    found = ((above - before) * above / (above + below).clamp(min=1e-12)).sum(1) / positives
    undefined = (positives == 0) | (negatives == 0)
    values = {
        "sensitivity": hit / positives,
        "specificity": 1 - (chosen - hit) / negatives,
        "precision": hit / chosen.clamp(min=1e-12),
        "f1": 2 * hit / (chosen + positives),
        "auroc": ranked,
        "average_precision": found,
    }
    return {name: value.masked_fill(undefined, torch.nan) for name, value in values.items()}


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
    codes, groups = np.unique(_groups(cases), return_inverse=True)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(codes), np.full(len(codes), 1 / len(codes)), size=resamples)
    # A few resamples at a time, so that memory stays small however many slices there are.
    chunks = [
        _weighted(probabilities.double(), labels, torch.from_numpy(counts[:, groups]).double())
        for counts in np.array_split(drawn, max(1, resamples * len(labels) // 2**22))
    ]
    return {name: _interval(point[name], torch.cat([chunk[name] for chunk in chunks]).numpy()) for name in point}


def resampled_unit(cases: Sequence[str]) -> str:
    """Name what `score` resamples: "patient" or "slice"."""
    return "patient" if all(cases) and len(set(cases)) > 1 else "slice"


def _groups(cases: Sequence[str]) -> Sequence[str] | Sequence[int]:
    """Name what each slice is resampled with."""
    return cases if resampled_unit(cases) == "patient" else range(len(cases))


def _interval(value: float, draws: NDArray[np.float64]) -> Interval:
    defined = draws[~np.isnan(draws)]
    if np.isnan(value) or not len(defined):
        return {"value": None, "low": None, "high": None}
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": value, "low": float(low), "high": float(high)}


def confusion_matrix(probabilities: Tensor, labels: Tensor) -> list[list[int]]:
    """Count slices by actual class (rows) and predicted class (columns)."""
    classes = probabilities.shape[1]
    counts = multiclass_confusion_matrix(probabilities, labels, num_classes=classes)
    return [[int(count) for count in row] for row in counts]
