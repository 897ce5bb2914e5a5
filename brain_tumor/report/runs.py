"""Read run folders: runs that are finished, have failed, or are under way."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from brain_tumor.datasets import declared
from brain_tumor.datasets.base import DataSet
from brain_tumor.io import tables
from brain_tumor.metrics import classification
from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.report import paper
from brain_tumor.runs import alike, run_folder, summary
from brain_tumor.runs import record as records
from brain_tumor.runs.record import Record

# The weights from which a backbone may have started, those closest to the paper's first.
WEIGHTS = ("torchvision's ImageNet", "timm's", "a file", "a file, partial", "another run", "random start")
_SOURCES = {"imagenet": WEIGHTS[0], "timm": WEIGHTS[1], "file": WEIGHTS[2], "run": WEIGHTS[4], "none": WEIGHTS[5]}
_TRANSFORMS = {"flip": "flipped", "normalize": "normalized", "rotate": "rotated", "missing": "sequences missing"}


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: the run folder.
        record: its results.json.
        row: the row of the paper's Table 1 that it reproduces; None for none.
        split: the method by which its data was split.
        optimizer: the name of its optimizer's class.
        dataset: the name of the data set that it is on.
        seed: its seed.
        weights: the weights from which its backbone started, in a word or two.
        title: its row, model, strategy, augmentation and optimizer in a few words.
        minutes: from its start to the end of its test; for an interrupted run, since it was last resumed.
        tested_on: identifies its test slices among the runs on one data set.
    """

    folder: Path
    record: Record
    row: int | None
    split: str
    optimizer: str
    dataset: str
    seed: int
    weights: str
    title: str
    minutes: float
    tested_on: tuple[object, ...]

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """Read the run in a folder.

        Raises:
            ValueError: its record is damaged.
        """
        record = records.read(folder)
        row, settings, timing = paper.row_of(record), record["hyperparameters"], record["timing"]
        split, weights = record["split"], record["weights"]
        transformed = [word for name, word in _TRANSFORMS.items() if settings.get(name)]
        words = [f"experiment {row}" * bool(row), summary.model_title(record), *transformed, settings["optimizer"]]
        words += [paper.preparation(record)]
        words += ["gave no numbers (NaN)"] * bool(record["test"].get("without_numbers"))
        if (positive := record["data"]["positive"]) not in (None, "tumour"):
            words.append(f"'{positive}' positive")
        return cls(
            folder,
            record,
            row,
            split=split["method"],
            optimizer=settings["optimizer"],
            dataset=record["data"]["kind"],
            seed=settings["seed"],
            weights=_SOURCES[weights["source"]] + ", partial" * bool(weights["missing"]),
            title=", ".join(filter(None, words)),
            minutes=(timing["setup_seconds"] + timing["fit_seconds"] + timing["test_seconds"]) / 60,
            tested_on=(
                split["method"],
                split["seed"],
                split.get("outer_fold"),
                settings.get("test_fraction"),
                settings.get("val_fraction"),
            ),
        )

    @property
    def declared(self) -> type[DataSet]:
        """What is declared of its data set."""
        return declared.facts(self.dataset)

    @property
    def accuracy(self) -> float:
        """The test accuracy of a classification."""
        return float(self.record["test"]["accuracy"]["value"])

    @property
    def diverged(self) -> bool:
        """Whether its network gave no numbers (NaN) for some slices, so that its scores mean nothing."""
        tested = self.record["test"]
        loss = tested.get("loss")  # a classifier's; older records have nothing else to tell it by
        return bool(tested.get("without_numbers")) or (loss is not None and loss["value"] is None)

    @property
    def scores(self) -> dict[str, Interval]:
        """The scores of its test with their intervals."""
        return records.scores(self.record["test"])

    @property
    def study(self) -> str:
        """What is asked by its training part, or its labels: "site", "gap", "patients" or "random"; "" for others."""
        split, target = self.record["split"], self.record["data"].get("target", {})
        if target.get("name") == "random":
            return "random"
        return "gap" if "gap" in split else "patients" if "train_patients" in split else "site" * ("site" in split)

    def same_but_for(self, *differ: str) -> str:
        """Return an id of its configuration without "seed", "fold" or other things (see `alike.same_but_for`)."""
        return alike.same_but_for(self.record, *differ)

    def predictions(self) -> pd.DataFrame:
        """Read the test slices' predictions; a diverged run's probabilities are NaN."""
        return tables.read_csv(self.folder / "predictions.csv")

    def answers(self) -> pd.DataFrame:
        """Read the predictions with the columns `predicted`, `confidence` and `right`."""
        return classification.answers(self.predictions())

    def evaluated(self, settings: dict[str, Any]) -> pd.DataFrame | None:
        """Read the predictions of the newest evaluation of the test part with settings, such as {"skull": "remove"}."""
        for path in self._evaluations():
            content = tables.read_json(path)
            if content.get("settings", {}) == settings and self._is_of_test(content):
                return tables.read_csv(path.parent / "predictions.csv")
        return None

    def evaluated_ways(self) -> list[dict[str, Any]]:
        """Return the settings of the evaluations of the test part, the newest first."""
        contents = (tables.read_json(path) for path in self._evaluations())
        return [content.get("settings", {}) for content in contents if self._is_of_test(content)]

    @property
    def finished(self) -> float:
        """When its record was written, in seconds since 1970."""
        return (self.folder / "results.json").stat().st_mtime

    def parts(self) -> pd.DataFrame:
        """Read the part of every slice: train, val or test."""
        return tables.read_csv(self.folder / "split.csv")

    def evaluation(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        """Find the newest evaluation of this run's test part with a key, such as "explanation".

        Returns:
            The evaluation's folder and the value of the key; None where there is none.
        """
        for path in self._evaluations():
            content = tables.read_json(path)
            if key in content and not content.get("settings") and self._is_of_test(content):
                return path.parent, content[key]
        return None

    def _evaluations(self) -> list[Path]:
        """Return the records of its evaluations, the newest first."""
        return sorted(self.folder.glob("evaluations/*/results.json"), key=lambda path: -int(path.parent.name))

    def _is_of_test(self, evaluation: dict[str, Any]) -> bool:
        """Return whether an evaluation is of this run's test part and of the checkpoint that its record scores."""
        # Not the data's key, which has changed with the format.
        names = ("kind", "classes", "slices", "patients", "labels")
        data: dict[str, Any] = dict(self.record["data"])
        same_data = all(evaluation["data"][name] == data[name] for name in names)
        tested, scored = self.record["test"], Path(evaluation["checkpoint"]).stem
        return (
            same_data
            and evaluation["test"]["slices"] == self.record["split"]["test"]["slices"]
            and scored == tested["checkpoint"]
        )


@dataclass(frozen=True)
class Collection:
    """The runs in some folders.

    Attributes:
        runs: finished runs in the order of rows, optimizers, splits and seeds; of two with one configuration, one data
            set and the same weights the newer one.
        failed: folders and errors of runs that have failed.
        unfinished: folders of runs that were interrupted or are under way.
        searches: folders of searches of settings.
    """

    runs: list[Run]
    failed: list[tuple[Path, str]]
    unfinished: list[Path]
    searches: Sequence[Path] = ()


def collect(folders: Sequence[Path]) -> Collection:
    """Read every run below `folders`.

    Raises:
        ValueError: a folder is missing, or a finished run's record is damaged.
    """
    places: list[Path] = []
    searches: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder; give the one that training wrote to, such as outputs")
        for place, names, files in os.walk(folder, followlinks=True):
            if ".hydra" in names:
                places.append(Path(place))
                names.clear()
            elif "search.json" in files:
                searches.append(Path(place))
    places.sort(key=lambda path: path.stat().st_mtime)
    runs = {folder: Run.read(folder) for folder in places if run_folder.finished(folder)}
    finished = {run.same_but_for(): run for run in runs.values()}
    others = {folder: run_folder.failure(folder) for folder in places if folder not in runs}
    return Collection(
        sorted(finished.values(), key=_place),
        sorted((folder, line) for folder, line in others.items() if line),
        [folder for folder, line in others.items() if not line],
        sorted(searches),
    )


def _place(run: Run) -> tuple[int, str, str, int, str]:
    return run.row or 99, run.optimizer, run.split, run.seed, run.record["id"]
