"""The report's tables: what the runs say, beside what the paper says. Every function returns numbers, not text."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from brain_tumor.results import paper
from brain_tumor.results.metrics import LEVEL, RESAMPLES
from brain_tumor.results.runs import Run

SPLITS = ("slice", "patient")
_WEIGHTS = ("torchvision's ImageNet", "a file", "a file, partial", "random start")


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
    """Keep the runs on the data set that most runs are on: numbers of different data do not belong in one table."""
    keys = Counter(run.record["data"]["key"] for run in runs)
    return [run for run in runs if run.record["data"]["key"] == max(keys, key=lambda key: keys[key])]


def of_row(runs: Sequence[Run], row: int, optimizer: str, split: str) -> list[Run]:
    """Choose the runs of a row that may be averaged: equal but for the seed, and nearest to what the table asks for.

    Each seed counts once.
    """
    groups: dict[tuple[int, int, str], dict[int, Run]] = {}
    for run in runs:
        if (run.row, run.optimizer, run.split) == (row, optimizer, split):
            different = paper.deviations(run.record["config"], row)
            rest = f"{different} {run.record['weights']['detail']} {run.record['split']['seed']}"
            groups.setdefault((len(different), _WEIGHTS.index(run.weights), rest), {})[run.seed] = run
    return list(groups[min(groups)].values()) if groups else []


def estimate(values: Sequence[float], alone: tuple[float, float] = (math.nan, math.nan)) -> Estimate:
    """Average over seeds; `alone` is the interval to give where there is one seed only."""
    if not values:
        return Estimate(math.nan, math.nan, math.nan, 0)
    mean = float(np.mean(values))
    if len(values) == 1:
        return Estimate(mean, *alone, 1)
    half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half, len(values))


def accuracy(runs: Sequence[Run]) -> Estimate:
    """Average the test accuracy over seeds."""
    if len(runs) == 1:
        interval = runs[0].record["test"]["accuracy"]
        return estimate([interval["value"]], (interval["low"], interval["high"]))
    found = estimate([run.accuracy for run in runs])
    return found._replace(low=max(found.low, 0), high=min(found.high, 1))


def grid(runs: Sequence[Run], optimizer: str) -> pd.DataFrame:
    """Put the paper's Table 1 beside ours: one row an experiment, columns `paper ...`, `slice ...`, `patient ...`.

    Columns of a split: `n` (seeds), `train loss`, `test loss`, `accuracy`, `low`, `high`, and `note` (weights that are
    not torchvision's, settings that are not the row's).
    """
    lines = []
    for number, row in paper.table().iterrows():
        assert isinstance(number, int)
        line = {
            "experiment": number,
            **row[["model", "strategy", "batch_size", "epochs", "lr"]],
            "transforms": paper.transforms_of(number),
            "paper train loss": row["train_loss"],
            "paper test loss": row["test_loss"],
            "paper accuracy": row["test_accuracy"],
        }
        for split in SPLITS:
            chosen = of_row(runs, number, optimizer, split)
            found = accuracy(chosen)
            line |= {
                f"{split} n": found.n,
                f"{split} train loss": _mean([run.record["history"][-1]["train"]["loss"] for run in chosen]),
                f"{split} test loss": _mean([run.record["test"]["loss"]["value"] for run in chosen]),
                f"{split} accuracy": found.value,
                f"{split} low": found.low,
                f"{split} high": found.high,
                f"{split} note": _note(chosen, number),
            }
        lines.append(line)
    return pd.DataFrame(lines).set_index("experiment")


def _note(chosen: Sequence[Run], row: int) -> str:
    if not chosen:
        return ""
    weights = "" if chosen[0].weights == _WEIGHTS[0] else f"weights: {chosen[0].weights}"
    return "; ".join(filter(None, [weights, *paper.deviations(chosen[0].record["config"], row)]))


def baselines(runs: Sequence[Run]) -> pd.DataFrame:
    """Average each baseline's accuracy over the splits that runs were scored on: rows baselines, columns splits."""
    found: dict[str, dict[str, float]] = {}
    for split in SPLITS:
        records = {run.record["split"]["seed"]: run.record["baselines"] for run in runs if run.split == split}
        for name in ("majority", "position", "nearest_slice"):
            values = [scores[name]["accuracy"]["value"] for scores in records.values() if name in scores]
            found.setdefault(name, {})[split] = _mean(values)
    return pd.DataFrame(found).T


