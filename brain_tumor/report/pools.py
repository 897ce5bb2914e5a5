"""Runs of all folds together: every patient tested once, by models that never saw them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from brain_tumor.report.estimates import same_but_for
from brain_tumor.report.runs import Run


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

    def predictions(self, seed: int) -> pd.DataFrame:
        """Read what a seed's models predicted, each slice once, with its `fold`, in the order of the paths."""
        tables = [run.predictions().assign(fold=run.record["split"]["fold"]) for run in self.runs[seed]]
        return pd.concat(tables).sort_values("path", ignore_index=True)

    @property
    def folds(self) -> list[Run]:
        """A run of each fold, of the first seed."""
        return next(iter(self.runs.values()))


def pool(runs: Sequence[Run]) -> list[Pool]:
    """Put together what belongs together."""
    groups: dict[str, dict[int, dict[int, Run]]] = {}
    for run in runs:
        split = run.record["split"]
        if split["method"] == "folds" and split["fold"] is not None:
            groups.setdefault(same_but_for(run, "seed", "fold"), {}).setdefault(run.seed, {})[split["fold"]] = run
    return [_pool(seeds) for seeds in groups.values()]


def _pool(seeds: dict[int, dict[int, Run]]) -> Pool:
    example = next(run for own in seeds.values() for run in own.values())
    folds = range(example.record["split"]["folds"] or 0)
    missing = [f"fold {fold} of seed {seed}" for seed in sorted(seeds) for fold in folds if fold not in seeds[seed]]
    whole = {seed: [seeds[seed][fold] for fold in folds] for seed in sorted(seeds) if len(seeds[seed]) == len(folds)}
    return Pool(whole, missing, example)
