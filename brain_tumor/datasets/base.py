"""The slices of a data set on disk: one row a slice, with its mask, case and class.

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

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

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
