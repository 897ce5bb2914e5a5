"""The paper's Table 1 beside ours, and the same as a figure."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from brain_tumor.report import paper
from brain_tumor.report.cells import SPLITS, Groups
from brain_tumor.report.page import COLOURS, Block, Heading, Picture, Table, Text
from brain_tumor.report.wording import losses, share
from brain_tumor.results.summary import BASELINE_TITLES


def chapter(groups: Groups) -> list[Block]:
    """Show the table of each optimizer, with the baselines below it."""
    return [block for optimizer in groups.optimizers for block in _of_optimizer(groups, optimizer)]


def _of_optimizer(groups: Groups, optimizer: str) -> list[Block]:
    grid, baselines = numbers(groups, optimizer), {split: groups.baselines(split) for split in SPLITS}
    shown = [_shown(row, line, groups, optimizer) for row, line in grid.iterrows()]
    below = [
        {
            **dict.fromkeys(shown[0], ""),
            "model": BASELINE_TITLES[name],
            **{f"by {split}: accuracy": share(baselines[split][name], "–") for split in SPLITS},
        }
        for name in baselines["slice"]
    ]
    return [
        Heading(f"Table 1, {optimizer}"),
        Text(
            "The paper's 20 experiments beside ours. By slice is the paper's split: slices at random, so that "
            "neighbours of a test slice are in training. By patient keeps patients apart. The last lines are "
            "classifiers that see no pixel; a model that does not beat them has shown nothing."
        ),
        Table(f"table1_{optimizer.lower()}", pd.DataFrame(shown + below), grid),
        Picture.of(
            f"accuracy_{optimizer.lower()}",
            "Test accuracy of every experiment: the paper's as bars, ours as points; lines are baselines.",
            _figure(grid, baselines),
        ),
    ]


def numbers(groups: Groups, optimizer: str) -> pd.DataFrame:
    """Return one row an experiment, columns `paper ...`, `slice ...`, `patient ...`.

    Columns of a split: `n` (seeds), `train loss`, `test loss`, `accuracy`, `low`, `high`, the `lowest` and `highest`
    seed's, and `note` (weights that are not torchvision's, settings that are not the row's).
    """
    lines = []
    for row, asked in paper.rows():
        line = {
            "experiment": row,
            **asked[["model", "strategy", "batch_size", "epochs", "lr"]],
            "transforms": paper.transforms_of(row),
            "paper train loss": asked["train_loss"],
            "paper test loss": asked["test_loss"],
            "paper accuracy": asked["test_accuracy"],
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
        lines.append(line)
    return pd.DataFrame(lines).set_index("experiment")


def _shown(row: Any, line: "pd.Series[Any]", groups: Groups, optimizer: str) -> dict[str, Any]:
    first, second = (line[f"{split} note"] for split in SPLITS)
    both = f"slice: {first}; patient: {second}" if first and second and first != second else first or second
    ours = {}
    for split in SPLITS:
        ours[f"by {split}: train loss, test loss"] = losses(line[f"{split} train loss"], line[f"{split} test loss"])
        ours[f"by {split}: accuracy"] = str(groups.cell(row, optimizer, split).accuracy)
    return {
        "experiment": row,
        "model": f"{line['model']}, {line['strategy']}",
        "batch, epochs, lr": f"{line['batch_size']}, {line['epochs']}, {line['lr']:g}",
        "transforms": line["transforms"],
        "paper: train loss, test loss": losses(line["paper train loss"], line["paper test loss"]),
        "paper: accuracy": f"{line['paper accuracy']:.0%}",
        **ours,
        "notes": both,
    }


def _figure(grid: pd.DataFrame, baselines: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw the accuracies: the paper's, and ours by slice and by patient with intervals, over the baselines."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(grid.index, grid["paper accuracy"], marker="_", s=220, color=COLOURS["paper"], label="the paper")
    for split, shift in (("slice", -0.15), ("patient", 0.15)):
        middle, colour = grid[f"{split} accuracy"].to_numpy(), COLOURS[split]
        limits = np.nan_to_num(np.abs(grid[[f"{split} low", f"{split} high"]].to_numpy().T - middle))
        axes.errorbar(grid.index + shift, middle, limits, fmt="o", capsize=3, color=colour, label=f"by {split}")
        for (name, value), style in zip(baselines[split].items(), (":", "--", "-."), strict=True):
            if not np.isnan(value):
                title = f"{name.replace('_', ' ')}, by {split}"
                axes.axhline(value, color=colour, linestyle=style, linewidth=0.9, label=title)
    axes.set(xlabel="experiment", ylabel="test accuracy", xticks=grid.index, ylim=(None, 1.01))
    axes.legend(fontsize="small", ncols=2, loc="lower right")
    return figure
