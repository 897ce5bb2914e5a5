"""Draw curves that several chapters show."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from torchmetrics.functional.classification import binary_roc


def roc(axes: Axes, scores: ArrayLike, actual: ArrayLike, label: str) -> None:
    """Draw sensitivity against 1 - specificity over all thresholds.

    Args:
        axes: the axes to draw on.
        scores: (n,), larger for slices more likely of the class.
        actual: bool (n,), which slices are of the class.
        label: text in the legend.
    """
    false, true, _ = binary_roc(torch.tensor(np.asarray(scores)), torch.tensor(np.asarray(actual)).long())
    axes.plot(false, true, label=label)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")


def reliability(axes: Axes, confidence: ArrayLike, right: ArrayLike, width: float = 0.05, **line: Any) -> None:
    """Draw a reliability curve: the share of right predictions against their confidence.

    The points' sizes show how many predictions they stand for.

    Args:
        axes: the axes to draw on.
        confidence: (n,), the probability of the predicted class.
        right: bool (n,), whether the prediction is right.
        width: width of the bins of confidence.
        line: options of matplotlib's `plot`.
    """
    table = pd.DataFrame({"confidence": confidence, "right": right}).astype(float)
    bins = (table["confidence"] / width).astype(int).clip(upper=round(1 / width) - 1)
    points = table.assign(count=1).groupby(bins).agg({"confidence": "mean", "right": "mean", "count": "sum"})
    (drawn,) = axes.plot(points["confidence"], points["right"], **line)
    axes.scatter(points["confidence"], points["right"], 200 * points["count"] / len(table), color=drawn.get_color())
    axes.set(xlabel="probability of the predicted class", ylabel="share right")


def diagonal(axes: Axes, low: float = 0.0) -> None:
    """Draw the diagonal from `low` to 1: chance for ROC curves, perfect calibration for reliability curves."""
    axes.plot([low, 1], [low, 1], color="#bbbbbb", linewidth=0.8)
