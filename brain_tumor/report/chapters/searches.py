"""Show searches of settings: every trial, and how the best score came down, or up."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from brain_tumor.io import tables
from brain_tumor.report.formatting import number
from brain_tumor.report.page import Block, Column, Heading, Line, Picture, Table, Text

_MANY = 6  # settings with a picture each


def chapter(folders: Sequence[Path]) -> list[Block]:
    """Show each search: its best trial, a picture and a table of all trials."""
    blocks: list[Block] = []
    for folder in folders:
        record = tables.read_json(folder / "search.json")
        if any(trial["state"] == "finished" for trial in record["trials"]):
            blocks += [Heading(f"Search {folder.name}"), *_search(folder.name, record)]
    return blocks


def _search(name: str, record: dict[str, Any]) -> list[Block]:
    trials, objective = record["trials"], record["objective"]
    better = min if record["direction"] == "minimize" else max
    finished = [trial for trial in trials if trial["state"] == "finished"]
    best = better(finished, key=lambda trial: trial["value"])
    default = next((trial for trial in finished if trial["default"]), None)
    beside = "" if default is None else f"; {default['value']:.4f} with the settings as configured"
    others = {state: sum(trial["state"] == state for trial in trials) for state in ("failed", "killed")}
    left = ", ".join(f"{count} {state}" for state, count in others.items() if count)
    return [
        Text(
            f"{len(finished)} trials finished{', ' * bool(left)}{left}. The best, trial {best['number']}, has a "
            f"validation {objective} of {best['value']:.4f}{beside}. It was chosen by that score, which is therefore "
            "too good; the test part had no say."
        ),
        Picture.of(f"search_{name}", f"Validation {objective} of the trials.", _figure(record, best)),
        _table(f"search_{name}", trials, objective, better is max),
    ]


def _table(name: str, trials: Sequence[dict[str, Any]], objective: str, descending: bool) -> Table:
    lines: list[Line] = [
        {"trial": trial["number"], "state": trial["state"], objective: trial["value"], **trial["settings"]}
        for trial in trials
    ]
    lines.sort(key=lambda line: (line[objective] is None, (line[objective] or 0) * (-1 if descending else 1)))
    columns: dict[str, Column] = {"trial": "{trial}", "state": "{state}", objective: number(objective, "{:.4f}")}
    columns |= {key: _setting(key) for key in trials[0]["settings"]}
    return Table.of(name, lines, columns)


def _setting(key: str) -> Column:
    def write(line: Line) -> str:
        value = line.get(key)
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    return write


def _figure(record: dict[str, Any], best: dict[str, Any]) -> Figure:
    """Draw the scores in the order of the trials, and over each of the settings."""
    finished = [trial for trial in record["trials"] if trial["state"] == "finished"]
    values = pd.Series([trial["value"] for trial in finished], dtype=float)
    keys = list(record["space"])[:_MANY]
    figure = Figure(figsize=(2.6 * (len(keys) + 1), 2.8), layout="constrained")
    first, *others = figure.subplots(1, len(keys) + 1, sharey=True, squeeze=False)[0]
    numbers = [trial["number"] for trial in finished]
    first.plot(numbers, values, "o", markersize=4)
    first.step(numbers, values.cummin() if record["direction"] == "minimize" else values.cummax(), where="post")
    first.set(xlabel="trial", ylabel=f"validation {record['objective']}")
    first.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes, key in zip(others, keys, strict=True):
        settings = [trial["settings"][key] for trial in finished]
        continuous = all(isinstance(setting, float) for setting in settings)
        axes.plot(settings if continuous else list(map(str, settings)), values, "o", markersize=4)
        if continuous and '"log": true' in record["space"][key]:
            axes.set_xscale("log")
        mark = best["settings"][key]
        axes.plot([mark if continuous else str(mark)], [best["value"]], "*", markersize=12, color="#d62728")
        axes.set(xlabel=key)
    return figure
