"""Compare recipes on inner folds, one step at a time: what was chosen, and what did not help."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from brain_tumor.metrics import paired
from brain_tumor.report.aggregates import Groups
from brain_tumor.report.formatting import number
from brain_tumor.report.page import Block, Column, Heading, Line, Table, Text
from brain_tumor.report.paired import patient_scores
from brain_tumor.report.pooled import Pool, pool_folds
from brain_tumor.report.runs import Run
from brain_tumor.runs import identity

LEAST = 0.005  # by how much a step must raise the score
SURE = 0.9  # share of the bootstrap's samples that must agree
_STRIPPED = {"skull": "remove"}
# Keys that do not tell recipes apart, or only repeat another.
_UNNAMED = {"seed", "data.inner_fold", "data.root", "model.weights", "model.neighbours"}
Changes = frozenset[tuple[str, str]]


def chapter(groups: Groups) -> list[Block]:
    """Show the recipes that were tried on inner folds, each beside the one that it adds a step to."""
    pools = [pool for pool in pool_folds(groups.inner) if pool.runs]
    lines = [line for kind in ("segmentation", "classification") for line in _lines(pools, kind)]
    if not lines:
        return []
    columns: dict[str, Column] = {
        "recipe": "{recipe}",
        "patients": "{patients}",
        "whole": number("whole", "{:.3f}"),
        "median": number("median", "{:.3f}"),
        "without skull": number("stripped", "{:.3f}"),
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
    """Return a line for each recipe of a task, and for each other way in which its runs were evaluated.

    A recipe is known by what differs from the one that was run first.
    """
    recipes = [pool for pool in pools if pool.example.record["task"] == task]
    settings = [_settings(pool.example) for pool in recipes]
    keys = {key for one in settings for key in one}
    values = [{key: one.get(key, str(identity.NEUTRAL.get(key))) for key in keys} for one in settings]
    if not recipes:
        return []
    first = values[min(range(len(recipes)), key=lambda place: recipes[place].example.finished)]
    tables: dict[Changes, pd.DataFrame] = {}
    for pool, one in zip(recipes, values, strict=True):
        changes = frozenset((key, value) for key, value in one.items() if value != first[key])
        for ways in _ways(pool):
            tables[changes | {(f"evaluate {name}", str(value)) for name, value in ways.items()}] = _scores(pool, ways)
    ordered = sorted(tables, key=lambda changes: (len(changes), sorted(changes)))
    return [_line(changes, tables) for changes in ordered]


def _line(changes: Changes, tables: Mapping[Changes, pd.DataFrame]) -> Line:
    """Return the line of a recipe, beside the one with the most of its changes."""
    table = tables[changes]
    # The same runs rather than others that were evaluated in the same way.
    earlier = sorted((other for other in tables if other < changes), key=lambda other: "evaluate" in _words(other))
    parent = max(earlier, key=len, default=None)
    line: Line = {
        "recipe": _words(changes),
        "patients": len(table),
        **{name: float(table[name].mean()) for name in ("whole", "stripped", "score")},
        "median": float(table["whole"].median()),
        "parent": "" if parent is None else _words(parent),
        "kept": "",
    }
    compared = None if parent is None else paired.difference(tables[parent]["score"], table["score"])
    if compared is None:
        return line
    kept = compared.value >= LEAST and compared.above >= SURE
    return {**line, **compared._asdict(), "kept": "yes" if kept else "no"}


def _settings(run: Run) -> dict[str, str]:
    """Return what tells a run's recipe from others, by key; what means what was always done is left out."""
    settings, weights = _flat(identity.settings_of(run.record["config"])), run.record["weights"]
    return {**settings, "model.weights": weights["detail"] or weights["source"]}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if key not in _UNNAMED:
            flat |= _flat(value, f"{key}.") if isinstance(value, Mapping) else {key: str(value)}
    return flat


def _words(changes: Changes) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(changes)) or "as it was"


def _ways(pool: Pool) -> list[dict[str, Any]]:
    """Return in which ways all of a pool's runs were evaluated, skulls aside: as they were trained, and others."""
    runs = [run for seed in pool.runs.values() for run in seed]
    ways = [{key: value for key, value in way.items() if key not in _STRIPPED} for way in runs[0].evaluated_ways()]
    distinct = [way for place, way in enumerate(ways) if way and way not in ways[:place]]
    return [{}, *(way for way in distinct if all(run.evaluated(way) is not None for run in runs))]


def _scores(pool: Pool, way: dict[str, Any]) -> pd.DataFrame:
    """Return patients' scores, the mean over seeds: `whole`, `stripped` (NaN without an evaluation) and `score`."""
    runs = [run for seed in pool.runs.values() for run in seed]
    columns = {}
    for name, evaluated in (("whole", way), ("stripped", way | _STRIPPED)):
        tables = [run.evaluated(evaluated) if evaluated else run.predictions() for run in runs]
        parts = [patient_scores(table) for table in tables if table is not None]
        columns[name] = pd.concat(parts).groupby(level=0).mean() if parts else pd.Series(dtype=float)
    table = pd.DataFrame(columns)
    return table.assign(score=table[["whole", "stripped"]].mean(axis=1, skipna=False))


def _difference(line: Line) -> str:
    if "low" not in line:
        return ""
    return f"{line['value']:+.3f} ({line['low']:+.3f} to {line['high']:+.3f})"
