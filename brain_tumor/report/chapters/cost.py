"""What every row cost, and the list of all runs."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from brain_tumor.report.cells import Groups
from brain_tumor.report.page import Block, Heading, Table, Text
from brain_tumor.report.runs import Run
from brain_tumor.report.wording import flat


def chapter(groups: Groups) -> list[Block]:
    """Show time and size by row, and every run with its scores, whatever its task."""
    table, every = costs(groups.runs), pd.DataFrame([_line(run) for run in groups.runs])
    shown = table.reset_index()
    shown["experiment"] = shown["experiment"].replace(0, "none")
    for name, form in (("minutes", "{:.1f}"), ("images/s", "{:,.0f}"), ("trained parameters", "{:,}")):
        shown[name] = shown[name].map(form.format)
    measures = list(dict.fromkeys(every["measure"]))
    numbers = [name for name in (*measures, "loss", "auroc") if name in every]
    listed = every[["folder", "experiment", "optimizer", "split", "seed", "weights", *numbers]].copy()
    listed["experiment"] = ["none" if pd.isna(row) else str(int(row)) for row in listed["experiment"]]
    for name in numbers:
        form = "{:.1%}" if name in measures else "{:.3f}"
        listed[name] = ["" if pd.isna(value) else form.format(value) for value in listed[name]]
    return [
        Heading("Cost"),
        Text("Medians over a row's runs. A run that was cut off counts the minutes since it was last taken up."),
        Table("cost", shown, table),
        Heading("Every run"),
        Table("runs", listed, every),
    ]


def costs(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the medians of each row: `minutes` of a run, `images/s`, with `trained parameters` and `hardware`."""
    lines = [
        {
            "experiment": run.row or 0,
            **_network(run),
            "trained parameters": run.record["timing"]["trained_parameters"],
            "hardware": f"{run.record['versions']['hardware']}, {run.record['versions']['arithmetic']}",
            "minutes": run.minutes,
            "images/s": run.record["timing"]["images_per_second"],
        }
        for run in runs
    ]
    keys = ["experiment", "model", "strategy", "trained parameters", "hardware"]
    return pd.DataFrame(lines).groupby(keys, as_index=False).median().set_index("experiment")


def _line(run: Run) -> dict[str, Any]:
    """List a run's settings and every score."""
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


def _network(run: Run) -> dict[str, str]:
    settings = run.record["hyperparameters"]
    return {"model": settings.get("backbone", run.record["task"]), "strategy": settings.get("strategy", "")}
