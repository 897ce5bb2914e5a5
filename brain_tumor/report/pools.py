"""Runs of all folds together: every patient tested once, by models that never saw them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import torch

from brain_tumor.report.runs import Run
from brain_tumor.results import baselines, classification
from brain_tumor.results.bootstrap import Interval


@dataclass(frozen=True)
class Pool:
    """Runs that differ in fold and seed only.

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
        """What each seed's models predicted, each slice once, with its `fold`, in the order of the paths."""
        return {
            seed: pd.concat([run.predictions().assign(fold=run.record["split"]["fold"]) for run in own]).sort_values(
                "path", ignore_index=True
            )
            for seed, own in self.runs.items()
        }

    @property
    def folds(self) -> list[Run]:
        """A run of each fold, of the first seed."""
        return next(iter(self.runs.values()))

    @cached_property
    def scores(self) -> dict[str, Interval]:
        """The scores of classifiers, means over seeds."""
        return _score(list(self.tables.values()))

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
        return {name: _score([pd.concat(own, ignore_index=True)]) for name, own in tables.items()}


def pool(runs: Sequence[Run]) -> list[Pool]:
    """Put together what belongs together."""
    groups: dict[str, dict[int, dict[int, Run]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        split = run.record["split"]
        if split["method"] == "folds" and split["fold"] is not None:
            groups[run.same_but_for("seed", "fold")][run.seed][split["fold"]] = run
    return [_pool(seeds) for seeds in groups.values()]


def _pool(seeds: dict[int, dict[int, Run]]) -> Pool:
    example = next(run for own in seeds.values() for run in own.values())
    folds = range(example.record["split"]["folds"] or 0)
    missing = [f"fold {fold} of seed {seed}" for seed in sorted(seeds) for fold in folds if fold not in seeds[seed]]
    whole = {seed: [seeds[seed][fold] for fold in folds] for seed in sorted(seeds) if len(seeds[seed]) == len(folds)}
    return Pool(whole, missing, example)


def _score(tables: Sequence[pd.DataFrame]) -> dict[str, Interval]:
    first = tables[0]
    probabilities = [torch.tensor(classification.probabilities_of(table).to_numpy(dtype=float)) for table in tables]
    labels = torch.tensor(first["label"].to_numpy())
    return classification.score_folds(probabilities, labels, list(first["case"]), list(first["fold"]))
