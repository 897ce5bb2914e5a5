"""Draw loss and accuracy over epochs, as the paper's figures do for experiments 19 and 20."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from brain_tumor.report import paper
from brain_tumor.report.aggregates import SPLITS, Cell, Groups
from brain_tumor.report.page import COLOURS, Block, Heading, Picture, Text


def chapter(groups: Groups) -> list[Block]:
    """Draw the paper's two experiments and every fine-tuned row with runs."""
    blocks: list[Block] = [Heading("Loss and accuracy over epochs")]
    tuned = [run for run in groups.classifiers if run.row and run.record["hyperparameters"]["strategy"] == "finetune"]
    for row in sorted({*paper.BEST.values(), *(run.row or 0 for run in tuned)}):
        for optimizer in groups.optimizers:
            title = f"Experiment {row}, {optimizer}"
            cells = {split: groups.cell(row, optimizer, split) for split in SPLITS}
            if any(cell.runs for cell in cells.values()):
                caption = f"{title}: mean over seeds, the band from the lowest to the highest seed."
                name = f"curves_{row}_{optimizer.lower()}"
                blocks.append(Picture.of(name, caption, _figure(title, cells, row)))
            elif row in paper.BEST.values():
                blocks.append(Text(f"{title}: not run."))
    return blocks


def _figure(title: str, cells: dict[str, Cell], row: int) -> Figure:
    """Draw average loss and accuracy as the paper does: the mean over seeds, and their range as a band."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    loss, accuracy = figure.subplots(1, 2, sharex=True)
    for split, cell in cells.items():
        for axes, part, style in ((loss, "train", "--"), (loss, "test", "-"), (accuracy, "test", "-")):
            metric = "loss" if axes is loss else "accuracy"
            _band(axes, cell, part, metric, color=COLOURS[split], linestyle=style, label=f"{part}, by {split}")
    final = paper.table().loc[row]
    for axes, name, style in ((loss, "train_loss", "--"), (loss, "test_loss", "-"), (accuracy, "test_accuracy", "-")):
        label = f"{name.partition('_')[0]}, paper's last"
        axes.axhline(float(str(final[name])), color=COLOURS["paper"], linestyle=style, linewidth=0.9, label=label)
    loss.set(xlabel="epoch", ylabel="average loss", ylim=(0, None))
    accuracy.set(xlabel="epoch", ylabel="test accuracy")
    for axes in (loss, accuracy):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize="small")
    figure.suptitle(title)
    return figure


def _band(axes: Axes, cell: Cell, part: str, metric: str, **line: Any) -> None:
    epochs = [epoch for run in cell.runs for epoch in run.record["history"] if part in epoch]
    if not epochs:  # with a validation part the test is not scored after every epoch
        return
    scored = [(epoch["epoch"], epoch[part][metric]) for epoch in epochs]
    values = pd.DataFrame(scored, columns=["epoch", "value"], dtype=float).groupby("epoch")["value"]
    spread = values.agg(["mean", "min", "max"])
    axes.plot(spread.index, spread["mean"], marker="o" if len(spread) == 1 else "", **line)
    axes.fill_between(spread.index, spread["min"], spread["max"], color=line["color"], alpha=0.15, linewidth=0)
