"""Find faults in a data set's content that reading each file by itself does not show.

The functions take a table of slices: the columns of a listing (see `brain_tumor.datasets.base`), and

    digest       SHA-256 of the image
    mask_digest  SHA-256 of the mask; "" for none
    positive     whether the mask has any foreground
    drawn        identifies the mask's pixels; "" for none
    share        share of the mask that is foreground, from 0 to 1
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data import contradictions, near_duplicates
from brain_tumor.datasets import roots


class Findings(NamedTuple):
    """Notes, which are worth knowing but no fault, and problems, which must be mended; one line each."""

    notes: list[str]
    problems: list[str]


def classes(table: pd.DataFrame, names: list[str]) -> Findings:
    """Report classes that are missing, from all slices or from a part that the folders name.

    Args:
        table: the slices.
        names: each slice's class; "" for a slice that is left out.
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
        in_part = {name for name, place in zip(names, table["part"], strict=True) if place == part}
        for name in sorted(present - in_part):
            line = f"no slice of the class '{name}' in the {part} part"
            (problems if part == "train" and not masked else notes).append(line)
    return Findings(notes, problems)


def copies(table: pd.DataFrame, names: list[str]) -> Findings:
    """Report identical files; it is a problem if they contradict each other or stand in several parts."""
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
    """Report near-duplicates: pairs of files with one picture; it is a problem if they stand in several parts.

    In several classes it is none: slices a millimetre apart are as near, and have different classes at a tumour's end.

    Args:
        table: the slices.
        names: each slice's class; "" for a slice that is left out.
        pictures: each slice's small version, uint8 (SIZE, SIZE) (see `brain_tumor.data.near_duplicates`).
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
    """Report patients who stand in several of the parts, or of the folds, that the folders name."""
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
    """Report images that are masks: the same file as a mask with a tumour."""
    masks = set(table["mask_digest"][table["positive"]])
    paths = table["path"][table["digest"].isin(masks)]
    return [f"{roots.named(paths)}: the image is the same file as a mask; give the image itself"] if len(paths) else []


def empty_volumes(table: pd.DataFrame) -> list[str]:
    """Report volumes whose labels are empty."""
    labelled = table[table["mask"] != ""].groupby("case")["positive"].any()
    return [f"{case}: its labels are empty, no voxel has one" for case in labelled.index[~labelled]]


def bright_masks(table: pd.DataFrame) -> list[str]:
    """Report masks with more foreground than background, as in a mask with black and white exchanged."""
    masks = table["mask"][table["share"] > 0.5]
    line = "more than half of the mask is foreground; black must be what is none"
    return [f"{roots.named(masks)}: {line}"] if len(masks) else []
