"""Which runs may be averaged, and how sure the average is."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from brain_tumor.report import paper
from brain_tumor.report.runs import WEIGHTS, Run
from brain_tumor.results import bootstrap, classification, run_folder


class Estimate(NamedTuple):
    """A mean over seeds.

    Attributes:
        value: the mean; NaN for no run.
        low: lower limit of its 95 % interval, a bootstrap over patients; NaN where there is none.
        high: upper limit.
        n: number of seeds.
        lowest: the lowest seed's value.
        highest: the highest seed's.
    """

    value: float
    low: float
    high: float
    n: int
    lowest: float
    highest: float


def one_data_set(runs: Sequence[Run]) -> list[Run]:
    """Keep the runs on one data set, since numbers of different data do not belong in one table.

    It is the paper's where runs are on that, and of several the one that most runs are on.
    """
    keys = Counter((run.dataset == "lgg", run.record["data"]["key"]) for run in runs)
    chosen = max(keys, key=lambda key: (key[0], keys[key]), default=None)
    return [run for run in runs if (run.dataset == "lgg", run.record["data"]["key"]) == chosen]


def of_row(runs: Sequence[Run], row: int, optimizer: str, split: str) -> list[Run]:
    """Choose the runs of a row that may be averaged: equal but for the seed, and nearest to what the table asks for.

    Of groups that are equally near it is the one with most seeds. Each seed counts once.
    """
    groups: dict[tuple[int, int, str], dict[int, Run]] = {}
    for run in runs:
        if (run.row, run.optimizer, run.split) == (row, optimizer, split):
            distance = len(paper.deviations(run.record, row)), WEIGHTS.index(run.weights)
            groups.setdefault((*distance, same_but_for(run, "seed")), {})[run.seed] = run
    chosen = min(groups, key=lambda group: (*group[:2], -len(groups[group]), group[2]), default=None)
    return list(groups[chosen].values()) if chosen else []


def same_but_for(run: Run, *differ: str) -> str:
    """Name a run's configuration without where its data and weights lie, and without its "seed" or its "fold"."""
    config, weights = run.record["config"], run.record["weights"]
    model = {**config["model"], "weights": [weights["source"], weights["detail"]]}
    data = {**config["data"], "root": ""} | ({"fold": None} if "fold" in differ else {})
    seed = {"seed": 0} if "seed" in differ else {}
    return run_folder.run_id({**config, **seed, "model": model, "data": data})


def accuracy(runs: Sequence[Run]) -> Estimate:
    """Average the test accuracy over seeds."""
    if len(runs) == 1:
        interval = runs[0].record["test"]["accuracy"]
        return _estimate([interval["value"]], (interval["low"], interval["high"]))
    tables = [rightness(run).assign(value=lambda table: table["right"].astype(float)) for run in runs]
    return _estimate([run.accuracy for run in runs], _over_patients(tables))


def difference(pairs: Sequence[tuple[Run, Run]]) -> Estimate:
    """Average over seeds how much more accurate the first run of each pair is; limits are of their common slices."""
    tables = []
    for first, second in pairs:
        both = rightness(first).merge(rightness(second)[["path", "right"]], on="path", suffixes=("", " second"))
        tables.append(both.assign(value=both["right"].astype(float) - both["right second"].astype(float)))
    return _estimate([first.accuracy - second.accuracy for first, second in pairs], _over_patients(tables))


def _estimate(values: Sequence[float], limits: tuple[float | None, float | None]) -> Estimate:
    if not values:
        return Estimate(math.nan, math.nan, math.nan, 0, math.nan, math.nan)
    low, high = (math.nan if limit is None else limit for limit in limits)
    return Estimate(float(np.mean(values)), low, high, len(values), min(values), max(values))


def _over_patients(tables: Sequence[pd.DataFrame]) -> tuple[float, float]:
    """Bootstrap over patients the mean of a column `value` of slices, those of several seeds together.

    Returns:
        Its 95 % interval; NaN where there is no slice, or only one patient's.
    """
    if not tables:
        return math.nan, math.nan
    together = pd.concat(tables)
    cases = list(together["case"] if (together["case"] != "").all() else together["path"])
    if len(set(cases)) < 2:
        return math.nan, math.nan
    values = torch.tensor(together["value"].to_numpy())
    found = bootstrap.intervals(lambda weights: {"": weights @ values / weights.sum(1)}, cases)[""]
    assert found["low"] is not None
    assert found["high"] is not None
    return found["low"], found["high"]


def rightness(run: Run) -> pd.DataFrame:
    """Read a run's predictions with the columns `predicted`, `confidence` and `right`."""
    return classification.answers(run.predictions())


def mean(values: Sequence[float | None]) -> float:
    """Average; NaN for nothing, and with a diverged run, whose record has None."""
    return float(np.mean(np.array(values, dtype=float))) if len(values) else math.nan
