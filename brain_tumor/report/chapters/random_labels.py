"""Show what splits score on labels that mean nothing: above chance, they leak."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from brain_tumor.report import drawing
from brain_tumor.report.aggregates import over_seeds
from brain_tumor.report.formatting import interval, number, suffixes
from brain_tumor.report.page import Block, Heading, Line, Picture, Table, Text
from brain_tumor.report.runs import Run

_SPLITS = {"slice": "by slice", "patient": "by patient", "folds": "in folds of patients", "site": "a site left out"}


def chapter(runs: Sequence[Run]) -> list[Block]:
    """Show the scores of runs on labels of patients that were drawn at random."""
    lines = list(_lines(runs))
    if not lines:
        return []
    return [
        Heading("Labels that mean nothing"),
        Text(
            "Every patient was labelled heads or tails at random, and all of the patient's slices with it. There is "
            "nothing to learn but who is who. A split that keeps patients apart scores .5, or a little less: where "
            "more of the tested patients have one label, fewer of the training ones have it. What a split scores above "
            ".5 is leakage. Means over draws of labels and seeds; intervals are from a bootstrap over patients."
        ),
        Table.of(
            "random_labels",
            lines,
            {
                "data": "{data}",
                "model": "{model}",
                "split": "{split}",
                "draws of labels": "{draws}",
                "runs": "{runs}",
                "tested slices": "{slices:,}",
                "accuracy": lambda line: interval(line, "accuracy"),
                "AUROC by patient": number("auroc", "{:.2f}"),
                "copying the nearest slice": number("copying", "{:.1%}"),
            },
        ),
        Picture.of(
            "random_labels", "Accuracy on random labels, with 95 % intervals; the line is chance.", _picture(lines)
        ),
    ]


def _lines(runs: Sequence[Run]) -> Iterator[Line]:
    """Yield a line for each configuration and split."""
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        drawn = run.record["split"]
        gap = f", gap {drawn['gap']}" if "gap" in drawn else ""
        groups[run.same_but_for("seed", "split", "labels"), _SPLITS.get(run.split, run.split) + gap].append(run)
    ordered = sorted(groups.items(), key=lambda item: (item[1][0].title, item[0][1]))
    more = suffixes([(members[0].title, split) for (_, split), members in ordered])
    for ((_, split), members), suffix in zip(ordered, more, strict=True):
        tables = [run.answers().rename(columns={"right": "value"}) for run in members]
        found = over_seeds([float(table["value"].mean()) for table in tables], tables)
        nothing: dict[str, Any] = {}
        areas = [run.record["test"].get("patient_auroc", nothing).get("value") for run in members]
        copied = [run.record["baselines"].get("nearest_slice", nothing).get("accuracy", nothing) for run in members]
        yield {
            "data": members[0].dataset,
            "model": members[0].title + suffix,
            "split": split,
            "draws": len({run.record["data"]["target"].get("seed") for run in members}),
            "runs": len(members),
            "slices": len({path for table in tables for path in table["path"]}),
            **{"accuracy": found.value, "accuracy low": found.low, "accuracy high": found.high},
            "auroc": _mean(areas),
            "copying": _mean([score.get("value") for score in copied]),
        }


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else np.nan


def _picture(lines: Sequence[Line]) -> Figure:
    figure = Figure(figsize=(8, 1.6 + 0.45 * len(lines)), layout="constrained")
    axes = figure.add_subplot()
    splits = sorted({line["split"] for line in lines})
    for split, style in zip(splits, drawing.styles(), strict=False):
        for place, line in enumerate(lines):
            if line["split"] == split:
                low, high = line["accuracy low"], line["accuracy high"]
                spread = np.abs([[low - line["accuracy"]], [high - line["accuracy"]]])
                axes.errorbar([line["accuracy"]], [place], xerr=spread, capsize=4, **style)
    axes.axvline(0.5, color="#555555", linestyle=":", linewidth=0.9)
    axes.set_yticks(range(len(lines)), [f"{line['model']}\n{line['split']}" for line in lines], fontsize="small")
    axes.set(xlabel="accuracy on the tested slices", xlim=(0, 1.02), ylim=(len(lines) - 0.5, -0.5))
    return figure
