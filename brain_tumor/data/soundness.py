"""What is wrong with the content of a data set, though each file for itself can be read.

Its functions take a table of slices: the columns of a listing (see `brain_tumor.datasets.base`), and

    digest       SHA-256 of the image
    mask_digest  likewise of the mask; "" for none
    positive     whether the mask has any foreground
    drawn        tells the pixels of masks apart; "" for none
    share        of the mask that is foreground
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data import contradictions, near_duplicates
from brain_tumor.datasets import roots


class Findings(NamedTuple):
    """What is worth knowing but no fault, and what must be mended; a line each."""

    notes: list[str]
    problems: list[str]


def classes(table: pd.DataFrame, names: list[str]) -> Findings:
    """Say which classes are missing, of all or of a part that the folders name.

    Args:
        table: the slices.
        names: each one's class; "" for a slice that is left out.
    """
    masked = bool(len(table)) and bool((table["mask"] != "").all() and table["positive"].any())
    present = set(names) - {""}
    if len(present) < 2:
        if masked and present:
            line = f"slices of one class only, '{min(present)}'; a classifier needs two, a segmenter does not"
            return Findings([line], [])
        return Findings([], ["slices of one class only; a classifier needs at least two"])
    notes: list[str] = []
    problems: list[str] = []
    for part in sorted(set(table["part"]) - {""}):
        there = {name for name, own in zip(names, table["part"], strict=True) if own == part}
        for name in sorted(present - there):
            line = f"no slice of the class '{name}' in the {part} part"
            (problems if part == "train" and not masked else notes).append(line)
    return Findings(notes, problems)


def copies(table: pd.DataFrame, names: list[str]) -> Findings:
    """Name identical files; where they contradict each other or stand across parts, that is a problem."""
    problems = contradictions.find(table, names, lambda row: table["drawn"].iloc[row])
    notes: list[str] = []
    for _, equal in table.groupby("digest", sort=False):
        if len(equal) > 1:
            paths = ", ".join(equal["path"])
            if equal["part"].nunique() > 1:
                problems.append(f"identical files across train/, val/ and test/: {paths}; keep one of them")
            else:
                notes.append(f"identical files: {paths}; they will stay on one side of any split")
    return Findings(notes, problems)


def near_copies(table: pd.DataFrame, names: list[str], pictures: list[NDArray[np.uint8]]) -> Findings:
    """Name the pairs that are one picture in other files; across parts, that is a problem.

    Across classes it is none: slices a millimetre apart are as near, and at a tumour's end in different classes.

    Args:
        table: the slices.
        names: each one's class; "" for a slice that is left out.
        pictures: each one's small version, uint8 (SIZE, SIZE) (see `brain_tumor.data.near_duplicates`).
    """
    first = np.flatnonzero(~table["digest"].duplicated())
    small = np.array([pictures[row] for row in first], dtype=np.uint8).reshape(
        -1, near_duplicates.SIZE, near_duplicates.SIZE
    )
    notes: list[str] = []
    problems: list[str] = []
    for pair in near_duplicates.pairs(small):
        rows = first[list(pair)]
        both = table.iloc[rows]
        across = both["part"].nunique() > 1
        differ = len({names[row] for row in rows} - {""}) > 1
        where = " across train/, val/ and test/" * across + " in different classes" * differ
        line = f"one picture, re-saved or re-scaled{where}: {' and '.join(both['path'])}"
        (problems if across else notes).append(f"{line}; no split knows that they are the same, keep one")
    return Findings(notes, problems)


def shared_patients(table: pd.DataFrame) -> list[str]:
    """Count and name the patients in several of the parts, or of the folds, that the folders name."""
    lines = []
    for column, names, what, one in (
        ("part", table.get("person", table["case"]), "train/, val/ and test/", "one of them"),
        ("fold", table["case"], "the folds", "one fold"),
    ):
        counts = table[names != ""].groupby(names[names != ""])[column].nunique()
        if shared := [str(name) for name in counts.index[counts > 1]]:
            more = f" and {len(shared) - 3} more" if len(shared) > 3 else ""
            lines.append(
                f"{len(shared)} of {len(counts)} patients stand in several of {what}: {', '.join(shared[:3])}{more}; "
                f"give each to {one}"
            )
    return lines


def masks_as_images(table: pd.DataFrame) -> list[str]:
    """Name images that are masks: the same file as a mask with a tumour."""
    masks = set(table["mask_digest"][table["positive"]])
    found = table["path"][table["digest"].isin(masks)]
    return [f"{roots.named(found)}: the image is the same file as a mask; give the image itself"] if len(found) else []


def bright_masks(table: pd.DataFrame) -> list[str]:
    """Name masks whose foreground is larger than the rest, as in one that has black and white the wrong way round."""
    found = table["mask"][table["share"] > 0.5]
    line = "more than half of the mask is foreground; black must be what is none"
    return [f"{roots.named(found)}: {line}"] if len(found) else []
