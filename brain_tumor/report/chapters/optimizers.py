"""SGD or Adam: which optimizer the paper's numbers look like."""

import math
from typing import Any

import pandas as pd

from brain_tumor.report import paper
from brain_tumor.report.cells import Groups
from brain_tumor.report.page import Block, Heading, Table, Text
from brain_tumor.report.runs import Run
from brain_tumor.report.wording import share


def chapter(groups: Groups) -> list[Block]:
    """Put the optimizers side by side, by slice, with who has collapsed and where each stands after an epoch."""
    names = [name for name in groups.optimizers if any(run.row for run in groups.classifiers)]
    table = numbers(groups, names)
    shown = pd.DataFrame({"experiment": table.index, "the paper": table["paper"].map("{:.0%}".format)})
    majority, after_one = [], []
    for name in names:
        shown[name] = [_with_collapsed(line, name) for _, line in table.iterrows()]
        firsts = {row: _first_epoch(line, name) for row, line in table.iterrows()}
        shown[f"{name} after one epoch: train loss, test accuracy"] = [", ".join(texts) for texts in firsts.values()]
        ran = [row for row in table.index if table["paper"][row] <= 0.65 and table[f"{name} n"][row]]
        said = ", ".join(f"experiment {row} {shown[name][row]}" for row in ran)
        majority.append(f"{name}: {said or 'not run'}")
        for row in paper.BEST.values():
            said = "train loss {}, test accuracy {}".format(*firsts[row]) if firsts[row] else "not run"
            after_one.append(f"{name}, experiment {row}: {said}")
    return [
        Heading("SGD or Adam"),
        Text(
            "The paper's table says SGD with momentum 0.5; its listing (section VII) trains with Adam. By slice, both "
            "beside the paper's accuracy; in brackets, how many runs have collapsed, which is to give every slice the "
            "same answer. The rows that the paper has at 65 %, which is always answering no tumour: "
            f"{'; '.join(majority)}."
        ),
        Text(
            "The authors' published curve of the 30-epoch run stands at train loss {train loss} and test accuracy "
            "{test accuracy} after its first epoch. ".format(**paper.FIRST_EPOCH)
            + f"{'; '.join(after_one)}."
        ),
        Table("optimizers", shown, table),
    ]


def numbers(groups: Groups, names: list[str]) -> pd.DataFrame:
    """Return the paper's accuracy by row, and each optimizer's.

    Columns of an optimizer: its name (mean accuracy), `n` (runs), `collapsed` (runs that give every slice the same
    class), `first train loss` and `first test accuracy` (means after the first epoch).
    """
    lines = []
    for row, asked in paper.rows():
        line: dict[str, Any] = {"experiment": row, "paper": asked["test_accuracy"]}
        for name in names:
            cell = groups.cell(row, name, "slice")
            line[name] = cell.mean(lambda run: run.accuracy)
            line[f"{name} n"] = len(cell.runs)
            line[f"{name} collapsed"] = sum(map(_collapsed, cell.runs))
            line[f"{name} first train loss"] = cell.mean(lambda run: run.record["history"][0]["train"]["loss"])
            line[f"{name} first test accuracy"] = cell.mean(_first_accuracy)
        lines.append(line)
    return pd.DataFrame(lines).set_index("experiment")


def _first_accuracy(run: Run) -> float | None:
    first = run.record["history"][0]
    return first["test"]["accuracy"] if "test" in first else None


def _collapsed(run: Run) -> bool:
    predicted = zip(*run.record["test"]["confusion_matrix"], strict=True)
    return sum(map(any, predicted)) == 1


def _with_collapsed(line: "pd.Series[Any]", name: str) -> str:
    count = line[f"{name} collapsed"]
    return share(line[name]) + (f" ({count:.0f} of {line[f'{name} n']:.0f} collapsed)" if count else "")


def _first_epoch(line: "pd.Series[Any]", name: str) -> list[str]:
    """Write train loss and test accuracy after the first epoch; nothing where there is none."""
    loss, accuracy = line[f"{name} first train loss"], line[f"{name} first test accuracy"]
    return [] if math.isnan(loss) else [f"{loss:.2f}", share(accuracy)]
