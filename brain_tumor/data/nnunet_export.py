"""Write a data set in nnU-Net's raw layout: the slices of a patient stacked, and the folds as splits_final.json."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from brain_tumor.data import folds as folds_
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.decoding import summarise
from brain_tumor.datasets import nnunet, nnunet_files
from brain_tumor.datasets.base import Listing
from brain_tumor.io import atomic, names, tables
from brain_tumor.scans.images import Content

_COLOURS = ("red", "green", "blue")  # of channels that show unknown sequences


def write(data: SliceDataModule, to: Path) -> list[str]:
    """Write a data set and its split, complete or not at all.

    Args:
        data: set up.
        to: the folder to make, such as nnUNet_raw/Dataset501_LGG.

    Returns:
        What was written, one line each.

    Raises:
        ValueError: the folder exists, the data has no masks, or a patient's slices cannot be stacked.
    """
    if to.exists():
        raise ValueError(f"to={to}: exists already; give a folder to make")
    listing = data.dataset.listing()
    if listing.problems:
        raise ValueError(summarise(listing.problems))
    table = listing.table.assign(case=_cases(listing.table))
    if (listing.table["mask"] == "").any():
        raise ValueError("data: has slices without masks, and nnU-Net learns from masks")
    spacing = 1.0 if data.dataset.slice_mm is None else data.dataset.slice_mm
    splits, said = _splits(data, table["case"].to_numpy(dtype=str))
    to.parent.mkdir(parents=True, exist_ok=True)
    with atomic.folder(to.parent, to.name) as temporary:
        count = 0
        for case, contents in tqdm(_stacked(listing, table), "writing", unit=" cases", leave=False, disable=None):
            image, labels = _stack(case, contents)
            nnunet_files.write_case(temporary, case, "Tr", image, labels, (1.0, 1.0, spacing))
            count += 1
        sequences = data.dataset.sequences or _COLOURS
        nnunet_files.write_description(
            temporary, sequences, listing.regions, count, data.dataset.name, data.dataset.licence
        )
        if splits:
            tables.write_json(temporary / nnunet.SPLITS, splits)
        temporary.rename(to)
    distance = "slices 1 mm apart, since their distance is unknown" if data.dataset.slice_mm is None else ""
    return [f"{count} cases of {len(table)} slices: {to}", said, *filter(None, [distance])]


def _cases(table: pd.DataFrame) -> list[str]:
    """Return the name of each slice's case: its patient's, or its own where nothing orders a patient's slices.

    Raises:
        ValueError: two patients have one name once it is safe for files.
    """
    ordered = (table["case"] != "") & (table["slice"] >= 0)
    own = table["case"].where(ordered, [path.rpartition(".")[0].replace("/", "_") for path in table["path"]])
    safe = own.map(names.safe)
    if clash := names.alike(sorted(set(safe))) or (safe.nunique() < own.nunique() and [str(safe.iloc[0])]):
        raise ValueError(f"data: several patients would have the name {clash[0]}; rename one")
    return list(safe)


def _stacked(listing: Listing, table: pd.DataFrame) -> Iterator[tuple[str, list[Content]]]:
    """Yield the contents of each case's slices, from the lowest number up."""
    row, read = 0, {}
    for stack in listing.read_together:
        for place in range(stack.count):
            read[row + place] = stack, place
        row += stack.count
    for case, members in table.groupby("case", sort=True):
        contents = []
        current, found = None, list[Content]()
        for place in members.sort_values("slice", kind="stable").index:
            stack, within = read[int(place)]
            if stack is not current:
                current, found = stack, stack.read()
            contents.append(found[within])
        yield str(case), contents


def _stack(case: str, contents: list[Content]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a case's image (I, J, K, C) and labels (I, J, K), from the patient's right, front and feet.

    Raises:
        ValueError: its slices have several sizes.
    """
    sizes = {content.image.shape for content in contents}
    if len(sizes) > 1:
        shown = ", ".join(f"{shape[1]} x {shape[0]}" for shape in sorted(sizes))
        raise ValueError(f"data: the slices of {case} have several sizes ({shown}), and cannot be stacked")
    images = np.stack([content.image for content in contents])
    masks = np.stack([content.mask for content in contents if content.mask is not None])
    return images.transpose(2, 1, 0, 3), masks.transpose(2, 1, 0)


def _splits(data: SliceDataModule, cases: NDArray[np.str_]) -> tuple[list[dict[str, Any]], str]:
    """Return nnU-Net's folds for a split by patient, and a line on them.

    What we test on is what a fold of nnU-Net validates on.
    """
    labels = data.table["label"].to_numpy(dtype=np.int64)
    if data.split.folds is not None and data.split.inner_folds is None:
        numbers = folds_.deal(data.table, labels, data.split.folds, data.split.split_seed)
        tested = [np.equal(numbers, fold) for fold in range(data.split.folds)]
    else:
        tested = [(data.table["part"] == "test").to_numpy()]
    splits = [{"train": sorted(set(cases[~rows])), "val": sorted(set(cases[rows]))} for rows in tested]
    if any(set(split["train"]) & set(split["val"]) for split in splits):
        return [], "no splits_final.json: the split divides slices of patients; give data.folds or data.split=patient"
    return splits, f"{nnunet.SPLITS}: {len(splits)} fold(s), which validate on our test parts"
