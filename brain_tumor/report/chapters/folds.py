"""Score classifiers over all folds, where every patient is tested once by a model that never saw the patient."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from brain_tumor.metrics.classification import answers
from brain_tumor.report import paired
from brain_tumor.report.aggregates import Groups, divisions
from brain_tumor.report.formatting import flat, intervals, number, points
from brain_tumor.report.page import Block, Column, Heading, Line, Picture, Table, Text
from brain_tumor.report.pooled import Pool, unfinished
from brain_tumor.runs.summary import BASELINE_TITLES

_SHOWN = {
    "accuracy": "accuracy", "sensitivity": "sensitivity", "specificity": "specificity",
    "auroc": "AUROC within folds", "average_precision": "average precision within folds",
}  # fmt: skip


def chapter(groups: Groups) -> list[Block]:
    """Show every configuration over all folds, beside baselines on the same folds."""
    if not groups.pools:
        return []
    blocks: list[Block] = [
        Heading("Every patient tested once"),
        Text(
            "Folds by patient: each slice is tested by a model that never saw its patient. Accuracy, sensitivity and "
            "specificity are computed over all slices; the areas are computed within a fold and averaged over folds. "
            "All numbers are means over seeds. Intervals are 95 % intervals from a bootstrap over patients within "
            "folds: they show how much other patients would change. The lowest and the highest seed's accuracy beside "
            "them show how much another seed would change."
        ),
    ]
    if any(_shares_patients(pool) for pool in groups.pools):
        text = (
            "Leakage: some folds are given by the data without names of patients, or with a patient in several folds. "
            "There the model knew other slices of the patients on whom it is tested, or may have known them."
        )
        blocks.append(Text(text, warning=True))
    if lines := [_line(pool) for pool in groups.pools if pool.runs]:
        lines += _baselines(divisions(groups.pools))
        columns = {
            "model": "{model}",
            **intervals(_SHOWN),
            "seeds": _seeds,
            "minutes per fold": number("minutes", "{:.1f}"),
        }
        table = Table.of("folds", lines, columns)
        caption = (
            "Accuracy over all folds against the median minutes of one fold, on the hardware in the table of costs. "
            "Features that an earlier run has cached cost nothing again. Lines are baselines."
        )
        blocks += [table, *_ranked(groups.pools), Picture.of("minutes", caption, _minutes(table.numbers))]
    return blocks + unfinished(groups.pools)


def _ranked(pools: Sequence[Pool]) -> list[Block]:
    """Compare each configuration with the next best and with slice position alone, on the same slices."""
    lines = list(paired.ranked(pools))
    text = (
        "Differences of accuracy on the same slices, from the most accurate configuration to the least: to the next "
        "one, and to knowing a slice's position alone. The intervals are over patients, and of these trainings."
    )
    columns: dict[str, Column] = {
        "model": "{model}",
        "above the next": partial(_points, name="to_next"),
        "above slice position": partial(_points, name="to_position"),
    }
    return [Text(text), Table.of("folds_paired", lines, columns)]


def _points(line: Line, name: str) -> str:
    return "" if math.isnan(line[name]) else points(line[name], line[f"{name} low"], line[f"{name} high"])


def _shares_patients(pool: Pool) -> bool:
    """Return whether a model may have seen a patient on whom it is tested."""
    records = [run.record for runs in pool.runs.values() for run in runs] or [pool.example.record]
    return any(
        bool(record["split"].get("patients_on_both_sides")) or not record["data"]["patients"] for record in records
    )


def _line(pool: Pool) -> dict[str, object]:
    """Return a pool's scores, the median `minutes` of a fold, and the accuracies of the lowest and highest seed."""
    accuracies = [float(answers(table)["right"].mean()) for table in pool.tables.values()]
    scores = flat(pool.scores)
    return {
        "model": pool.example.title,
        "experiment": pool.example.row,
        **{column: scores[column] for column in _SHOWN},
        "minutes": float(np.median([run.minutes for runs in pool.runs.values() for run in runs])),
        "seeds": len(accuracies),
        "lowest seed": min(accuracies),
        "highest seed": max(accuracies),
        **scores,
    }


def _baselines(divided: Sequence[Pool]) -> list[dict[str, object]]:
    """Score the image-free baselines, once for each way in which the patients are divided into folds."""
    lines: list[dict[str, object]] = []
    for pool in divided:
        positive = pool.example.record["data"]["positive"]
        more = f", {len(pool.folds)} folds" * (len(divided) > 1)
        more += f", '{positive}' positive" * (positive not in (None, "tumour"))
        lines += [{"model": BASELINE_TITLES[name] + more, **flat(scores)} for name, scores in pool.baselines.items()]
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
    axes.set(xlabel="minutes per fold", ylabel="accuracy, every patient tested once", xscale="log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    figure.legend(fontsize="small", loc="outside right upper")
    return figure


def _seeds(line: Line) -> str:
    return "{lowest seed:.1%} to {highest seed:.1%}, n={seeds}".format_map(line) if "seeds" in line else ""
