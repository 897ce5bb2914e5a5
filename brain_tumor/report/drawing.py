"""Draw curves that several chapters show."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from torchmetrics.functional.classification import binary_roc

# Colours that the colour-blind can tell apart (Okabe and Ito), with markers, in the order in which they are used.
STYLES = (
    ("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P")
)  # fmt: skip


def styles() -> Iterator[dict[str, Any]]:
    """Yield a colour and a marker for each configuration in a figure, as options of matplotlib's `plot`."""
    return ({"color": color, "marker": marker} for color, marker in cycle(STYLES))


def means(
    axes: Axes,
    at: ArrayLike,
    lines: Sequence[Mapping[str, Any]],
    name: str,
    label: str,
    style: dict[str, Any],
    **more: Any,
) -> None:
    """Draw the values `name` of lines with their limits, `name low` and `name high`.

    Args:
        axes: the axes to draw on.
        at: (n,), where along the horizontal axis.
        lines: n lines of a table.
        name: of the value.
        label: text in the legend.
        style: colour and marker.
        more: options of matplotlib's `errorbar`.
    """
    value, low, high = (np.array([line[key] for line in lines]) for key in (name, f"{name} low", f"{name} high"))
    options: dict[str, Any] = {"capsize": 4, "markeredgecolor": "black", "linestyle": "none", **style, **more}
    axes.errorbar(at, value, np.abs([low - value, high - value]), label=label, **options)


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
