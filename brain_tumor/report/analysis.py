"""The report's tables: what the runs say, beside what the paper says. Every function returns numbers, not text."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from brain_tumor.report import paper
from brain_tumor.report.estimates import Estimate, accuracy, difference, mean, of_row, rightness
from brain_tumor.report.runs import WEIGHTS, Run
from brain_tumor.results import record as records

SPLITS = ("slice", "patient")


def grid(runs: Sequence[Run], optimizer: str) -> pd.DataFrame:
    """Put the paper's Table 1 beside ours: one row an experiment, columns `paper ...`, `slice ...`, `patient ...`.

    Columns of a split: `n` (seeds), `train loss`, `test loss`, `accuracy`, `low`, `high`, the `lowest` and
    `highest` seed's, and `note` (weights that are
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
                f"{split} train loss": mean([run.record["history"][-1]["train"]["loss"] for run in chosen]),
                f"{split} test loss": mean([run.record["test"]["loss"]["value"] for run in chosen]),
                f"{split} accuracy": found.value,
                f"{split} low": found.low,
                f"{split} high": found.high,
                f"{split} lowest": found.lowest,
                f"{split} highest": found.highest,
                f"{split} note": _note(chosen, number),
            }
        lines.append(line)
    return pd.DataFrame(lines).set_index("experiment")


def _note(chosen: Sequence[Run], row: int) -> str:
    if not chosen:
        return ""
    weights = "" if chosen[0].weights == WEIGHTS[0] else f"weights: {chosen[0].weights}"
    return "; ".join(filter(None, [weights, *paper.deviations(chosen[0].record, row)]))


def baselines(runs: Sequence[Run]) -> pd.DataFrame:
    """Average each baseline's accuracy over the splits of the tables' runs: rows baselines, columns splits."""
    found: dict[str, dict[str, float]] = {}
    names = {run.optimizer for run in runs}
    for split in SPLITS:
        shown = [of_row(runs, row, name, split) for row in paper.table().index for name in names]
        drawn = {_drawn_split(chosen[0]): chosen[0].record["baselines"] for chosen in shown if chosen}
        for name in ("majority", "position", "nearest_slice"):
            values = [scores[name]["accuracy"]["value"] for scores in drawn.values() if name in scores]
            found.setdefault(name, {})[split] = mean(values)
    return pd.DataFrame.from_dict(found, orient="index")


def _drawn_split(run: Run) -> tuple[object, ...]:
    """Identify which slices a run was tested on, on one data set."""
    settings = run.record["hyperparameters"]
    return run.split, run.record["split"]["seed"], settings["test_fraction"], settings["val_fraction"]


def comparisons(runs: Sequence[Run], optimizer: str) -> pd.DataFrame:
    """Answer the paper's comparisons from runs paired by seed.

    Columns: `claim`, `better`, `worse` (rows), `paper` (the difference of accuracy in its table), `split`,
    `difference`, `low`, `high`, `n` (pairs) and `verdict`: "holds" or "does not hold" where the interval leaves out 0,
    "cannot tell" where it does not, or where weights are partial or unlike or settings are not the rows', "not run"
    where there is no pair. The interval is a bootstrap over patients of the mean over seeds: it leaves out what other
    seeds would change.
    """
    table, lines = paper.table()["test_accuracy"], []
    for claim in paper.CLAIMS:
        for split in SPLITS:
            better, worse = (
                {(run.seed, _drawn_split(run)): run for run in of_row(runs, row, optimizer, split)}
                for row in (claim.better, claim.worse)
            )
            pairs = [(better[key], worse[key]) for key in better if key in worse]
            found = difference(pairs)
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
                    "verdict": _verdict(found, [run for pair in pairs for run in pair]),
                }
            )
    return pd.DataFrame(lines)


def _verdict(found: Estimate, runs: Sequence[Run]) -> str:
    if found.n == 0:
        return "not run"
    if any(run.record["weights"]["missing"] for run in runs):
        return "cannot tell, partial weights"
    if len({run.weights for run in runs}) > 1:
        return "cannot tell, unlike weights"
    if any(paper.deviations(run.record, run.row) for run in runs if run.row):
        return "cannot tell, other settings than the rows'"
    if found.low > 0:
        return "holds"
    return "does not hold" if found.high < 0 else "cannot tell"


