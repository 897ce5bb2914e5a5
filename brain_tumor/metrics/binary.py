"""Score one class against the rest, for many weightings of the slices at once (see `bootstrap.Measure`)."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_confusion_matrix


def one_class(scores: Tensor, predicted: Tensor, actual: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Score one class against the rest.

    Args:
        scores: float64 (n,), the probabilities of the class.
        predicted: bool (n,), which slices are predicted as the class.
        actual: bool (n,), which slices are of the class.
        weights: float64 (R, n), a weighting of the slices per row.

    Returns:
        Sensitivity, specificity, precision, F1, AUROC and average precision, float64 (R,) each; NaN where a weighting
        leaves no slice of the class or no other slice.
    """
    hit = weights @ (predicted & actual).double()
    positives, negatives, flagged = (weights @ group.double() for group in (actual, ~actual, predicted))
    # Counts from the highest score down; slices of equal score form one step of the curves.
    order = torch.argsort(scores, descending=True)
    ends = torch.cat([scores[order].diff() != 0, torch.ones(1, dtype=torch.bool)])
    above = (weights * actual)[:, order].cumsum(1)[:, ends]
    below = (weights * ~actual)[:, order].cumsum(1)[:, ends]
    before = F.pad(above[:, :-1], (1, 0))
    step = below.diff(dim=1, prepend=torch.zeros(len(weights), 1, dtype=torch.float64))
    ranked = ((above + before) / 2 * step).sum(1) / (positives * negatives)
    average_precision = ((above - before) * above / (above + below).clamp(min=1e-12)).sum(1) / positives
    undefined = (positives == 0) | (negatives == 0)
    if scores.isnan().any():  # NaN has no order
        ranked, average_precision = (torch.full_like(area, torch.nan) for area in (ranked, average_precision))
    values = {
        "sensitivity": hit / positives,
        "specificity": 1 - (flagged - hit) / negatives,
        "precision": hit / flagged.clamp(min=1e-12),
        "f1": 2 * hit / (flagged + positives),
        "auroc": ranked,
        "average_precision": average_precision,
    }
    return {name: value.masked_fill(undefined, torch.nan) for name, value in values.items()}


def confusion_matrix(probabilities: Tensor, labels: Tensor) -> list[list[int]]:
    """Count slices by actual class (rows) and predicted class (columns), from probabilities (n, C) and labels (n,)."""
    classes = probabilities.shape[1]
    counts = multiclass_confusion_matrix(probabilities, labels, num_classes=classes)
    return [[int(count) for count in row] for row in counts]
