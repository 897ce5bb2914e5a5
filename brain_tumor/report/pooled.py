"""Runs of all folds together: every patient tested once, by models that never saw them."""

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
    """Runs that differ in fold and seed only, each slice tested once a seed; or one run without folds.

    Attributes:
        runs: the runs of each fold, in order, by seed; seeds that lack a fold are left out.
        missing: what has not been run, such as "fold 3 of seed 0".
        example: any of its runs.
    """

    runs: dict[int, list[Run]]
    missing: list[str]
    example: Run

    @cached_property
    def tables(self) -> dict[int, pd.DataFrame]:
        """What each seed's models predicted, each slice once, in the order of the paths, with its `fold` if any."""
        return {seed: _together(own).sort_values("path", ignore_index=True) for seed, own in self.runs.items()}

    @property
    def folds(self) -> list[Run]:
        """A run of each fold, of the first seed."""
        return next(iter(self.runs.values()))

    @cached_property
    def scores(self) -> dict[str, Interval]:
        """The scores of classifiers, means over seeds."""
        return _score(list(self.tables.values()), self.example.record["data"])

    @cached_property
    def baselines(self) -> dict[str, dict[str, Interval]]:
        """The scores of predicting each fold's labels without its pixels, from the slices of the other folds."""
        classes, tables = self.example.record["data"]["classes"], defaultdict(list)
        for run in self.folds:
            parts = run.parts()
            train, test = (parts[parts["part"] == part] for part in ("train", "test"))
            for name, probabilities in baselines.predict(train, test, len(classes)).items():
                table = classification.predictions(test, probabilities, classes)
                tables[name].append(table.assign(fold=run.record["split"]["fold"]))
        data = self.example.record["data"]
        return {name: _score([pd.concat(own, ignore_index=True)], data) for name, own in tables.items()}


def pool(runs: Sequence[Run]) -> list[Pool]:
    """Put the folds together that belong together; runs without folds are left out."""
    groups: dict[str, dict[int, dict[int, Run]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        if run.record["split"]["fold"] is not None:
            groups[run.same_but_for("seed", "fold")][run.seed][run.record["split"]["fold"]] = run
    return [_pool(seeds) for seeds in groups.values()]


def _pool(seeds: dict[int, dict[int, Run]]) -> Pool:
    example = next(run for own in seeds.values() for run in own.values())
    drawn = example.record["split"]["folds"]
    folds = range(drawn) if drawn else _own_folds(seeds)
    missing = [f"fold {fold} of seed {seed}" for seed in sorted(seeds) for fold in folds if fold not in seeds[seed]]
    whole = {seed: [own[fold] for fold in folds] for seed, own in sorted(seeds.items()) if own.keys() >= set(folds)}
    return Pool(whole, missing, example)


def _own_folds(seeds: dict[int, dict[int, Run]]) -> range:
    """Number the folds that the data gives, as far as runs show: if not all slices are tested there is one more.

    Where the data set does not declare its first fold, it is the first that was run.
    """
    known = {fold: run for own in seeds.values() for fold, run in own.items()}
    tested = sum(run.record["split"]["test"]["slices"] for run in known.values())
    example = next(iter(known.values()))
    every, declared = example.record["data"]["slices"], example.declared.first_fold
    first = min(known) if tested >= every or declared is None else declared
    return range(first, max(known) + 1 + (tested < every and len(known) == max(known) + 1 - first))


def unfinished(pools: Sequence[Pool]) -> list[Block]:
    """Name the folds that are missing, if any are."""
    lines = [f"{own.example.title}: {', '.join(own.missing)}" for own in pools if own.missing]
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
