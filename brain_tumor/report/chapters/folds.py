"""Every patient tested once: how right classifiers are about patients whom they have never seen."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from brain_tumor.report.cells import Groups
from brain_tumor.report.page import Block, Heading, Picture, Table, Text
from brain_tumor.report.pools import Pool
from brain_tumor.report.wording import flat, intervals
from brain_tumor.results.classification import answers
from brain_tumor.results.summary import BASELINE_TITLES

_SHOWN = {
    "accuracy": "accuracy", "sensitivity": "sensitivity", "specificity": "specificity",
    "auroc": "AUROC within folds", "average_precision": "average precision within folds",
}  # fmt: skip


def chapter(groups: Groups) -> list[Block]:
    """Show the folds of every configuration together, beside baselines on the same folds."""
    if not groups.pools:
        return []
    blocks: list[Block] = [
        Heading("Every patient tested once"),
        Text(
            "Folds by patient: each slice is tested by a model that never saw its patient. Accuracy, sensitivity and "
            "specificity are of all slices together; the areas are computed within a fold and averaged over folds. "
            "Means over seeds. Intervals are 95 %, a bootstrap over patients within folds: what other patients would "
            "change. What another seed would change stands beside them, as the lowest and the highest seed's accuracy."
        ),
    ]
    table = numbers(groups.pools)
    if len(table):
        shown = {
            "model": table["model"],
            **intervals(table, _SHOWN),
            "seeds": [_seeds(line) for _, line in table.iterrows()],
            "minutes a fold": ["" if pd.isna(value) else f"{value:.1f}" for value in table["minutes"]],
        }
        caption = (
            "What a minute buys: accuracy of all folds together against the median minutes of one, on the hardware "
            "that the table of costs names; features that an earlier run has kept cost nothing again. Lines are "
            "baselines."
        )
        blocks += [Table("folds", pd.DataFrame(shown), table), Picture.of("minutes", caption, _minutes(table))]
    if unfinished := [f"{own.example.title}: {', '.join(own.missing)}" for own in groups.pools if own.missing]:
        blocks.append(Text(f"Not run, or not finished: {'; '.join(unfinished)}."))
    return blocks


def numbers(pools: Sequence[Pool]) -> pd.DataFrame:
    """Return the scores of pools that are complete and, once for each way of dividing the patients, of baselines.

    Columns: `model`, `experiment` (the paper's row; NaN for none), every score with `low` and `high`, `seeds`,
    `lowest seed` and `highest seed` (of the accuracy), and `minutes` (median of a fold, from start to test).
    """
    lines = []
    for own in (each for each in pools if each.runs):
        accuracies = [float(answers(table)["right"].mean()) for table in own.tables.values()]
        spread = {
            "minutes": float(np.median([run.minutes for runs in own.runs.values() for run in runs])),
            "seeds": len(accuracies),
            "lowest seed": min(accuracies),
            "highest seed": max(accuracies),
        }
        lines.append({"model": own.example.title, "experiment": own.example.row, **flat(own.scores), **spread})
    divided = divisions(pools)
    for own in divided:
        for name, scores in own.baselines.items():
            title = BASELINE_TITLES[name] + f", {len(own.folds)} folds" * (len(divided) > 1)
            lines.append({"model": title, **flat(scores)})
    columns = ["model", "experiment", *_SHOWN, "minutes", "seeds", "lowest seed", "highest seed"]
    table = pd.DataFrame(lines)
    return table.reindex(columns=[*columns, *(name for name in table if name not in columns)])


def divisions(pools: Sequence[Pool]) -> list[Pool]:
    """Choose a complete pool for each way of dividing the patients."""
    complete = [own for own in pools if own.runs]
    return list({tuple(next(iter(own.tables.values()))["fold"]): own for own in complete}.values())


def _minutes(table: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    timed = table["minutes"].notna()
    for _, line in table[timed].iterrows():
        limits = [[line["accuracy"] - line["accuracy low"]], [line["accuracy high"] - line["accuracy"]]]
        axes.errorbar([line["minutes"]], [line["accuracy"]], limits, fmt="o", capsize=3, label=line["model"])
    for (_, line), style in zip(table[~timed].iterrows(), (":", "--", "-."), strict=False):
        axes.axhline(line["accuracy"], color="#555555", linestyle=style, linewidth=0.9, label=line["model"])
    axes.set(xlabel="minutes a fold", ylabel="accuracy, every patient tested once", xscale="log")
    for set_formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        set_formatter(ScalarFormatter())
    axes.legend(fontsize="small", loc="lower right")
    return figure


def _seeds(line: "pd.Series[float]") -> str:
    if pd.isna(line["seeds"]):
        return ""
    return f"{line['lowest seed']:.1%} to {line['highest seed']:.1%}, n={line['seeds']:.0f}"
