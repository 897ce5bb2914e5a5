"""Pool the runs of all folds: every patient is tested once, by a model that never saw the patient."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import torch

from brain_tumor.metrics import baselines, classification
from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.report.page import Block, Text
from brain_tumor.report.runs import Run
from brain_tumor.runs.record import Data


@dataclass(frozen=True)
class Pool:
    """Runs that differ in fold and seed only, so that each seed tests each slice once; or one run without folds.

    Attributes:
        runs: by seed, the runs of all folds in order; seeds without all folds are left out.
        missing: folds that have not been run, such as "fold 3 of seed 0".
        example: any of the runs.
    """

    runs: dict[int, list[Run]]
    missing: list[str]
    example: Run

    @cached_property
    def tables(self) -> dict[int, pd.DataFrame]:
        """By seed, the predictions for all slices in the order of their paths; with folds, also a column `fold`."""
        return {seed: _together(runs).sort_values("path", ignore_index=True) for seed, runs in self.runs.items()}

    @property
    def folds(self) -> list[Run]:
        """The runs of the first seed, one per fold."""
        return next(iter(self.runs.values()))

    @cached_property
    def scores(self) -> dict[str, Interval]:
        """The scores of classifiers, averaged over seeds."""
        return _score(list(self.tables.values()), self.example.record["data"])

    @cached_property
    def baseline_tables(self) -> dict[str, pd.DataFrame]:
        """The predictions of the image-free baselines, which predict each fold from the labels of the other folds."""
        classes, tables = self.example.record["data"]["classes"], defaultdict(list)
        for run in self.folds:
            parts = run.parts()
            train, test = (parts[parts["part"] == part] for part in ("train", "test"))
            for name, probabilities in baselines.predict(train, test, len(classes)).items():
                table = classification.predictions(test, probabilities, classes)
                tables[name].append(table.assign(fold=run.record["split"]["fold"]))
        return {name: pd.concat(fold_tables, ignore_index=True) for name, fold_tables in tables.items()}

    @cached_property
    def baselines(self) -> dict[str, dict[str, Interval]]:
        """The scores of the image-free baselines."""
        data = self.example.record["data"]
        return {name: _score([table], data) for name, table in self.baseline_tables.items()}


def pool_folds(runs: Sequence[Run]) -> list[Pool]:
    """Pool the runs of folds that belong together; runs without folds are left out."""
    groups: dict[str, dict[int, dict[int, Run]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        if run.record["split"]["fold"] is not None:
            groups[run.same_but_for("seed", "fold")][run.seed][run.record["split"]["fold"]] = run
    return [_pool(seeds) for seeds in groups.values()]


def of_like_seeds(runs: Sequence[Run], others: Sequence[Run]) -> list[Run]:
    """Return those of the runs whose seeds the others have, too; all of them if there are none."""
    seeds = {run.seed for run in others}
    return [run for run in runs if run.seed in seeds] or list(runs)


def _pool(seeds: dict[int, dict[int, Run]]) -> Pool:
    """Make a pool of runs by seed and fold."""
    example = next(run for by_fold in seeds.values() for run in by_fold.values())
    count = example.record["split"]["folds"]
    folds = range(count) if count else _given_folds(seeds)
    missing = [f"fold {fold} of seed {seed}" for seed in sorted(seeds) for fold in folds if fold not in seeds[seed]]
    complete = [(seed, by_fold) for seed, by_fold in sorted(seeds.items()) if by_fold.keys() >= set(folds)]
    return Pool({seed: [by_fold[fold] for fold in folds] for seed, by_fold in complete}, missing, example)


def _given_folds(seeds: dict[int, dict[int, Run]]) -> range:
    """Return the numbers of folds that the data set defines, as far as the runs show them.

    Where the data set does not declare its first fold, it is the first that was run. If the runs do not test all
    slices, there is at least one more fold.
    """
    runs = {fold: run for by_fold in seeds.values() for fold, run in by_fold.items()}
    tested = sum(run.record["split"]["test"]["slices"] for run in runs.values())
    example = next(iter(runs.values()))
    slices, declared = example.record["data"]["slices"], example.declared.first_fold
    first = min(runs) if tested >= slices or declared is None else declared
    return range(first, max(runs) + 1 + (tested < slices and len(runs) == max(runs) + 1 - first))


def unfinished(pools: Sequence[Pool]) -> list[Block]:
    """Return a text about the folds that are missing; [] if none are."""
    lines = [f"{pool.example.title}: {', '.join(pool.missing)}" for pool in pools if pool.missing]
    return [Text(f"Not run, or not finished: {'; '.join(lines)}.")] if lines else []


def _together(runs: Sequence[Run]) -> pd.DataFrame:
    if runs[0].record["split"]["fold"] is None:
        return runs[0].predictions()
    return pd.concat([run.predictions().assign(fold=run.record["split"]["fold"]) for run in runs])


def _score(tables: Sequence[pd.DataFrame], data: Data) -> dict[str, Interval]:
    first = tables[0]
    probabilities = [torch.tensor(classification.probabilities_of(table).to_numpy(dtype=float)) for table in tables]
    labels = torch.tensor(first["label"].to_numpy())
    place = classification.place_of(data["positive"], data["classes"])
    return classification.score_folds(probabilities, labels, list(first["case"]), list(first["fold"]), place)
