"""Compare recipes on inner folds, one step at a time: what was chosen, and what did not help."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from brain_tumor.metrics import classification, paired
from brain_tumor.report.aggregates import Groups
from brain_tumor.report.formatting import number
from brain_tumor.report.page import Block, Column, Heading, Line, Table, Text
from brain_tumor.report.pooled import Pool, pool_folds
from brain_tumor.report.runs import Run
from brain_tumor.runs import identity

LEAST = 0.005  # by how much a step must raise the score
SURE = 0.9  # share of the bootstrap's samples that must agree
_BARE = {"skull": "remove"}
_UNNAMED = {"seed", "data.inner_fold", "data.root", "model.weights"}  # do not tell recipes apart


def chapter(groups: Groups) -> list[Block]:
    """Show the recipes that were tried on inner folds, each beside the one that it adds a step to."""
    runs = [run for run in (*groups.segmenters, *groups.runs) if run.split == "inner folds"]
    pools = [pool for pool in pool_folds(list({run.record["id"]: run for run in runs}.values())) if pool.runs]
    lines = [line for kind in ("segmentation", "classification") for line in _lines(pools, kind)]
    if not lines:
        return []
    columns: dict[str, Column] = {
        "recipe": "{recipe}",
        "patients": "{patients}",
        "whole": number("whole", "{:.3f}"),
        "median": number("median", "{:.3f}"),
        "without skull": number("bare", "{:.3f}"),
        "score": number("score", "{:.3f}"),
        "step from": "{parent}",
        "difference": _difference,
        "agree": number("above", "{:.0%}"),
        "kept": "{kept}",
    }
    return [
        Heading("Steps of a recipe"),
        Text(
            "Every patient of the outer fold's training part is validated once, in inner folds; the outer fold's own "
            "patients are left out. A segmenter's number is the Dice per volume, a classifier's the share of a "
            "patient's slices that are right, as a mean over patients; the score is the mean of those of whole heads "
            "and of heads without skulls (`evaluate skull=remove`). A step is compared, patient by patient, with the "
            f"recipe that it is added to, and kept if the score is at least {LEAST} higher and {SURE:.0%} of a "
            "bootstrap's samples agree. Everything else is a tie, which goes to the simpler recipe."
        ),
        Table.of("steps", lines, columns),
    ]


def _lines(pools: Sequence[Pool], task: str) -> list[Line]:
    """Return a line for each recipe of a task, the simplest first."""
    recipes = {_settings(pool.example): pool for pool in pools if pool.example.record["task"] == task}
    if not recipes:
        return []
    ordered = sorted(recipes, key=len)
    base = ordered[0]
    changes = {settings: settings - base for settings in ordered}
    scores = {settings: _scores(pool) for settings, pool in recipes.items()}
    lines: list[Line] = []
    for settings in sorted(ordered, key=lambda one: len(changes[one])):
        earlier = [other for other in ordered if changes[other] < changes[settings]]
        parent = max(earlier, key=lambda one: len(changes[one]), default=None)
        lines.append(_line(changes, settings, parent, scores))
    return lines


def _line(
    changes: Mapping[Any, frozenset[tuple[str, str]]], settings: Any, parent: Any, scores: Mapping[Any, pd.DataFrame]
) -> Line:
    table = scores[settings]
    line: Line = {
        "recipe": _words(changes[settings]) or "as it was",
        "patients": len(table),
        **{name: float(table[name].mean()) for name in ("whole", "bare", "score")},
        "median": float(table["whole"].median()),
        "parent": "" if parent is None else _words(changes[parent]) or "as it was",
        "kept": "",
    }
    if parent is None:
        return line
    compared = paired.difference(scores[parent]["score"], table["score"])
    if compared is None:
        return line
    kept = compared.value >= LEAST and compared.above >= SURE
    return {**line, **compared._asdict(), "patients": len(table), "kept": "yes" if kept else "no"}


def _settings(run: Run) -> frozenset[tuple[str, str]]:
    """Return what tells a run's recipe from others: its settings but for those that mean what was always done."""
    return frozenset(_flat(identity.settings_of(run.record["config"])))


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for name, value in values.items():
        key = f"{prefix}{name}"
        if key not in _UNNAMED:
            flat += _flat(value, f"{key}.") if isinstance(value, Mapping) else [(key, str(value))]
    return flat


def _words(changed: frozenset[tuple[str, str]]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(changed) if not key.startswith("model.neighbours"))


def _scores(pool: Pool) -> pd.DataFrame:
    """Return the scores of patients, the mean over seeds: `whole`, `bare` (NaN without an evaluation) and `score`."""
    runs = [run for seed in pool.runs.values() for run in seed]
    whole = pd.concat([_by_patient(run, run.predictions()) for run in runs])
    bare = [_by_patient(run, table) for run in runs if (table := run.evaluated(_BARE)) is not None]
    columns = {"whole": whole.groupby(level=0).mean()}
    columns["bare"] = pd.concat(bare).groupby(level=0).mean() if bare else pd.Series(dtype=float)
    table = pd.DataFrame(columns)
    return table.assign(score=table[["whole", "bare"]].mean(axis=1, skipna=False))


def _by_patient(run: Run, predictions: pd.DataFrame) -> "pd.Series[float]":
    """Return a score per patient: the Dice per volume of those with a tumour, or the share of slices that are right."""
    if run.record["task"] == "segmentation":
        sums = predictions.groupby("case")[["tp", "fp", "fn"]].sum()
        sums = sums[sums["tp"] + sums["fn"] > 0]
        return 2 * sums["tp"] / (2 * sums["tp"] + sums["fp"] + sums["fn"])
    return classification.answers(predictions).groupby("case")["right"].mean()


def _difference(line: Line) -> str:
    if "low" not in line:
        return ""
    return f"{line['value']:+.3f} ({line['low']:+.3f} to {line['high']:+.3f})"
