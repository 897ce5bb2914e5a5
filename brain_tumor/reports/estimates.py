"""Which runs may be averaged, and how sure the average is."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import stats

from brain_tumor.reports import paper
from brain_tumor.reports.runs import WEIGHTS, Run
from brain_tumor.results import bootstrap, classification, run_folder
from brain_tumor.results.bootstrap import LEVEL


class Estimate(NamedTuple):
    """A mean over seeds with its 95 % interval.

    Attributes:
        value: the mean; NaN for no run.
        low: lower limit; NaN where there is none.
        high: upper limit.
        n: number of seeds. With one, the limits are of a bootstrap over patients; with more, Student's t over seeds.
    """

    value: float
    low: float
    high: float
    n: int


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
            groups.setdefault((*distance, _but_for_seed(run)), {})[run.seed] = run
    chosen = min(groups, key=lambda group: (*group[:2], -len(groups[group]), group[2]), default=None)
    return list(groups[chosen].values()) if chosen else []


def _but_for_seed(run: Run) -> str:
    """Name a run's configuration without its seed, and without where its data and weights lie."""
    config, weights = run.record["config"], run.record["weights"]
    model = {**config["model"], "weights": [weights["source"], weights["detail"]]}
    return run_folder.run_id({**config, "seed": 0, "model": model, "data": {**config["data"], "root": ""}})


def estimate(values: Sequence[float], alone: tuple[float, float] = (math.nan, math.nan)) -> Estimate:
    """Average over seeds; `alone` is the interval to give where there is one seed only."""
    if not values:
        return Estimate(math.nan, math.nan, math.nan, 0)
    middle = float(np.mean(values))
    if len(values) == 1:
        return Estimate(middle, *alone, 1)
    half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return Estimate(middle, middle - half, middle + half, len(values))


def accuracy(runs: Sequence[Run]) -> Estimate:
    """Average the test accuracy over seeds."""
    if len(runs) == 1:
        interval = runs[0].record["test"]["accuracy"]
        return estimate([interval["value"]], (interval["low"], interval["high"]))
    found = estimate([run.accuracy for run in runs])
    return found._replace(low=max(found.low, 0), high=min(found.high, 1))


def paired(first: Run, second: Run) -> tuple[float, float]:
    """Bootstrap the difference of accuracy of two runs over the patients of their common test slices.

    Returns:
        Its 95 % interval; NaN where there is no common slice, or only one patient's.
    """
    both = rightness(first).merge(rightness(second)[["path", "right"]], on="path", suffixes=("", " second"))
    cases = list(both["case"])
    if len(set(cases if all(cases) else both["path"])) < 2:
        return math.nan, math.nan
    difference = torch.tensor((both["right"].astype(float) - both["right second"].astype(float)).to_numpy())
    found = bootstrap.intervals(lambda weights: {"": weights @ difference / weights.sum(1)}, cases)[""]
    assert found["low"] is not None
    assert found["high"] is not None
    return found["low"], found["high"]


def rightness(run: Run) -> pd.DataFrame:
    """Read a run's predictions with the columns `predicted`, `confidence` and `right`."""
    return classification.answers(run.predictions())


def mean(values: Sequence[float | None]) -> float:
    """Average; NaN for nothing, and with a diverged run, whose record has None."""
    return float(np.mean(np.array(values, dtype=float))) if len(values) else math.nan
