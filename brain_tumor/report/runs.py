"""Read run folders: what is finished, what has failed, what is under way."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from brain_tumor.report import paper
from brain_tumor.results import classification, run_folder, summary
from brain_tumor.results import record as records
from brain_tumor.results.bootstrap import Interval
from brain_tumor.results.record import Record

# What a backbone may have started from, the likest to the paper's first.
WEIGHTS = ("torchvision's ImageNet", "a file", "a file, partial", "another run", "random start")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: where it is.
        record: its results.json.
        row: the paper's row it stands for; None for none.
    """

    folder: Path
    record: Record
    row: int | None

    @property
    def split(self) -> str:
        """How its data was split."""
        return str(self.record["split"]["method"])

    @property
    def optimizer(self) -> str:
        """The name of its optimizer's class."""
        return str(self.record["hyperparameters"]["optimizer"])

    @property
    def dataset(self) -> str:
        """What kind of data it is on: "lgg", "phantom" or "folder"."""
        return self.record["data"]["kind"]

    @property
    def seed(self) -> int:
        """Its seed."""
        return int(self.record["hyperparameters"]["seed"])

    @property
    def accuracy(self) -> float:
        """The test accuracy of a classification."""
        return float(self.record["test"]["accuracy"]["value"])

    @property
    def weights(self) -> str:
        """What its backbone started from, in a word or two."""
        weights = self.record["weights"]
        kind = {
            "imagenet": "torchvision's ImageNet", "none": "random start", "file": "a file", "run": "another run",
        }[weights["source"]]  # fmt: skip
        return kind + (", partial" if weights["missing"] else "")

    @property
    def title(self) -> str:
        """Its row, model, strategy, augmentation and optimizer in a few words."""
        settings = self.record["hyperparameters"]
        augmented = {"flip": "flipped", "normalize": "normalized", "rotate": "rotated"}
        words = [
            f"experiment {self.row}" if self.row else "",
            summary.model_title(self.record),
            *(word for name, word in augmented.items() if settings.get(name)),
            self.optimizer,
        ]
        return ", ".join(filter(None, words))

    @property
    def minutes(self) -> float:
        """From its start to the end of its test; a run that was cut off counts since it was last taken up."""
        timing = self.record["timing"]
        return (timing["setup_seconds"] + timing["fit_seconds"] + timing["test_seconds"]) / 60

    @property
    def scores(self) -> dict[str, Interval]:
        """The scores of its test that have a value, low and high."""
        return records.scores(self.record["test"])

    @property
    def tested_on(self) -> tuple[object, ...]:
        """Identify which slices it was tested on, on one data set."""
        settings = self.record["hyperparameters"]
        return self.split, self.record["split"]["seed"], settings["test_fraction"], settings["val_fraction"]

    def same_but_for(self, *differ: str) -> str:
        """Name its configuration without where its data and weights lie, and without its "seed" or its "fold"."""
        config, weights = self.record["config"], self.record["weights"]
        model = {**config["model"], "weights": [weights["source"], weights["detail"]]}
        data = {**config["data"], "root": ""} | ({"fold": None} if "fold" in differ else {})
        seed = {"seed": 0} if "seed" in differ else {}
        return run_folder.run_id({**config, **seed, "model": model, "data": data})

    def predictions(self) -> pd.DataFrame:
        """Read the test slices' predictions; a diverged run's probabilities are NaN."""
        return records.read_csv(self.folder / "predictions.csv")

    def answers(self) -> pd.DataFrame:
        """Read the predictions with the columns `predicted`, `confidence` and `right`."""
        return classification.answers(self.predictions())

    def evaluations(self, key: str) -> list[tuple[Path, dict[str, Any]]]:
        """Return what its evaluations found under a key of theirs, such as "explanation", the newest first."""
        found = []
        for path in self.folder.glob("evaluations/*/results.json"):
            content = records.read_json(path)
            if key in content:
                found.append((path.parent, content[key]))
        return sorted(found, key=lambda pair: int(pair[0].name), reverse=True)

    def parts(self) -> pd.DataFrame:
        """Read which part every slice is in."""
        return records.read_csv(self.folder / "split.csv")


@dataclass(frozen=True)
class Collection:
    """What lies in some folders.

    Attributes:
        runs: finished runs, each configuration once, in the order of rows, optimizers, splits and seeds.
        failed: folder and error of runs that have failed.
        unfinished: folders of runs that were cut off or are under way.
    """

    runs: list[Run]
    failed: list[tuple[Path, str]]
    unfinished: list[Path]


def collect(folders: Sequence[Path]) -> Collection:
    """Read every run below `folders`.

    Raises:
        ValueError: a folder is missing, or a finished run's record is damaged.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder; give the one that training wrote to, such as outputs")
        for place, names, _ in os.walk(folder, followlinks=True):
            if ".hydra" in names:
                found.append(Path(place))
                names.clear()
    finished: dict[str, Run] = {}
    failed, unfinished = [], []
    for folder in sorted(found, key=lambda path: path.stat().st_mtime):
        if run_folder.finished(folder):
            content = records.read(folder)
            finished[content["id"]] = Run(folder, content, paper.row_of(content))
        elif line := run_folder.failure(folder):
            failed.append((folder, line))
        else:
            unfinished.append(folder)
    return Collection(sorted(finished.values(), key=_place), sorted(failed), sorted(unfinished))


def _place(run: Run) -> tuple[int, str, str, int, str]:
    return run.row or 99, run.optimizer, run.split, run.seed, str(run.record["id"])