def optimizers(runs: Sequence[Run]) -> pd.DataFrame:
    """Put the optimizers side by side, by slice: the paper's accuracy, each one's, and its first epoch's.

    Columns of an optimizer: its name (mean accuracy), `n` (runs), `collapsed` (runs that give every slice the same
    class), `first train loss` and `first test accuracy` (means after the first epoch).
    """
    names = sorted({run.optimizer for run in runs if run.row}, key=lambda name: (name != "SGD", name))
    lines = []
    for number, row in paper.table().iterrows():
        assert isinstance(number, int)
        line: dict[str, Any] = {"experiment": number, "paper": row["test_accuracy"]}
        for name in names:
            chosen = of_row(runs, number, name, "slice")
            first = [run.record["history"][0] for run in chosen]
            line[name] = mean([run.accuracy for run in chosen])
            line[f"{name} n"] = len(chosen)
            line[f"{name} collapsed"] = sum(map(_collapsed, chosen))
            line[f"{name} first train loss"] = mean([epoch["train"]["loss"] for epoch in first])
            line[f"{name} first test accuracy"] = mean(
                [epoch["test"]["accuracy"] for epoch in first if "test" in epoch]
            )
        lines.append(line)
    return pd.DataFrame(lines).set_index("experiment")


def _collapsed(run: Run) -> bool:
    predicted = zip(*run.record["test"]["confusion_matrix"], strict=True)
    return sum(map(any, predicted)) == 1


def leakage(runs: Sequence[Run], optimizer: str) -> pd.DataFrame:
    """Show what a split by slice gives away, a row of the paper each.

    Columns: `slice` and `patient` (mean accuracy), `difference`, and of the test slices of the split by slice with a
    neighbour in training the accuracy (`neighbour`), what always answering their commonest class would score
    (`neighbour majority`) and the number (`neighbour n`), and the same of those without (`no neighbour`, ...); means
    over seeds, whose test slices are the same.
    """
    lines = []
    for number in paper.table().index:
        by_slice, by_patient = (of_row(runs, int(number), optimizer, split) for split in SPLITS)
        if not by_slice and not by_patient:
            continue
        line = {"experiment": number, "slice": accuracy(by_slice).value, "patient": accuracy(by_patient).value}
        line["difference"] = line["slice"] - line["patient"]
        # Folders of images may give no slice numbers, and so no neighbours.
        placed = [table for table in map(_neighbours, by_slice) if (table["slice"] >= 0).all()]
        beside = pd.concat(placed) if placed else pd.DataFrame()
        for name, wanted in (("neighbour", True), ("no neighbour", False)):
            chosen = beside[beside["neighbour"] == wanted] if len(beside) else pd.DataFrame(columns=["right", "label"])
            line[name] = mean(chosen["right"].tolist())
            line[f"{name} majority"] = mean((chosen["label"] == chosen["label"].mode().max()).tolist())
            line[f"{name} n"] = len(chosen) // max(1, len(placed))
        lines.append(line)
    kinds = [f"{name}{what}" for name in ("neighbour", "no neighbour") for what in ("", " majority", " n")]
    columns = ["experiment", "slice", "patient", "difference", *kinds]
    return pd.DataFrame(lines, columns=columns).set_index("experiment")


def _neighbours(run: Run) -> pd.DataFrame:
    """Say of each test slice if it was `right`, and if the slice above or below was in training (`neighbour`)."""
    parts = run.parts()
    train = set(map(tuple, parts[parts["part"] == "train"][["case", "slice"]].to_numpy()))
    tested = rightness(run)
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
                **_network(run),
                "minutes": run.minutes,
                "images/s": timing["images_per_second"],
                "trained parameters": timing["trained_parameters"],
                "hardware": f"{versions['hardware']}, {versions['arithmetic']}",
            }
        )
    keys = ["experiment", "model", "strategy", "trained parameters", "hardware"]
    grouped = pd.DataFrame(lines, columns=[*keys, "minutes", "images/s"]).groupby(keys, as_index=False).median()
    return grouped.set_index("experiment")


def every_run(runs: Sequence[Run]) -> pd.DataFrame:
    """List every run, whatever its task, with its settings and every score."""
    lines = []
    for run in runs:
        settings = run.record["hyperparameters"]
        line = {
            "folder": run.folder.name,
            "task": run.record["task"],
            "experiment": run.row,
            **_network(run),
            "optimizer": run.optimizer,
            "lr": settings["lr"],
            "batch_size": settings["batch_size"],
            "epochs": settings["max_epochs"],
            "split": run.split,
            "seed": run.seed,
            "weights": run.weights,
            "measure": run.record["measure"],
        }
        for name, interval in records.scores(run.record["test"]).items():
            line |= {name: interval["value"], f"{name} low": interval["low"], f"{name} high": interval["high"]}
        lines.append(line)
    return pd.DataFrame(lines)


def _network(run: Run) -> dict[str, str]:
    settings = run.record["hyperparameters"]
    return {"model": settings.get("backbone", run.record["task"]), "strategy": settings.get("strategy", "")}
