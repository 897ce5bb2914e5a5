"""Measure the leakage of the split by slice."""

import math

import pandas as pd

from brain_tumor.report import paired, paper
from brain_tumor.report.aggregates import Cell, Groups
from brain_tumor.report.formatting import points, share
from brain_tumor.report.page import Block, Heading, Line, Table, Text
from brain_tumor.report.runs import Run


def chapter(groups: Groups) -> list[Block]:
    """Show how much leakage adds to accuracy, on which slices, and on the very same slices."""
    return [*_by_row(groups), *_by_slice(groups)]


def _by_slice(groups: Groups) -> list[Block]:
    """Compare each configuration on the slices that it was tested on by slice, with and without their patients."""
    table = paired.split_table("leakage_paired", groups.runs)
    return [Heading("Leakage on the same slices"), Text(paired.SAME_SLICES), table] if table else []


def _by_row(groups: Groups) -> list[Block]:
    """Compare accuracy by slice and by patient for each row with the paper's optimizer."""
    main = groups.optimizers[0]
    pairs = [(groups.cell(row, main, "slice"), groups.cell(row, main, "patient")) for row, _ in paper.rows()]
    lines = [_line(*pair) for pair in pairs if any(cell.runs for cell in pair)]
    if not lines:
        return []
    return [
        Heading(f"Leakage, {main}"),
        Text(
            "How much the split by slice adds to accuracy, and on which slices. A neighbour is the slice above or "
            "below, of the same patient. Test slices with a neighbour in training are compared with those without. "
            "The latter are few, and many of them are a patient's first or last slice, which are easy: the majority, "
            "which always predicts the most frequent class of just these slices, shows how easy."
        ),
        Table.of(
            "leakage",
            lines,
            {
                "experiment": "{experiment}",
                "by slice": lambda line: share(line["slice"]),
                "by patient": lambda line: share(line["patient"]),
                "difference": lambda line: points(line["difference"]),
                "test slices with a neighbour in training": lambda line: _counted(line, "neighbour"),
                "without": lambda line: _counted(line, "no neighbour"),
            },
        ),
    ]


def _line(by_slice: Cell, by_patient: Cell) -> Line:
    """Return the mean accuracies of both splits, and those of slices with and without a neighbour in training.

    For each of `neighbour` and `no neighbour` there are the accuracy, the accuracy of always predicting their most
    frequent class (`majority`) and the number of slices (`n`); means over seeds, whose test slices are the same.
    """
    first, second = by_slice.accuracy.value, by_patient.accuracy.value
    line = {"experiment": by_slice.row, "slice": first, "patient": second, "difference": first - second}
    # Folders of images may give no slice numbers, and so no neighbours.
    placed = [table for table in map(_neighbours, by_slice.runs) if (table["slice"] >= 0).all()]
    for name in ("neighbour", "no neighbour"):
        groups = [table[table["neighbour"] == (name == "neighbour")] for table in placed]
        slices = pd.concat(groups) if sum(map(len, groups)) else None
        line[name] = math.nan if slices is None else slices["right"].mean()
        commonest = math.nan if slices is None else (slices["label"] == slices["label"].mode().max()).mean()
        line |= {f"{name} majority": commonest, f"{name} n": sum(map(len, groups)) // max(1, len(placed))}
    return line


def _neighbours(run: Run) -> pd.DataFrame:
    """Return the test slices with `right` and `neighbour`: whether the slice above or below was in training."""
    parts, tested = run.parts(), run.answers()
    train = set(map(tuple, parts[parts["part"] == "train"][["case", "slice"]].to_numpy()))
    places = zip(tested["case"], tested["slice"], strict=True)
    return tested.assign(neighbour=[(case, at - 1) in train or (case, at + 1) in train for case, at in places])


def _counted(line: Line, name: str) -> str:
    n = line[f"{name} n"]
    return f"{line[name]:.1%} of {n:,.0f} (majority {line[f'{name} majority']:.1%})" if n else ""
