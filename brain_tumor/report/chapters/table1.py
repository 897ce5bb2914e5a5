"""Show the paper's Table 1 beside ours, as a table and as a figure."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from brain_tumor.report import paper
from brain_tumor.report.aggregates import SPLITS, Estimate, Groups
from brain_tumor.report.formatting import number, share
from brain_tumor.report.page import COLOURS, Block, Column, Heading, Line, Picture, Table, Text
from brain_tumor.runs.summary import BASELINE_TITLES


def chapter(groups: Groups) -> list[Block]:
    """Show a table per optimizer, with the baselines below."""
    return [block for optimizer in groups.optimizers for block in _of_optimizer(groups, optimizer)]


def _of_optimizer(groups: Groups, optimizer: str) -> list[Block]:
    ours: dict[str, Column] = {}
    for split in SPLITS:
        ours |= {f"by {split}: train loss, test loss": _losses(split), f"by {split}: accuracy": _accuracy(split)}
    table = Table.of(
        f"table1_{optimizer.lower()}",
        [_line(groups, optimizer, row, published) for row, published in paper.rows()],
        {
            "experiment": "{experiment}",
            "model": "{model}, {strategy}",
            "batch, epochs, lr": "{batch_size}, {epochs}, {lr:g}",
            "transforms": "{transforms}",
            "paper: train loss, test loss": _losses("paper"),
            "paper: accuracy": "{paper accuracy:.0%}",
            **ours,
            "notes": _notes,
        },
    )
    below = [
        {
            **dict.fromkeys(table.shown, ""),
            "model": BASELINE_TITLES[name],
            **{f"by {split}: accuracy": share(groups.baselines(split)[name], "–") for split in SPLITS},
        }
        for name in groups.baselines("slice")
    ]
    return [
        Heading(f"Table 1, {optimizer}"),
        Text(
            "The paper's 20 experiments beside ours. By slice is the paper's split: slices are divided at random, so "
            "that neighbours of a test slice are in training. By patient keeps all slices of a patient in one part. "
            "The last lines are image-free baselines: a model that does not beat them has shown nothing."
        ),
        Table(table.name, pd.concat([table.shown, pd.DataFrame(below)]), table.numbers),
        Picture.of(
            f"accuracy_{optimizer.lower()}",
            "Test accuracy of every experiment: the paper's as bars, ours as points; lines are baselines.",
            _figure(table.numbers, groups),
        ),
    ]


def _line(groups: Groups, optimizer: str, row: int, published: "pd.Series[Any]") -> Line:
    """Return the paper's numbers of a row and, for each split, ours: `n` (seeds), losses, accuracy, limits and note."""
    line = {
        "experiment": row,
        **published[["model", "strategy", "batch_size", "epochs", "lr"]],
        "transforms": paper.transforms_of(row),
        "paper train loss": published["train_loss"],
        "paper test loss": published["test_loss"],
        "paper accuracy": published["test_accuracy"],
    }
    for split in SPLITS:
        cell = groups.cell(row, optimizer, split)
        values = {
            "n": cell.accuracy.n,
            "train loss": cell.mean(lambda run: run.record["history"][-1]["train"]["loss"]),
            "test loss": cell.mean(lambda run: run.record["test"]["loss"]["value"]),
            "accuracy": cell.accuracy.value,
            **{name: getattr(cell.accuracy, name) for name in ("low", "high", "lowest", "highest")},
            "note": cell.note,
        }
        line |= {f"{split} {name}": value for name, value in values.items()}
    return line


def _losses(side: str) -> Column:
    train, test = (number(f"{side} {part} loss", "{:.2f}") for part in ("train", "test"))
    return lambda line: ", ".join(filter(None, (train(line), test(line))))


def _accuracy(split: str) -> Column:
    return lambda line: str(
        Estimate(*(line[f"{split} {name}"] for name in ("accuracy", "low", "high", "n", "lowest", "highest")))
    )


def _notes(line: Line) -> str:
    first, second = (line[f"{split} note"] for split in SPLITS)
    return f"slice: {first}; patient: {second}" if first and second and first != second else first or second


def _figure(grid: pd.DataFrame, groups: Groups) -> Figure:
    """Draw the paper's accuracies, ours by slice and by patient with intervals, and the baselines."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(grid.index, grid["paper accuracy"], marker="_", s=220, color=COLOURS["paper"], label="the paper")
    for split, shift in (("slice", -0.15), ("patient", 0.15)):
        middle, colour = grid[f"{split} accuracy"].to_numpy(), COLOURS[split]
        limits = np.nan_to_num(np.abs(grid[[f"{split} low", f"{split} high"]].to_numpy().T - middle))
        axes.errorbar(grid.index + shift, middle, limits, fmt="o", capsize=3, color=colour, label=f"by {split}")
        for (name, value), style in zip(groups.baselines(split).items(), (":", "--", "-."), strict=True):
            if not np.isnan(value):
                title = f"{name.replace('_', ' ')}, by {split}"
                axes.axhline(value, color=colour, linestyle=style, linewidth=0.9, label=title)
    axes.set(xlabel="experiment", ylabel="test accuracy", xticks=grid.index, ylim=(None, 1.01))
    axes.legend(fontsize="small", ncols=2, loc="lower right")
    return figure
