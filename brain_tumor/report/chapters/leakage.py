"""What the split by slice gives away."""

from typing import Any

import pandas as pd

from brain_tumor.report import paper
from brain_tumor.report.cells import SPLITS, Groups, mean
from brain_tumor.report.page import Block, Heading, Table, Text
from brain_tumor.report.runs import Run
from brain_tumor.report.wording import points, share

_KINDS = {"neighbour": "test slices with a neighbour in training", "no neighbour": "without"}


def chapter(groups: Groups) -> list[Block]:
    """Show what it adds to accuracy, and on which slices."""
    table = numbers(groups)
    shown = pd.DataFrame(
        {
            "experiment": table.index,
            "by slice": table["slice"].map(share),
            "by patient": table["patient"].map(share),
            "difference": [points(value) for value in table["difference"]],
            **{title: [_counted(line, name) for _, line in table.iterrows()] for name, title in _KINDS.items()},
        }
    )
    return [
        Heading(f"Leakage, {groups.optimizers[0]}"),
        Text(
            "What the split by slice adds to accuracy, and where: test slices whose neighbour, the slice above or "
            "below of the same patient, was in training, against those without. Those are few, and many of them are a "
            "patient's first or last slice, which is easy: the majority, always answering the commonest class of "
            "just these slices, says how easy."
        ),
        Table("leakage", shown, table),
    ]


def numbers(groups: Groups) -> pd.DataFrame:
    """Return a line for each row of the paper that was run with its optimizer.

    Columns: `slice` and `patient` (mean accuracy), `difference`, and of the test slices of the split by slice with a
    neighbour in training the accuracy (`neighbour`), what always answering their commonest class would score
    (`neighbour majority`) and the number (`neighbour n`), and the same of those without (`no neighbour`, ...); means
    over seeds, whose test slices are the same.
    """
    lines = []
    for row, _ in paper.rows():
        by_slice, by_patient = (groups.cell(row, groups.optimizers[0], split) for split in SPLITS)
        if by_slice.runs or by_patient.runs:
            line = {"experiment": row, "slice": by_slice.accuracy.value, "patient": by_patient.accuracy.value}
            line["difference"] = line["slice"] - line["patient"]
            # Folders of images may give no slice numbers, and so no neighbours.
            placed = [table for table in map(_neighbours, by_slice.runs) if (table["slice"] >= 0).all()]
            for name in _KINDS:
                chosen = [table[table["neighbour"] == (name == "neighbour")] for table in placed]
                line[name] = mean([right for table in chosen for right in table["right"]])
                labels = pd.Series([label for table in chosen for label in table["label"]])
                line[f"{name} majority"] = mean((labels == labels.mode().max()).tolist())
                line[f"{name} n"] = len(labels) // max(1, len(placed))
            lines.append(line)
    kinds = [f"{name}{what}" for name in _KINDS for what in ("", " majority", " n")]
    columns = ["experiment", "slice", "patient", "difference", *kinds]
    return pd.DataFrame(lines, columns=columns).set_index("experiment")


def _neighbours(run: Run) -> pd.DataFrame:
    """Say of each test slice if it was `right`, and if the slice above or below was in training (`neighbour`)."""
    parts, tested = run.parts(), run.answers()
    train = set(map(tuple, parts[parts["part"] == "train"][["case", "slice"]].to_numpy()))
    places = zip(tested["case"], tested["slice"], strict=True)
    return tested.assign(neighbour=[(case, at - 1) in train or (case, at + 1) in train for case, at in places])


def _counted(line: "pd.Series[Any]", name: str) -> str:
    n = line[f"{name} n"]
    return f"{line[name]:.1%} of {n:,.0f} (majority {line[f'{name} majority']:.1%})" if n else ""