def comparisons(runs: Sequence[Run], optimizer: str) -> pd.DataFrame:
    """Answer the paper's comparisons from runs paired by seed.

    Columns: `claim`, `better`, `worse` (rows), `paper` (the difference of accuracy in its table), `split`,
    `difference`, `low`, `high`, `n` (pairs) and `verdict`: "holds" or "does not hold" where the interval leaves out 0,
    "cannot tell" where it does not, "not run" where there is no pair. With one pair the interval is a bootstrap over
    patients, which leaves out what another seed would change.
    """
    table, lines = paper.table()["test_accuracy"], []
    for claim in paper.CLAIMS:
        for split in SPLITS:
            better, worse = (
                {run.seed: run for run in of_row(runs, row, optimizer, split)} for row in (claim.better, claim.worse)
            )
            seeds = sorted(better.keys() & worse.keys())
            differences = [better[seed].accuracy - worse[seed].accuracy for seed in seeds]
            alone = _paired(better[seeds[0]], worse[seeds[0]]) if len(seeds) == 1 else (math.nan, math.nan)
            found = estimate(differences, alone)
            lines.append(
                {
                    "claim": claim.text,
                    "better": claim.better,
                    "worse": claim.worse,
                    "paper": table[claim.better] - table[claim.worse],
                    "split": split,
                    "difference": found.value,
                    "low": found.low,
                    "high": found.high,
                    "n": found.n,
                    "verdict": _verdict(found),
                }
            )
    return pd.DataFrame(lines)


def _verdict(found: Estimate) -> str:
    if found.n == 0:
        return "not run"
    if found.low > 0:
        return "holds"
    return "does not hold" if found.high < 0 else "cannot tell"


def _paired(first: Run, second: Run) -> tuple[float, float]:
    """Bootstrap the difference of accuracy of two runs over the patients of their common test slices."""
    both = _right(first).merge(_right(second)[["path", "right"]], on="path", suffixes=("", " second"))
    both["difference"] = both["right"].astype(float) - both["right second"].astype(float)
    unit = both["case"] if (both["case"] != "").all() else both["path"]
    sums = both.groupby(unit)["difference"].agg(["sum", "count"])
    generator = np.random.default_rng(0)
    drawn = generator.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=RESAMPLES)
    means = drawn @ sums["sum"].to_numpy() / (drawn @ sums["count"].to_numpy())
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _right(run: Run) -> pd.DataFrame:
    """Read a run's predictions with the columns `predicted`, `confidence` and `right`."""
    table = run.predictions()
    scores: NDArray[np.float64] = table.filter(regex=r"^p\(").to_numpy()
    return table.assign(
        predicted=scores.argmax(1), confidence=scores.max(1), right=scores.argmax(1) == table["label"].to_numpy()
    )


def optimizers(runs: Sequence[Run]) -> pd.DataFrame:
    """Put the optimizers side by side, by slice: the paper's accuracy, each one's, and its first epoch's."""
    names = sorted({run.optimizer for run in runs if run.row}, key=lambda name: (name != "SGD", name))
    lines = []
    for number, row in paper.table().iterrows():
        assert isinstance(number, int)
        line: dict[str, Any] = {"experiment": number, "paper": row["test_accuracy"]}
        for name in names:
            chosen = of_row(runs, number, name, "slice")
            first = [run.record["history"][0] for run in chosen]
            line[name] = _mean([run.accuracy for run in chosen])
            line[f"{name} n"] = len(chosen)
            line[f"{name} first train loss"] = _mean([epoch["train"]["loss"] for epoch in first])
            line[f"{name} first test accuracy"] = _mean(
                [epoch["test"]["accuracy"] for epoch in first if "test" in epoch]
            )
        lines.append(line)
    return pd.DataFrame(lines).set_index("experiment")


