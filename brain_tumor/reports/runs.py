"""Read run folders: what is finished, what has failed, what is under way."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from brain_tumor.reports import paper
from brain_tumor.results import classification, run_folder
from brain_tumor.results import record as records
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

    def predictions(self) -> pd.DataFrame:
        """Read the test slices' predictions; a diverged run's probabilities are NaN."""
        table = records.read_csv(self.folder / "predictions.csv")
        scores = classification.probabilities_of(table)
        return table.assign(**scores.apply(pd.to_numeric, errors="coerce"))

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


def of_records(paths: Iterable[Path]) -> list[Run]:
    """Read records that lie apart from their folders, such as those in docs/; they have no predictions."""
    contents = [records.load(path) for path in paths]
    return sorted((Run(Path(), content, paper.row_of(content)) for content in contents), key=_place)


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
