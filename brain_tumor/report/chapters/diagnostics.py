"""A closer look at the best rows: confusion matrices, ROC and reliability curves, and confident mistakes."""

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from torchmetrics.functional.classification import binary_roc

from brain_tumor.report.cells import SPLITS, Groups
from brain_tumor.report.page import Block, Heading, Picture, Text
from brain_tumor.report.runs import Run
from brain_tumor.results import calibration
from brain_tumor.results.classification import probabilities_of
from brain_tumor.results.plots import draw_confusion

_SHOWN = 5  # runs a panel


def chapter(groups: Groups) -> list[Block]:
    """Draw the most accurate rows of each split, of data with two classes."""
    runs = _best(groups)
    if not runs or len(runs[0].record["data"]["classes"]) != 2:
        return []
    return [
        Heading("A closer look"),
        Text(f"The rows with the highest accuracy of each split, at most {_SHOWN}, the lowest seed of each."),
        Picture.of("confusion", "Confusion matrices of the test slices.", _confusions(runs)),
        Picture.of("roc", "ROC curves of the test slices.", _roc(runs)),
        Picture.of(
            "reliability",
            "How often a run is right against how sure it is; on the diagonal, probabilities mean what they say. "
            "Dashed: calibrated by the temperature that the run's validation part asked for.",
            _reliability(runs),
        ),
        *(block for run in runs for block in _wrong(run)),
    ]


def _best(groups: Groups) -> list[Run]:
    best = []
    for split in SPLITS:
        first = [min(cell.runs, key=lambda run: run.seed) for cell in groups.of_split(split)]
        # A run that has diverged, or a test part of one class, has no curve.
        drawable = [run for run in first if run.record["test"]["auroc"]["value"] is not None]
        best += sorted(drawable, key=lambda run: (-run.accuracy, run.row, run.optimizer))[:_SHOWN]
    return best


def _confusions(runs: list[Run]) -> Figure:
    """Draw confusion matrices side by side: actual classes down, predicted across."""
    figure = Figure(figsize=(2.4 * max(2, len(runs)), 2.8), layout="constrained")
    for axes, run in zip(figure.subplots(1, len(runs), squeeze=False)[0], runs, strict=True):
        draw_confusion(axes, run.record["test"]["confusion_matrix"], run.record["data"]["classes"])
        axes.set_title(f"{_name(run)}, by {run.split}", fontsize="small")
    return figure


def _roc(runs: list[Run]) -> Figure:
    """Draw ROC curves, a panel a split."""
    figure, panels = _panels(runs)
    for split, axes in panels.items():
        axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8)
        for run in (run for run in runs if run.split == split):
            table = run.predictions()
            scores = torch.tensor(probabilities_of(table).to_numpy()[:, 1])
            false, true, _ = binary_roc(scores, torch.tensor(table["label"].to_numpy()))
            axes.plot(false, true, label=f"{_name(run)}: {run.record['test']['auroc']['value']:.3f}")
        axes.set(xlabel="1 - specificity", ylabel="sensitivity", title=f"by {split}", aspect="equal")
        axes.legend(fontsize="small", loc="lower right", title="area under the curve", title_fontsize="small")
    return figure


def _reliability(runs: list[Run]) -> Figure:
    """Draw how often a run is right against how sure it is, in ten bins; point sizes show the number of slices."""
    figure, panels = _panels(runs)
    for split, axes in panels.items():
        axes.plot([0.5, 1], [0.5, 1], color="#bbbbbb", linewidth=0.8)
        for run in (run for run in runs if run.split == split):
            table = run.answers()
            points = _binned(table["confidence"], table["right"])
            error = run.record["test"]["calibration_error"]["value"]
            (line,) = axes.plot(points["sure"], points["right"], label=f"{_name(run)}: {error:.3f}")
            axes.scatter(points["sure"], points["right"], 200 * points["count"] / len(table), color=line.get_color())
            if found := run.record.get("calibration"):
                softened = calibration.soften(probabilities_of(table).to_numpy(dtype=float), found["temperature"])
                points = _binned(softened.max(1), table["right"])
                label = f"calibrated: {found['test']['calibrated']['calibration_error']:.3f}"
                axes.plot(points["sure"], points["right"], linestyle="--", color=line.get_color(), label=label)
        axes.set(xlabel="probability of the predicted class", ylabel="share right", title=f"by {split}")
        axes.legend(fontsize="small", loc="lower right", title="calibration error", title_fontsize="small")
    return figure


def _binned(confidence: ArrayLike, right: ArrayLike) -> pd.DataFrame:
    """Return how `sure` and how often `right` slices are, and their `count`, in ten bins of confidence."""
    table = pd.DataFrame({"sure": confidence, "right": right}).astype(float)
    bins = np.digitize(table["sure"], np.linspace(0.5, 1, 11)[1:-1])
    return table.assign(count=1).groupby(bins).agg({"sure": "mean", "right": "mean", "count": "sum"})


def _wrong(run: Run) -> list[Picture]:
    caption = (
        f"Experiment {run.row}, {run.optimizer}, by {run.split}, seed {run.seed}: the slices that it is most "
        "confidently wrong about, with the outline of the tumour mask where there is one."
    )
    return Picture.of_data(f"wrong_{run.row}_{run.optimizer.lower()}_{run.split}", caption, run.folder / "wrong.png")


def _panels(runs: list[Run]) -> tuple[Figure, dict[str, Axes]]:
    splits = list(dict.fromkeys(run.split for run in runs))
    figure = Figure(figsize=(5 * len(splits), 4.6), layout="constrained")
    return figure, dict(zip(splits, figure.subplots(1, len(splits), squeeze=False)[0], strict=True))


def _name(run: Run) -> str:
    return f"experiment {run.row}, {run.optimizer}"