def leakage(runs: Sequence[Run], optimizer: str) -> pd.DataFrame:
    """Show what a split by slice gives away, a row of the paper each.

    Columns: `slice` and `patient` (mean accuracy), `difference`, and the accuracy and number of the test slices of the
    split by slice with a neighbour in training (`neighbour`, `neighbour n`) and without (`no neighbour`, ...).
    """
    lines = []
    for number in paper.table().index:
        by_slice, by_patient = (of_row(runs, int(number), optimizer, split) for split in SPLITS)
        if not by_slice and not by_patient:
            continue
        line = {"experiment": number, "slice": accuracy(by_slice).value, "patient": accuracy(by_patient).value}
        line["difference"] = line["slice"] - line["patient"]
        beside = pd.concat([_neighbours(run) for run in by_slice]) if by_slice else pd.DataFrame()
        for name, wanted in (("neighbour", True), ("no neighbour", False)):
            chosen = beside[beside["neighbour"] == wanted]["right"] if len(beside) else pd.Series(dtype=float)
            line[name] = float(chosen.mean()) if len(chosen) else math.nan
            line[f"{name} n"] = len(chosen)
        lines.append(line)
    columns = ["slice", "patient", "difference", "neighbour", "neighbour n", "no neighbour", "no neighbour n"]
    return pd.DataFrame(lines, columns=["experiment", *columns]).set_index("experiment")


def _neighbours(run: Run) -> pd.DataFrame:
    """Say of each test slice if it was `right`, and if the slice above or below was in training (`neighbour`)."""
    parts = run.parts()
    train = set(map(tuple, parts[parts["part"] == "train"][["case", "slice"]].to_numpy()))
    tested = _right(run)
    places = zip(tested["case"], tested["slice"], strict=True)
    return tested.assign(neighbour=[(case, at - 1) in train or (case, at + 1) in train for case, at in places])


def costs(runs: Sequence[Run]) -> pd.DataFrame:
    """Say what each row cost: median `minutes` of a run, `images/s` in training, `trained parameters`, `hardware`."""
    lines = []
    for run in runs:
        timing, versions = run.record["timing"], run.record["versions"]
        lines.append(
            {
                "experiment": run.row or 0,
                "model": run.record["config"]["model"]["backbone"],
                "strategy": run.record["config"]["model"]["strategy"],
                "minutes": (timing["setup_seconds"] + timing["fit_seconds"] + timing["test_seconds"]) / 60,
                "images/s": timing["images_per_second"],
                "trained parameters": timing["trained_parameters"],
                "hardware": f"{versions['hardware']}, {versions['arithmetic']}",
            }
        )
    keys = ["experiment", "model", "strategy", "trained parameters", "hardware"]
    grouped = pd.DataFrame(lines, columns=[*keys, "minutes", "images/s"]).groupby(keys, as_index=False).median()
    return grouped.set_index("experiment")


def every_run(runs: Sequence[Run]) -> pd.DataFrame:
    """List every run with its settings and every test metric."""
    lines = []
    for run in runs:
        config, test = run.record["config"], run.record["test"]
        line = {
            "folder": run.folder.name,
            "experiment": run.row,
            "model": config["model"]["backbone"],
            "strategy": config["model"]["strategy"],
            "optimizer": run.optimizer,
            "lr": config["optimizer"]["lr"],
            "batch_size": config["data"]["batch_size"],
            "epochs": config["trainer"]["max_epochs"],
            "split": run.split,
            "seed": run.seed,
            "weights": run.weights,
        }
        for name, interval in test.items():
            if isinstance(interval, dict):
                line |= {name: interval["value"], f"{name} low": interval["low"], f"{name} high": interval["high"]}
        lines.append(line)
    return pd.DataFrame(lines)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan
