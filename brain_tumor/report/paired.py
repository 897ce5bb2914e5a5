"""Compare configurations on the same slices: a difference has a narrower interval than the scores have."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from brain_tumor.report.aggregates import Estimate, over_seeds
from brain_tumor.report.formatting import number, points
from brain_tumor.report.page import Column, Table
from brain_tumor.report.pooled import Pool, pool_folds
from brain_tumor.report.runs import Run

SAME_SLICES = (
    "Each configuration that was run by slice, beside itself in folds of patients, on the slices that were tested by "
    "slice. So the difference is what other slices of the tested patients add, and what another size of the training "
    "part does. Accuracy is a mean over slices; Dice is a mean over a patient's slices with a tumour, and then over "
    "patients. Intervals are from a bootstrap over patients."
)


def values(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return each slice's value, averaged over the seeds.

    Args:
        tables: predictions, a table per seed; a slice may stand in some of them only.

    Returns:
        One row per `path` with `case` and `value`: the share of seeds with a right answer, or for masks the mean Dice.
        Slices without a tumour have no Dice and are left out.
    """
    joined = pd.concat([table.assign(value=_values_of(table)) for table in tables])
    return joined.groupby("path").agg(case=("case", "first"), value=("value", "mean")).dropna(subset="value")


def _values_of(table: pd.DataFrame) -> "pd.Series[float]":
    if "dice" in table:
        return table["dice"].where(table["area"] > 0)
    from brain_tumor.metrics.classification import answers

    return answers(table)["right"].astype(float)


def patient_scores(predictions: pd.DataFrame) -> "pd.Series[float]":
    """Return a score per patient: the Dice per volume of those with a tumour, or the share of slices that are right."""
    if "tp" in predictions:
        sums = predictions.groupby("case")[["tp", "fp", "fn"]].sum()
        sums = sums[sums["tp"] + sums["fn"] > 0]
        return 2 * sums["tp"] / (2 * sums["tp"] + sums["fp"] + sums["fn"])
    from brain_tumor.metrics.classification import answers

    return answers(predictions).groupby("case")["right"].mean()


def difference(first: pd.DataFrame, second: pd.DataFrame, by_patient: bool = False) -> Estimate:
    """Return how much higher the first values are on the slices that both have, with an interval over patients.

    Args:
        first: a table of `values`.
        second: likewise.
        by_patient: whether to average over a patient's slices first, as scores of masks do.

    Returns:
        The mean difference; `n` is the number of slices.
    """
    both = first.join(second["value"].rename("second"), how="inner").reset_index()
    if both.empty:
        return Estimate()
    both["value"] -= both["second"]
    units = both.groupby("case", as_index=False)["value"].mean().assign(path="") if by_patient else both
    return over_seeds([float(units["value"].mean())], [units])._replace(n=len(both))


def split_table(name: str, runs: Sequence[Run], seen: Callable[[Run], str] | None = None) -> Table | None:
    """Return a table of `by_split`; None where no configuration was run both ways.

    Args:
        name: of the table's CSV file.
        runs: runs of any task.
        seen: says what a run sees, for a column of its own.
    """
    lines = list(by_split(runs))
    if not lines:
        return None
    shown = [line | ({"input": seen(line["run"])} if seen else {}) for line in lines]
    columns: dict[str, Column] = {"model": "{model}", **({"input": "{input}"} if seen else {}), "folds": "{folds}"}
    columns |= {
        "slices": "{n}",
        "score": lambda line: "Dice per tumour slice" if line["masks"] else "accuracy",
        "by slice": number("slice", "{:.1%}"),
        "in folds of patients": number("patient", "{:.1%}"),
        "difference": lambda line: points(line["difference"], line["low"], line["high"]),
    }
    return Table.of(name, [{key: line[key] for key in line if key != "run"} for line in shown], columns)


def by_split(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Compare every configuration that was run by slice with itself in folds of patients, on the same slices.

    Args:
        runs: runs of any task.

    Yields:
        A line with `model`, `folds` (how they were drawn), whether the values are of `masks`, the mean value `slice`
        by slice and `patient` in folds, and their `difference` with `low`, `high` and the number of slices `n`; `run`
        is one of the folds' runs.
    """
    by_slice: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.split == "slice":
            by_slice[run.same_but_for("seed", "split")].append(run)
    pools = [pool for pool in pool_folds(runs) if pool.runs]
    for pool in sorted(pools, key=lambda pool: (pool.example.row or 99, pool.example.title)):
        if leaking := by_slice.get(pool.example.same_but_for("seed", "fold", "split")):
            yield _of_pool(leaking, pool)


def _of_pool(leaking: Sequence[Run], pool: Pool) -> dict[str, Any]:
    first, second = values([run.predictions() for run in leaking]), values(list(pool.tables.values()))
    of_masks = pool.example.record["task"] == "segmentation"
    found = difference(first, second, by_patient=of_masks)
    shared = first.index.intersection(second.index)
    leaky, honest = (_mean(table.loc[shared], of_masks) for table in (first, second))
    drawn = "the authors'" if pool.example.record["split"]["method"] == "given" else "ours"
    return {
        **{"model": pool.example.title, "folds": f"{len(pool.folds)}, {drawn}", "masks": of_masks},
        **{"slice": leaky, "patient": honest},
        **{"difference": found.value, "low": found.low, "high": found.high, "n": found.n},
        "run": pool.example,
    }


def _mean(table: pd.DataFrame, by_patient: bool) -> float:
    return float((table.groupby("case")["value"].mean() if by_patient else table["value"]).mean())


def ranked(pools: Sequence[Pool]) -> Iterator[dict[str, Any]]:
    """Compare complete pools of classifiers, the most accurate first, each with the next and with slice position alone.

    Yields:
        A line with `model` and `accuracy`, and the differences `to_next` and `to_position` with their limits, NaN
        where there is nothing to compare with.
    """
    scored = [(values(list(pool.tables.values())), pool) for pool in pools if pool.runs]
    scored.sort(key=lambda pair: -pair[0]["value"].mean())
    following = [*(table for table, _ in scored[1:]), None]
    for (table, pool), other in zip(scored, following, strict=True):
        position = pool.baseline_tables.get("position")
        yield {
            "model": pool.example.title,
            "accuracy": float(table["value"].mean()),
            **_flat("to_next", None if other is None else difference(table, other)),
            **_flat("to_position", None if position is None else difference(table, values([position]))),
        }


def _flat(name: str, found: Estimate | None) -> dict[str, float]:
    value, low, high = (np.nan, np.nan, np.nan) if found is None else found[:3]
    return {name: value, f"{name} low": low, f"{name} high": high}
