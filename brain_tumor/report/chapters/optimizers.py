"""Compare SGD and Adam with the paper's numbers, to see which optimizer they fit."""

import math
from functools import partial

from brain_tumor.report import paper
from brain_tumor.report.aggregates import Groups, mean
from brain_tumor.report.formatting import flat, interval, losses, share
from brain_tumor.report.page import Block, Column, Heading, Line, Table, Text
from brain_tumor.report.runs import Run


def chapter(groups: Groups) -> list[Block]:
    """Show the optimizers side by side, by slice, with collapsed runs and the scores after one epoch."""
    names = [name for name in groups.optimizers if any(run.row for run in groups.classifiers)]
    lines = [_line(groups, names, row, published_row["test_accuracy"]) for row, published_row in paper.rows()]
    after_one = "{} after one epoch: train loss, test accuracy"
    columns: dict[str, Column] = {"experiment": "{experiment}", "the paper": "{paper:.0%}"}
    for name in names:
        columns |= {name: partial(_collapsed, name=name), after_one.format(name): partial(_first_epoch, name=name)}
    majority = [f"{name}: {_at_majority(lines, name) or 'not run'}" for name in names]
    first = [
        f"{name}, experiment {row}: {_first_epoch(lines[row - 1], name, 'train loss {}, test accuracy {}', 'not run')}"
        for name in names
        for row in paper.BEST.values()
    ]
    return [
        Heading("SGD or Adam"),
        Text(
            "The paper's table says SGD with momentum 0.5; its listing (section VII) trains with Adam. The table below "
            "has both beside the paper's accuracy, by slice; in brackets, how many runs have collapsed, which means "
            "that they predict the same class for every slice. The rows that the paper has at 65 %, the accuracy of "
            "always predicting no tumour: "
            f"{'; '.join(majority)}."
        ),
        Text(
            "The authors' published curve of the 30-epoch run stands at train loss {train loss} and test accuracy "
            "{test accuracy} after its first epoch. ".format(**paper.FIRST_EPOCH)
            + f"{'; '.join(first)}."
        ),
        Table.of("optimizers", lines, columns),
        *_prepared(groups),
    ]


def _prepared(groups: Groups) -> list[Block]:
    """Show the losses of runs by slice whose slices were prepared otherwise than the paper says."""
    runs = [run for run in groups.classifiers if run.row and run.split == "slice" and paper.preparation(run.record)]
    if not runs:
        return []
    columns: dict[str, Column] = {
        "experiment": "{experiment}",
        "optimizer": "{optimizer}",
        "slices": "{prepared}",
        "the paper: train loss, test loss": "{paper train loss:.2f}, {paper test loss:.2f}",
        "train loss, test loss": lambda line: losses(line["train loss"], line["test loss"]),
        "the paper": "{paper:.0%}",
        "accuracy": partial(interval, name="accuracy"),
    }
    text = "Rows whose slices were made grey, or normalized by other numbers than ImageNet's, and the paper's losses."
    return [Text(text), Table.of("preparations", [_prepared_line(run) for run in runs], columns)]


def _prepared_line(run: Run) -> Line:
    published, test = paper.table().loc[run.row or 0], run.record["test"]
    return {
        "experiment": run.row,
        "optimizer": run.optimizer,
        "prepared": paper.preparation(run.record),
        "seed": run.seed,
        "paper train loss": published["train_loss"],
        "paper test loss": published["test_loss"],
        "paper": published["test_accuracy"],
        "train loss": mean([run.record["history"][-1]["train"]["loss"]]),
        "test loss": mean([test["loss"]["value"]]),
        **flat({"accuracy": test["accuracy"]}),
    }


def _line(groups: Groups, names: list[str], row: int, published: float) -> Line:
    """Return the paper's accuracy of a row and each optimizer's numbers.

    These are the mean accuracy under the optimizer's name, `n` (runs), `collapsed` (runs that predict the same class
    for every slice), `first train loss` and `first test accuracy` (means after the first epoch).
    """
    line = {"experiment": row, "paper": published}
    for name in names:
        cell = groups.cell(row, name, "slice")
        line[name] = cell.mean(lambda run: run.accuracy)
        line[f"{name} n"] = len(cell.runs)
        line[f"{name} collapsed"] = sum(map(_has_collapsed, cell.runs))
        first = [run.record["history"][0] for run in cell.runs]
        line[f"{name} first train loss"] = mean([epoch["train"]["loss"] for epoch in first])
        # With a validation part the test is not scored after every epoch.
        line[f"{name} first test accuracy"] = mean([epoch["test"]["accuracy"] for epoch in first if "test" in epoch])
    return line


def _has_collapsed(run: Run) -> bool:
    predicted = zip(*run.record["test"]["confusion_matrix"], strict=True)
    return sum(map(any, predicted)) == 1


def _at_majority(lines: list[Line], name: str) -> str:
    ran = [line for line in lines if line["paper"] <= 0.65 and line[f"{name} n"]]
    return ", ".join(f"experiment {line['experiment']} {_collapsed(line, name)}" for line in ran)


def _collapsed(line: Line, name: str) -> str:
    count, n = line[f"{name} collapsed"], line[f"{name} n"]
    return share(line[name]) + (f" ({count} of {n} collapsed)" if count else "")


def _first_epoch(line: Line, name: str, form: str = "{}, {}", missing: str = "") -> str:
    loss, accuracy = line[f"{name} first train loss"], line[f"{name} first test accuracy"]
    return missing if math.isnan(loss) else form.format(f"{loss:.2f}", share(accuracy))
