"""Group runs once: those that a cell of the report's tables averages, and the folds that belong together."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from brain_tumor.metrics import bootstrap
from brain_tumor.report import paper
from brain_tumor.report.pooled import Pool, pool
from brain_tumor.report.runs import WEIGHTS, Run

SPLITS = ("slice", "patient")  # the paper's, and the one without leakage


class Estimate(NamedTuple):
    """A mean over seeds; as text with its interval, and with the lowest and the highest of several seeds.

    Attributes:
        value: the mean; NaN for no run.
        low: lower limit of its 95 % interval, a bootstrap over patients; NaN where there is none.
        high: upper limit.
        n: number of seeds.
        lowest: the lowest seed's value.
        highest: the highest seed's.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    lowest: float = math.nan
    highest: float = math.nan

    def __str__(self) -> str:
        limits = "" if math.isnan(self.low) else f" ({self.low:.1%} to {self.high:.1%})"
        seeds = f"; {self.n} seeds {self.lowest:.1%} to {self.highest:.1%}" if self.n > 1 else ""
        return f"{self.value:.1%}{limits}{seeds}" if self.n else "not run"


def over_seeds(values: Sequence[float], tables: Sequence[pd.DataFrame]) -> Estimate:
    """Average over seeds.

    Args:
        values: a seed each.
        tables: of its slices, whose column `value` has the mean whose interval is wanted.
    """
    if not values:
        return Estimate()
    together, limits = pd.concat(tables), (math.nan, math.nan)
    cases = list(together["case"] if (together["case"] != "").all() else together["path"])
    if len(set(cases)) > 1:
        column = torch.tensor(together["value"].to_numpy(dtype=float))
        interval = bootstrap.intervals(lambda weights: {"": weights @ column / weights.sum(1)}, cases)[""]
        limits = _limits(interval)
    return Estimate(float(np.mean(values)), *limits, len(values), min(values), max(values))


def _limits(interval: bootstrap.Interval) -> tuple[float, float]:
    return mean([interval["low"]]), mean([interval["high"]])


def mean(values: Sequence[float | None]) -> float:
    """Average; NaN for nothing, and with a diverged run, whose record has None."""
    return float(np.mean(np.array(values, dtype=float))) if len(values) else math.nan


@dataclass(frozen=True)
class Cell:
    """Runs of a row that may be averaged: equal but for the seed, each seed once.

    Attributes:
        row: of the paper's Table 1.
        optimizer: the name of the optimizer's class.
        runs: none where it has not been run.
    """

    row: int
    optimizer: str
    runs: Sequence[Run] = ()

    def mean(self, value: Callable[[Run], float | None]) -> float:
        """Average a number of the runs."""
        return mean([value(run) for run in self.runs])

    @cached_property
    def accuracy(self) -> Estimate:
        """The mean test accuracy."""
        values = [run.accuracy for run in self.runs]
        if len(self.runs) == 1:
            low, high = _limits(self.runs[0].record["test"]["accuracy"])
            return Estimate(values[0], low, high, 1, values[0], values[0])
        return over_seeds(values, [run.answers().rename(columns={"right": "value"}) for run in self.runs])

    @property
    def note(self) -> str:
        """What the runs differ in from the row: diverged, weights that are not torchvision's, and settings."""
        if not self.runs:
            return ""
        weights = "" if self.runs[0].weights == WEIGHTS[0] else f"weights: {self.runs[0].weights}"
        diverged = sum(run.diverged for run in self.runs)
        numberless = f"{diverged} of {len(self.runs)} gave no numbers (NaN)" if diverged else ""
        return "; ".join(filter(None, [numberless, weights, *paper.deviations(self.runs[0].record, self.row)]))


class Groups:
    """Runs, grouped.

    Args:
        runs: finished runs on one data set.

    Attributes:
        runs: these runs.
        classifiers: those that tell classes.
        segmenters: those that mark pixels.
        optimizers: of the paper's rows, or if there are none of all classifiers, the paper's first.
        pools: the classifiers in folds.
        cells: by row, optimizer and split, of the splits that stand beside the paper's.
    """

    def __init__(self, runs: list[Run]) -> None:
        self.runs = runs
        self.classifiers = [run for run in runs if run.record["task"] == "classification"]
        self.segmenters = [run for run in runs if run.record["task"] == "segmentation"]
        self.pools: list[Pool] = pool(self.classifiers)
        rows = [run for run in self.classifiers if run.row]
        names = {run.optimizer for run in rows or self.classifiers}
        self.optimizers = sorted(names, key=lambda name: (name != "SGD", name))
        candidates: dict[tuple[int, str, str], list[Run]] = defaultdict(list)
        for run in rows:
            if run.split in SPLITS:
                candidates[run.row or 0, run.optimizer, run.split].append(run)
        self.cells = {key: Cell(*key[:2], _most_alike(own)) for key, own in candidates.items()}

    def cell(self, row: int, optimizer: str, split: str) -> Cell:
        """Return the cell of a row; an empty one if it has not been run."""
        return self.cells.get((row, optimizer, split), Cell(row, optimizer))

    def of_split(self, split: str) -> list[Cell]:
        """Return the cells of a split that have been run."""
        return [cell for (_, _, own), cell in self.cells.items() if own == split]

    def baselines(self, split: str) -> dict[str, float]:
        """Average each baseline's accuracy over the test parts of the cells; NaN for one that they do not have."""
        tested = {cell.runs[0].tested_on: cell.runs[0].record["baselines"] for cell in self.of_split(split)}
        return {
            name: mean([scores[name]["accuracy"]["value"] for scores in tested.values() if name in scores])
            for name in ("majority", "position", "nearest_slice")
        }


def divisions(pools: Sequence[Pool]) -> list[Pool]:
    """Choose a complete pool for each way of dividing the patients."""
    complete = [own for own in pools if own.runs]
    return list({tuple(next(iter(own.tables.values()))["fold"]): own for own in complete}.values())


def _most_alike(runs: Sequence[Run]) -> list[Run]:
    """Choose, of the runs of a cell, those that are equal but for the seed and nearest to what the table asks for.

    Of groups that are equally near it is the one with most seeds.
    """
    groups: dict[tuple[int, int, str], dict[int, Run]] = defaultdict(dict)
    for run in runs:
        distance = len(paper.deviations(run.record, run.row or 0)), WEIGHTS.index(run.weights)
        groups[*distance, run.same_but_for("seed")][run.seed] = run
    return list(groups[min(groups, key=lambda key: (*key[:2], -len(groups[key]), key[2]))].values())


def one_data_set(runs: Sequence[Run]) -> list[Run]:
    """Keep the runs on one data set, since numbers of different data do not belong in one table.

    It is the paper's where runs are on that, and of several the one that most runs are on.
    """
    keys = [(run.declared.of_the_paper, run.record["data"]["key"]) for run in runs]
    counts = Counter(keys)
    chosen = max(counts, key=lambda key: (key[0], counts[key]), default=None)
    return [run for run, key in zip(runs, keys, strict=True) if key == chosen]
