"""Every patient tested once: how right classifiers are about patients whom they have never seen."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from brain_tumor.metrics.classification import answers
from brain_tumor.report.aggregates import Groups, divisions
from brain_tumor.report.formatting import flat, intervals, number
from brain_tumor.report.page import Block, Heading, Line, Picture, Table, Text
from brain_tumor.report.pooled import Pool, unfinished
from brain_tumor.runs.summary import BASELINE_TITLES

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
    if any(_shares_patients(own) for own in groups.pools):
        text = (
            "Not so in folds that the data gives without naming patients, or with a patient in several: the model knew "
        )
        blocks.append(Text(text + "other slices of those that it is tested on, or may have.", warning=True))
    if lines := [_line(own) for own in groups.pools if own.runs]:
        lines += _baselines(divisions(groups.pools))
        columns = {
            "model": "{model}",
            **intervals(_SHOWN),
            "seeds": _seeds,
            "minutes a fold": number("minutes", "{:.1f}"),
        }
        table = Table.of("folds", lines, columns)
        caption = (
            "What a minute buys: accuracy of all folds together against the median minutes of one, on the hardware "
            "that the table of costs names; features that an earlier run has kept cost nothing again. Lines are "
            "baselines."
        )
        blocks += [table, Picture.of("minutes", caption, _minutes(table.numbers))]
    return blocks + unfinished(groups.pools)


def _shares_patients(own: Pool) -> bool:
    """Return whether a model may have seen a patient on whom it is tested."""
    records = [run.record for runs in own.runs.values() for run in runs] or [own.example.record]
    return any(bool(found["split"].get("patients_on_both_sides")) or not found["data"]["patients"] for found in records)


def _line(own: Pool) -> dict[str, object]:
    """Put a pool's scores beside the median `minutes` of a fold, and what `seeds` make of the accuracy."""
    accuracies = [float(answers(table)["right"].mean()) for table in own.tables.values()]
    scores = flat(own.scores)
    return {
        "model": own.example.title,
        "experiment": own.example.row,
        **{column: scores[column] for column in _SHOWN},
        "minutes": float(np.median([run.minutes for runs in own.runs.values() for run in runs])),
        "seeds": len(accuracies),
        "lowest seed": min(accuracies),
        "highest seed": max(accuracies),
        **scores,
    }


def _baselines(divided: Sequence[Pool]) -> list[dict[str, object]]:
    """Score, once for each way of dividing the patients, what sees no pixel."""
    lines: list[dict[str, object]] = []
    for own in divided:
        positive = own.example.record["data"]["positive"]
        more = f", {len(own.folds)} folds" * (len(divided) > 1)
        more += f", '{positive}' positive" * (positive not in (None, "tumour"))
        lines += [{"model": BASELINE_TITLES[name] + more, **flat(scores)} for name, scores in own.baselines.items()]
    return lines


def _minutes(table: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(11, 4), layout="constrained")
    axes = figure.add_subplot()
    timed = table["minutes"].notna()
    for _, line in table[timed].iterrows():
        limits = [[line["accuracy"] - line["accuracy low"]], [line["accuracy high"] - line["accuracy"]]]
        axes.errorbar([line["minutes"]], [line["accuracy"]], limits, fmt="o", capsize=3, label=line["model"])
    for (_, line), style in zip(table[~timed].iterrows(), (":", "--", "-."), strict=False):
        axes.axhline(line["accuracy"], color="#555555", linestyle=style, linewidth=0.9, label=line["model"])
    axes.set(xlabel="minutes a fold", ylabel="accuracy, every patient tested once", xscale="log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    figure.legend(fontsize="small", loc="outside right upper")
    return figure


def _seeds(line: Line) -> str:
    return "{lowest seed:.1%} to {highest seed:.1%}, n={seeds}".format_map(line) if "seeds" in line else ""
