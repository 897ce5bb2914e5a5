"""Show the cost of every row, and list all runs."""

from typing import Any

import pandas as pd

from brain_tumor.report.aggregates import Groups
from brain_tumor.report.formatting import flat, number
from brain_tumor.report.page import Block, Column, Heading, Line, Table, Text
from brain_tumor.report.runs import Run


def chapter(groups: Groups) -> list[Block]:
    """Show time and size by row, and every run of any task with its scores."""
    costs = pd.DataFrame([_cost(run) for run in groups.runs])
    medians: list[Any] = costs.groupby(list(costs.columns[:5]), as_index=False).median().to_dict("records")
    runs = [_line(run) for run in groups.runs]
    measures = list(dict.fromkeys(line["measure"] for line in runs))
    columns: dict[str, Column] = {name: f"{{{name}}}" for name in ("optimizer", "split", "seed", "weights")}
    for name in dict.fromkeys((*measures, "loss", "auroc")):
        if any(name in line for line in runs):
            columns[name] = number(name, "{:.1%}" if name in measures else "{:.3f}")
    return [
        Heading("Cost"),
        Text("Medians over the runs of a row. For an interrupted run, minutes are counted since it was last resumed."),
        Table.of(
            "cost",
            medians,
            {
                "experiment": _row,
                "model": "{model}",
                "strategy": "{strategy}",
                "trained parameters": "{trained parameters:,}",
                "hardware": "{hardware}",
                "minutes": "{minutes:.1f}",
                "images/s": "{images/s:,.0f}",
            },
        ),
        Heading("Every run"),
        Table.of("runs", runs, {"folder": "{folder}", "experiment": _row, **columns}),
    ]


def _row(line: Line) -> object:
    return line["experiment"] or "none"


def _cost(run: Run) -> Line:
    timing, versions = run.record["timing"], run.record["versions"]
    return {
        "experiment": run.row or 0,
        **_network(run),
        "trained parameters": timing["trained_parameters"],
        "hardware": f"{versions['hardware']}, {versions['arithmetic']}",
        "minutes": run.minutes,
        "images/s": timing["images_per_second"],
    }


def _line(run: Run) -> Line:
    """Return a run's settings and all its scores."""
    settings = run.record["hyperparameters"]
    return {
        "folder": run.folder.name,
        "task": run.record["task"],
        "experiment": run.row,
        **_network(run),
        "optimizer": run.optimizer,
        "lr": settings["lr"],
        "batch_size": settings["batch_size"],
        "epochs": settings["max_epochs"],
        "split": run.split,
        "seed": run.seed,
        "weights": run.weights,
        "measure": run.record["measure"],
        **flat(run.scores),
    }


def _network(run: Run) -> Line:
    settings = run.record["hyperparameters"]
    return {"model": settings.get("backbone", run.record["task"]), "strategy": settings.get("strategy", "")}
