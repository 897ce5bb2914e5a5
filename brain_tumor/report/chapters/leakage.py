"""What the split by slice gives away."""

import math

import pandas as pd

from brain_tumor.report import paper
from brain_tumor.report.aggregates import Cell, Groups
from brain_tumor.report.formatting import points, share
from brain_tumor.report.page import Block, Heading, Line, Table, Text
from brain_tumor.report.runs import Run


def chapter(groups: Groups) -> list[Block]:
    """Show what it adds to accuracy, and on which slices, for each row that was run with the paper's optimizer."""
    main = groups.optimizers[0]
    pairs = [(groups.cell(row, main, "slice"), groups.cell(row, main, "patient")) for row, _ in paper.rows()]
    lines = [_line(*pair) for pair in pairs if any(cell.runs for cell in pair)]
    if not lines:
        return []
    return [
        Heading(f"Leakage, {main}"),
        Text(
            "What the split by slice adds to accuracy, and where: test slices whose neighbour, the slice above or "
            "below of the same patient, was in training, against those without. Those are few, and many of them are a "
            "patient's first or last slice, which is easy: the majority, always answering the commonest class of "
            "just these slices, says how easy."
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
    """Put the mean accuracies beside those of the slices with a neighbour in training, and without.

    Of each, `neighbour` and `no neighbour`, there are the accuracy, what always answering their commonest class would
    score (`majority`) and the number (`n`); means over seeds, whose test slices are the same.
    """
    first, second = by_slice.accuracy.value, by_patient.accuracy.value
    line = {"experiment": by_slice.row, "slice": first, "patient": second, "difference": first - second}
    # Folders of images may give no slice numbers, and so no neighbours.
    placed = [table for table in map(_neighbours, by_slice.runs) if (table["slice"] >= 0).all()]
    for name in ("neighbour", "no neighbour"):
        chosen = [table[table["neighbour"] == (name == "neighbour")] for table in placed]
        together = pd.concat(chosen) if sum(map(len, chosen)) else None
        line[name] = math.nan if together is None else together["right"].mean()
        commonest = math.nan if together is None else (together["label"] == together["label"].mode().max()).mean()
        line |= {f"{name} majority": commonest, f"{name} n": sum(map(len, chosen)) // max(1, len(placed))}
    return line


def _neighbours(run: Run) -> pd.DataFrame:
    """Say of each test slice if it was `right`, and if the slice above or below was in training (`neighbour`)."""
    parts, tested = run.parts(), run.answers()
    train = set(map(tuple, parts[parts["part"] == "train"][["case", "slice"]].to_numpy()))
    places = zip(tested["case"], tested["slice"], strict=True)
    return tested.assign(neighbour=[(case, at - 1) in train or (case, at + 1) in train for case, at in places])


def _counted(line: Line, name: str) -> str:
    n = line[f"{name} n"]
    return f"{line[name]:.1%} of {n:,.0f} (majority {line[f'{name} majority']:.1%})" if n else ""
