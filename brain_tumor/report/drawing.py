"""Curves that several chapters draw."""

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
        axes: to draw on.
        scores: (n,), larger for the class.
        actual: bool (n,), of the class.
        label: in the legend.
    """
    false, true, _ = binary_roc(torch.tensor(np.asarray(scores)), torch.tensor(np.asarray(actual)).long())
    axes.plot(false, true, label=label)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")


def reliability(axes: Axes, sure: ArrayLike, right: ArrayLike, width: float = 0.05, **line: Any) -> None:
    """Draw how often answers are right against how sure they are; the points' sizes show how many there are.

    Args:
        axes: to draw on.
        sure: (n,), the probability of the predicted class.
        right: bool (n,).
        width: of the bins.
        line: options of matplotlib's `plot`.
    """
    table = pd.DataFrame({"sure": sure, "right": right}).astype(float)
    bins = (table["sure"] / width).astype(int).clip(upper=round(1 / width) - 1)
    points = table.assign(count=1).groupby(bins).agg({"sure": "mean", "right": "mean", "count": "sum"})
    (drawn,) = axes.plot(points["sure"], points["right"], **line)
    axes.scatter(points["sure"], points["right"], 200 * points["count"] / len(table), color=drawn.get_color())
    axes.set(xlabel="probability of the predicted class", ylabel="share right")


def diagonal(axes: Axes, low: float = 0.0) -> None:
    """Draw the line of chance, or of probabilities that mean what they say, from `low` to 1."""
    axes.plot([low, 1], [low, 1], color="#bbbbbb", linewidth=0.8)
