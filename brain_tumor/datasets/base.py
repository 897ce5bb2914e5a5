"""What a data set declares: its facts, and its slices on disk, one row a slice, with its mask, case and class.

A listing is a `pandas.DataFrame` with the columns

    path    the image, relative to the root, with forward slashes
    mask    its mask, likewise; "" where the data has none
    case    the patient's or scan's name; "" where unknown
    slice   the slice's number within its case; -1 where unknown
    class   the name of its class; "" where folders name none
    part    "train", "val" or "test" where the folders say so; "" elsewhere
    fold    the number of its fold where the folders say so; -1 elsewhere

and, where several cases may be one person, `person`, the name that these share.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import pandas as pd

from brain_tumor.scans.images import Content, read_files

COLUMNS = ["path", "mask", "case", "slice", "class", "part", "fold"]
# Reads an image and its mask, if it has one, from their files; ValueError says what is wrong with them.
Reader = Callable[[Path, Path | None], Content]


@dataclass
class Listing:
    """The slices under a root.

    Attributes:
        root: the folder that every path in `table` is relative to.
        table: one row a slice (see the module's docstring).
        problems: what is wrong with the files' names and pairing, a line each.
        notes: what is worth knowing but no fault, likewise.
        ignored: files that are neither image nor mask.
        copies: other folders that hold the same tree again, left out.
        reader: reads a slice's files.
        patients: what is known of patients: a row a case, a column a target, texts; "" for unknown.
    """

    root: Path
    table: pd.DataFrame
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)
    reader: Reader = read_files
    patients: pd.DataFrame = field(default_factory=pd.DataFrame)


class Published(NamedTuple):
    """A result that others have published on a data set; the report puts it beside ours.

    Attributes:
        task: "segmentation" or "classification".
        model: what was trained, and by whom.
        split: how patients were divided, as far as the source says so.
        scores: for masks as numbers, by our names (see `brain_tumor.metrics.segmentation`); for classes as texts.
        target: of patients; "" where the data set's classes were told apart.
    """

    task: str
    model: str
    split: str
    scores: Mapping[str, float | str]
    target: str = ""


class Remarks(NamedTuple):
    """What a data set has to say of a copy of itself, a line each.

    Attributes:
        problems: what must be mended before the data can be trusted.
        notes: what is worth knowing but no fault.
    """

    problems: list[str]
    notes: list[str]


class DataSet(ABC):
    """A data set: one declaration, which everybody else asks for its facts.

    A subclass sets what differs from the defaults below, and lists its slices. Its constructor takes the data set's
    own settings as keywords: they stand in the configuration under `data`, beside those of
    `brain_tumor.data.datamodule.SliceDataModule`. `cache_dir` goes to both.

    Attributes:
        name: stands in records and reports.
        sequences: what the three channels show; () where nobody knows.
        licence: of the data, in a line; "" where it is not known.
        target: what to tell of a slice where a user does not say (see `brain_tumor.data.targets`); None for the first
            that the listing allows.
        positive: the class that means a tumour; None where the classes' names say so, or none does.
        drawn: whether a program draws it in the cache, so that it shows no patients.
        of_the_paper: whether the paper whose table the report fills was written on it.
        first_fold: the number of the first of the folds that it is published with; None for any.
        published: results of others.
        root: where its files are; None where it has no place of its own.
    """

    name: ClassVar[str]
    sequences: ClassVar[tuple[str, ...]] = ()
    licence: ClassVar[str] = ""
    target: ClassVar[str | None] = None
    positive: ClassVar[str | None] = None
    drawn: ClassVar[bool] = False
    of_the_paper: ClassVar[bool] = False
    first_fold: ClassVar[int | None] = None
    published: ClassVar[tuple[Published, ...]] = ()
    root: Path | None = None

    @abstractmethod
    def listing(self) -> Listing:
        """List the slices; fetch or draw them first where they are missing.

        Raises:
            ValueError: they are not there, or not what they should be.
        """

    def differences(self, listing: Listing) -> list[str] | None:
        """Hold a listing against what was published; a line for each difference, None where nothing was."""
        del listing
        return None

    def remarks(self, listing: Listing) -> Remarks:
        """Say what only this data set can know of its listing, beside what holds for any data."""
        del listing
        return Remarks([], [])
