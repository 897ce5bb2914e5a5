"""The report's figures, each as a matplotlib Figure."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torchmetrics.functional.classification import binary_roc

from brain_tumor.report import paper
from brain_tumor.report.runs import Run
from brain_tumor.results.classification import answers, probabilities_of
from brain_tumor.results.plots import draw_confusion

COLOURS = {"slice": "#1f77b4", "patient": "#d62728", "paper": "#555555"}


def overview(grid: pd.DataFrame, baselines: pd.DataFrame) -> Figure:
    """Draw the grid's accuracies: the paper's, and ours by slice and by patient with intervals, over the baselines."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(grid.index, grid["paper accuracy"], marker="_", s=220, color=COLOURS["paper"], label="the paper")
    for split, shift in (("slice", -0.15), ("patient", 0.15)):
        middle = grid[f"{split} accuracy"].to_numpy()
        limits = np.abs(grid[[f"{split} low", f"{split} high"]].to_numpy().T - middle)
        axes.errorbar(
            grid.index + shift,
            middle,
            np.nan_to_num(limits),
            fmt="o",
            capsize=3,
            color=COLOURS[split],
            label=f"by {split}",
        )
        for name, style in (("majority", ":"), ("position", "--"), ("nearest_slice", "-.")):
            value = float(baselines[split].get(name, np.nan))
            if not np.isnan(value):
                title = f"{name.replace('_', ' ')}, by {split}"
                axes.axhline(value, color=COLOURS[split], linestyle=style, linewidth=0.9, label=title)
    axes.set(xlabel="experiment", ylabel="test accuracy", xticks=grid.index, ylim=(None, 1.01))
    axes.legend(fontsize="small", ncols=2, loc="lower right")
    return figure


def curves(title: str, runs: Mapping[str, Sequence[Run]], row: int) -> Figure:
    """Draw average loss and accuracy over epochs, as the paper does: the seeds' mean, and their range as a band.

    Args:
        title: of the figure.
        runs: by split, the runs of one row.
        row: its number, for the paper's final values.
    """
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    for split, chosen in runs.items():
        if not chosen:
            continue
        for part, style in (("train", "--"), ("test", "-")):
            _band(loss, chosen, part, "loss", COLOURS[split], style, f"{part}, by {split}")
        _band(accuracy, chosen, "test", "accuracy", COLOURS[split], "-", f"test, by {split}")
    final = paper.table().loc[row, ["train_loss", "test_loss", "test_accuracy"]].astype(float)
    loss.axhline(
        final["train_loss"], color=COLOURS["paper"], linestyle="--", linewidth=0.9, label="train, paper's last"
    )
    loss.axhline(final["test_loss"], color=COLOURS["paper"], linewidth=0.9, label="test, paper's last")
    accuracy.axhline(final["test_accuracy"], color=COLOURS["paper"], linewidth=0.9, label="test, paper's last")
    loss.set(xlabel="epoch", ylabel="average loss", ylim=(0, None))
    accuracy.set(xlabel="epoch", ylabel="test accuracy")
    for axes in (loss, accuracy):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    loss.legend(fontsize="small")
    accuracy.legend(fontsize="small", loc="lower right")
    figure.suptitle(title)
    return figure


def _band(axes: Axes, runs: Sequence[Run], part: str, metric: str, colour: str, style: str, label: str) -> None:
    scored = [(epoch["epoch"], epoch[part][metric]) for run in runs for epoch in run.record["history"] if part in epoch]
    if not scored:  # with a validation part the test is not scored after every epoch
        return
    values = pd.DataFrame(scored, columns=["epoch", "value"], dtype=float).groupby("epoch")["value"]
    spread = values.agg(["mean", "min", "max"])
    axes.plot(spread.index, spread["mean"], style, color=colour, label=label)
    axes.fill_between(spread.index, spread["min"], spread["max"], color=colour, alpha=0.15, linewidth=0)


def roc(runs: Sequence[Run]) -> Figure:
    """Draw the ROC curves of runs on two classes, a panel a split."""
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


def reliability(runs: Sequence[Run]) -> Figure:
    """Draw how often a run is right against how sure it is, in ten bins; point sizes show the number of slices."""
    figure, panels = _panels(runs)
    for split, axes in panels.items():
        axes.plot([0.5, 1], [0.5, 1], color="#bbbbbb", linewidth=0.8)
        for run in (run for run in runs if run.split == split):
            table = answers(run.predictions())
            bins = np.digitize(table["confidence"], np.linspace(0.5, 1, 11)[1:-1])
            points = table[["confidence", "right"]].groupby(bins).agg(["mean", "count"])
            error = run.record["test"]["calibration_error"]["value"]
            (line,) = axes.plot(
                points["confidence", "mean"], points["right", "mean"], label=f"{_name(run)}: {error:.3f}"
            )
            sizes = 200 * points["confidence", "count"] / len(table)
            axes.scatter(points["confidence", "mean"], points["right", "mean"], sizes, color=line.get_color())
        axes.set(xlabel="probability of the predicted class", ylabel="share right", title=f"by {split}")
        axes.legend(fontsize="small", loc="lower right", title="calibration error", title_fontsize="small")
    return figure


def confusions(runs: Sequence[Run]) -> Figure:
    """Draw the confusion matrices of runs side by side: actual classes down, predicted across."""
    figure = Figure(figsize=(2.4 * max(2, len(runs)), 2.8), layout="constrained")
    for axes, run in zip(figure.subplots(1, len(runs), squeeze=False)[0], runs, strict=True):
        draw_confusion(axes, run.record["test"]["confusion_matrix"], run.record["data"]["classes"])
        axes.set_title(f"{_name(run)}, by {run.split}", fontsize="small")
    return figure


def _panels(runs: Sequence[Run]) -> tuple[Figure, dict[str, Axes]]:
    splits = list(dict.fromkeys(run.split for run in runs))
    figure = Figure(figsize=(5 * len(splits), 4.6), layout="constrained")
    return figure, dict(zip(splits, figure.subplots(1, len(splits), squeeze=False)[0], strict=True))


def _name(run: Run) -> str:
    return f"experiment {run.row}, {run.optimizer}"
