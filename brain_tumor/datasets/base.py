"""Declare a data set: its facts, and the listing of its slices on disk.

A listing is a `pandas.DataFrame` of one row per slice, with the columns

    path    the image, relative to the root, with forward slashes
    mask    the image's mask, likewise; "" if the data has none
    case    the patient's or scan's name; "" if unknown
    slice   the slice's number within its case; -1 if unknown
    class   the name of the slice's class; "" if no folder names one
    part    "train", "val" or "test", as the folders name it; "" if they name none
    fold    the number of the fold, as the folders name it; -1 if they name none

and, if several cases may be one person, `person`, the name that these cases share.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.datasets import regions as regions_
from brain_tumor.datasets.regions import Regions
from brain_tumor.scans.images import Content, read_files

COLUMNS = ["path", "mask", "case", "slice", "class", "part", "fold"]
# Reads an image and its mask, if there is one, from their files; raises a ValueError that names a bad file.
Reader = Callable[[Path, Path | None], Content]


@dataclass(frozen=True)
class Stack:
    """Slices that lie in common files, as those of a volume do, and that are read together.

    Attributes:
        name: of the volume, for messages.
        count: number of its slices; the listing's table has as many rows for it.
        files: its files, which exist.
        read: returns the contents of its slices, in order; raises a ValueError that names a bad file.
    """

    name: str
    count: int
    files: tuple[Path, ...]
    read: Callable[[], list[Content]]


@dataclass
class Listing:
    """The slices under a root.

    Attributes:
        root: the folder that every path in `table` is relative to.
        table: one row per slice (see the module's docstring).
        problems: what is wrong with the files' names and pairing, one line each.
        notes: worth knowing, but no fault; one line each.
        ignored: files that are neither image nor mask.
        copies: other folders that hold the same tree again; they are left out.
        reader: reads a slice's files.
        patients: properties of patients as texts, "" for unknown: one row per case, one column per target.
        stacks: the volumes that the slices were cut from, in the table's order; then a path names no file, but the
            slice's place in its volume. None for slices with files of their own.
        channels: number of channels of an image.
        regions: what the masks' values mean.
    """

    root: Path
    table: pd.DataFrame
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)
    reader: Reader = read_files
    patients: pd.DataFrame = field(default_factory=pd.DataFrame)
    stacks: list[Stack] | None = None
    channels: int = 3
    regions: Regions = regions_.BINARY

    def __post_init__(self) -> None:
        """Refuse a table that lacks columns.

        Raises:
            ValueError: it does.
        """
        if missing := sorted(set(COLUMNS) - set(self.table)):
            raise ValueError(f"{self.root}: a listing lacks the columns {', '.join(missing)}")

    @property
    def read_together(self) -> list[Stack]:
        """The slices as they are read: volumes, or each slice for itself."""
        if self.stacks is not None:
            return self.stacks
        pairs = zip(self.table["path"], self.table["mask"], strict=True)
        return [self._single(*names) for names in pairs]

    def _single(self, name: str, mask_name: str) -> Stack:
        path, mask = self.root / name, self.root / mask_name if mask_name else None
        files = (path,) if mask is None else (path, mask)
        return Stack(name, 1, files, lambda: [self.reader(path, mask)])


class Published(NamedTuple):
    """A result that others have published on a data set; the report shows it beside ours.

    Attributes:
        task: "segmentation" or "classification".
        model: what was trained, and by whom.
        split: how patients were divided, as far as the source describes it.
        scores: for masks numbers, by our names (see `brain_tumor.metrics.segmentation`); for classes texts.
        target: the target of patients; "" for the data set's classes.
    """

    task: str
    model: str
    split: str
    scores: Mapping[str, float | str]
    target: str = ""


class Remarks(NamedTuple):
    """Remarks on a copy of a data set that only the data set's declaration can make, one line each.

    Attributes:
        problems: to be mended before the data can be trusted.
        notes: worth knowing, but no fault.
    """

    problems: list[str]
    notes: list[str]


class DataSet(ABC):
    """Declare a data set; all other rooms get its facts from here.

    A subclass sets what differs from the defaults below, and lists its slices. Its constructor takes the data set's
    settings as keywords. In the configuration they stand under `data`, beside those of
    `brain_tumor.data.datamodule.SliceDataModule`; both get `cache_dir`.

    Attributes:
        name: the data set's name in records and reports.
        sequences: the MRI sequences that the channels show, 1 to 8; () for three channels that show unknown ones.
        slice_mm: the distance from one slice of a case to the next, in millimetres; None if unknown.
        scaling: how the intensities of its volumes were scaled to grey levels (see `volumes.grey_levels`); None for
            data whose files hold grey levels.
        plane: how its slices lie in the patient, one of `volumes.PLANES`.
        whole_volumes: whether all slices of a volume are listed, or some evenly spread ones, so that intensities
            measured on them are the volume's.
        licence: of the data, in one line; "" if unknown.
        target: the default target (see `brain_tumor.data.targets`); None for the first that the listing allows.
        positive: the class that means a tumour; None to go by the classes' names.
        drawn: whether a program draws it in the cache, so that it shows no patients.
        of_the_paper: whether it is the data of the paper whose table the report fills.
        first_fold: the number of the first of its published folds; None if it has none.
        site: a pattern that finds the institution in a case's name, in its first group; "" if names do not tell.
        published: results of others.
        root: the folder of its files; None if it has no folder.
    """

    name: ClassVar[str]
    sequences: tuple[str, ...] = ()
    slice_mm: float | None = None
    scaling: str | None = None
    plane: str = "axial"
    whole_volumes: bool = True
    licence: ClassVar[str] = ""
    target: ClassVar[str | None] = None
    positive: ClassVar[str | None] = None
    drawn: ClassVar[bool] = False
    of_the_paper: ClassVar[bool] = False
    first_fold: ClassVar[int | None] = None
    site: ClassVar[str] = ""
    published: ClassVar[tuple[Published, ...]] = ()
    root: Path | None = None

    @abstractmethod
    def listing(self) -> Listing:
        """List the slices; fetch or draw missing ones first.

        Raises:
            ValueError: the slices are missing and cannot be fetched, or the folder holds something else.
        """

    def brain_mask(self, path: str) -> NDArray[np.bool_]:
        """Return the brain mask of a listed slice, bool (H, W) at the size of its file, for `transforms.strip`.

        A data set that defines this has such masks; for others the outline of the head is looked for.

        Raises:
            NotImplementedError: it has none.
        """
        raise NotImplementedError(f"{self.name}: has no masks of brains, such as of {path}")

    def differences(self, listing: Listing) -> list[str] | None:
        """Return the differences to the published data, one line each; None if none has been published."""
        del listing
        return None

    def remarks(self, listing: Listing) -> Remarks:
        """Return remarks on a listing that need knowledge of this data set."""
        del listing
        return Remarks([], [])
