"""Group runs for the report: runs that a cell of a table averages, and folds that belong together."""

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
from brain_tumor.report.patients_table import NOTHING, Known
from brain_tumor.report.pooled import Pool, pool_folds
from brain_tumor.report.runs import WEIGHTS, Run

INNER = "inner folds"  # a split by which settings are chosen
SPLITS = ("slice", "patient")  # the paper's split, and the split without leakage


class Estimate(NamedTuple):
    """A mean over seeds. As text it has its interval, and the lowest and the highest of several seeds.

    Attributes:
        value: the mean; NaN for no run.
        low: lower limit of its 95 % interval, by a bootstrap over patients; NaN where there is none.
        high: upper limit of the interval.
        n: number of seeds.
        lowest: value of the lowest seed.
        highest: value of the highest seed.
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
    """Average over seeds, with an interval.

    Args:
        values: a value per seed.
        tables: a table of slices per seed; the interval is that of the mean of the column `value`.
    """
    if not values:
        return Estimate()
    slices, limits = pd.concat(tables), (math.nan, math.nan)
    cases = list(slices["case"] if (slices["case"] != "").all() else slices["path"])
    if len(set(cases)) > 1:
        values_of_slices = torch.tensor(slices["value"].to_numpy(dtype=float))
        interval = bootstrap.intervals(lambda weights: {"": weights @ values_of_slices / weights.sum(1)}, cases)[""]
        limits = _limits(interval)
    return Estimate(float(np.mean(values)), *limits, len(values), min(values), max(values))


def _limits(interval: bootstrap.Interval) -> tuple[float, float]:
    return mean([interval["low"]]), mean([interval["high"]])


def mean(values: Sequence[float | None]) -> float:
    """Average values; NaN for none, and where a run has diverged, whose record has None."""
    return float(np.mean(np.array(values, dtype=float))) if len(values) else math.nan


@dataclass(frozen=True)
class Cell:
    """Runs of a row that may be averaged: they differ in the seed only, and each seed occurs once.

    Attributes:
        row: the row of the paper's Table 1.
        optimizer: the name of the optimizer's class.
        runs: the runs; () where there are none.
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
        """How the runs differ from the row: diverged, weights other than torchvision's, and settings."""
        if not self.runs:
            return ""
        weights = "" if self.runs[0].weights == WEIGHTS[0] else f"weights: {self.runs[0].weights}"
        diverged = sum(run.diverged for run in self.runs)
        numberless = f"{diverged} of {len(self.runs)} gave no numbers (NaN)" if diverged else ""
        return "; ".join(filter(None, [numberless, weights, *paper.deviations(self.runs[0].record, self.row)]))


class Groups:
    """Runs, grouped for the chapters.

    Args:
        runs: finished runs on one data set.
        known: what is known of patients beside the runs.

    Attributes:
        known: as given.
        runs: these runs, but for those on inner folds, and those that leave out more of the training part.
        apart: the latter: of a site, of slices near tested ones, of patients who were not drawn.
        inner: the runs on inner folds, which say what was chosen and not how good it is.
        classifiers: the runs of classifiers.
        segmenters: the runs of segmenters.
        optimizers: the optimizers of runs of the paper's rows, or of all classifiers if there are none; SGD first.
        pools: the classifiers' folds, pooled.
        cells: the cells by row, optimizer and split, for the splits in `SPLITS`.
    """

    def __init__(self, runs: list[Run], known: Known = NOTHING) -> None:
        self.known = known
        self.inner = [run for run in runs if run.split == INNER]
        self.apart = [run for run in runs if run.split != INNER and run.study]
        runs = [run for run in runs if run.split != INNER and not run.study]
        self.runs = runs
        self.classifiers = [run for run in runs if run.record["task"] == "classification"]
        self.segmenters = [run for run in runs if run.record["task"] == "segmentation"]
        self.pools: list[Pool] = pool_folds(self.classifiers)
        rows = [run for run in self.classifiers if run.row]
        names = {run.optimizer for run in rows or self.classifiers}
        self.optimizers = sorted(names, key=lambda name: (name != "SGD", name))
        candidates: dict[tuple[int, str, str], list[Run]] = defaultdict(list)
        for run in rows:
            if run.split in SPLITS:
                candidates[run.row or 0, run.optimizer, run.split].append(run)
        self.cells = {key: Cell(*key[:2], _most_alike(group)) for key, group in candidates.items()}

    def tumours(self) -> pd.DataFrame | None:
        """Return `case` and the tumour's `area` in pixels by path; None if no segmenter tested all patients."""
        pools = [pool for pool in pool_folds(self.segmenters) if pool.runs]
        return next(iter(pools[0].tables.values())).set_index("path")[["case", "area"]] if pools else None

    def missing(self) -> dict[str, list[str]]:
        """Return the sequences that patients lack, by name; {} if nobody lacks one, or if no run says so."""
        said = (run.record["data"].get("missing") for run in (*self.runs, *self.apart, *self.inner))
        return next((missing for missing in said if missing is not None), {})

    def cell(self, row: int, optimizer: str, split: str) -> Cell:
        """Return the cell of a row; one without runs if the row has not been run."""
        return self.cells.get((row, optimizer, split), Cell(row, optimizer))

    def of_split(self, split: str) -> list[Cell]:
        """Return the cells of a split that have been run."""
        return [cell for (_, _, cell_split), cell in self.cells.items() if cell_split == split]

    def baselines(self, split: str) -> dict[str, float]:
        """Average each baseline's accuracy over the test parts of the cells; NaN for a baseline that they lack."""
        tested = {cell.runs[0].tested_on: cell.runs[0].record["baselines"] for cell in self.of_split(split)}
        return {
            name: mean([scores[name]["accuracy"]["value"] for scores in tested.values() if name in scores])
            for name in ("majority", "position", "nearest_slice")
        }


def divisions(pools: Sequence[Pool]) -> list[Pool]:
    """Choose a complete pool for each way in which the patients are divided into folds."""
    complete = [pool for pool in pools if pool.runs]
    return list({tuple(next(iter(pool.tables.values()))["fold"]): pool for pool in complete}.values())


def _most_alike(runs: Sequence[Run]) -> list[Run]:
    """Choose the runs of a cell that differ in the seed only and are nearest to the settings of the table.

    Of groups that are equally near, the one with the most seeds is chosen.
    """
    groups: dict[tuple[int, int, str], dict[int, Run]] = defaultdict(dict)
    for run in runs:
        distance = len(paper.deviations(run.record, run.row or 0)), WEIGHTS.index(run.weights)
        groups[*distance, run.same_but_for("seed")][run.seed] = run
    return list(groups[min(groups, key=lambda key: (*key[:2], -len(groups[key]), key[2]))].values())


def one_data_set(runs: Sequence[Run]) -> list[Run]:
    """Return the runs on one data set, since numbers of different data do not belong in one table.

    The paper's data set is preferred, and then the one with the most runs.
    """
    keys = [(run.declared.of_the_paper, run.record["data"]["key"]) for run in runs]
    counts = Counter(keys)
    chosen = max(counts, key=lambda key: (key[0], counts[key]), default=None)
    return [run for run, key in zip(runs, keys, strict=True) if key == chosen]
