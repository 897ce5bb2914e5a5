"""Label decoded slices and divide them into training, validation and test part."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data import contradictions, crops, sites, targets
from brain_tumor.data.cache import DecodedSlices
from brain_tumor.data.decoding import summarise
from brain_tumor.data.split import Split
from brain_tumor.datasets.base import Listing

PARTS = ("train", "val", "test")


class LabelledSlices(NamedTuple):
    """Slices with their labels and parts.

    Attributes:
        table: one row per slice: the listing's columns, the cache's facts, `label` (-1 for a slice that is left out)
            and the drawn `part`; also `chosen` where runs decide which slices have a tumour.
        classes: class names; a label is an index into them.
        positive: the class that means a tumour; None where neither a setting nor the names say which.
        rows: the rows of each part in `table`: intp (n,).
        drawn: how the split was drawn, for the record.
        left_out: how many patients the target leaves out, by the reason.
        key: identifies files, names and labels (see `targets.content_key`).
    """

    table: pd.DataFrame
    classes: list[str]
    positive: str | None
    rows: dict[str, NDArray[np.intp]]
    drawn: dict[str, Any]
    left_out: dict[str, int]
    key: str


def label(
    listing: Listing,
    decoded: DecodedSlices,
    split: Split,
    predicted: crops.Predicted | None,
    *,
    target: str | None,
    positive: str | None,
    min_patients: int,
    target_seed: int = 0,
    site_by: str = "",
) -> LabelledSlices:
    """Label a listing's slices and draw their parts.

    Args:
        listing: the slices.
        decoded: the same slices, decoded.
        split: how to divide them.
        predicted: the answers of other runs, which say which slices have a tumour; None to go by the true masks alone.
        target: what slices are labelled with (see `targets.classify`).
        positive: the class that means a tumour (see `targets.positive_class`).
        min_patients: a target of patients leaves out classes with fewer.
        target_seed: of the labels of the target "random".
        site_by: what tells a patient's site (see `sites.find`), for a split by site.

    Raises:
        ValueError: the data does not allow the target or the split, identical images contradict each other, a run has
            not been tested on everything that is tested here, or the training part lacks a class.
    """
    table = _join_facts(listing, decoded, predicted)
    if split.split == "site":
        table = table.assign(site=sites.find(table, site_by, listing.patients))
    labels = targets.classify(table, target, listing.patients, min_patients, target_seed)
    positive = targets.positive_class(labels.classes, target, positive)
    names = ["" if number < 0 else labels.classes[number] for number in labels.values]
    if problems := contradictions.find(table, names, decoded.mask_identity):
        raise ValueError(summarise(problems))
    parts = _draw_parts(table, labels.values, split)
    if predicted is not None:
        crops.require_tested(predicted, table[parts == "test"])
    rows = {part: np.flatnonzero(parts == part) for part in PARTS}
    # A segmenter needs no empty slices. Whether the model is one is not known before it is built.
    if decoded.masks is None or not table["positive"].iloc[rows["train"]].any():
        require_classes(labels.values[rows["train"]], labels.classes)
    key = targets.content_key(table, labels.values, labels.classes)
    drawn = split.describe(table)  # asks for the parts that the folders name, so it comes before the drawn ones
    table = table.assign(label=labels.values, part=parts)
    return LabelledSlices(table, labels.classes, positive, rows, drawn, labels.left_out, key)


def require_classes(labels: NDArray[np.int64], classes: list[str]) -> None:
    """Refuse a training part without a slice of each class: nothing can learn to tell the classes apart from it.

    Args:
        labels: (n,), of the training part; an empty one is allowed.
        classes: class names.

    Raises:
        ValueError: a class has no slice.
    """
    for number, name in enumerate(classes):
        if len(labels) and number not in labels:
            raise ValueError(
                f"data: no slice of the class '{name}' in the training part ({len(labels)} slices). "
                "Both training and telling classes apart need every class; add data or change data.split_seed"
            )


def _join_facts(listing: Listing, decoded: DecodedSlices, predicted: crops.Predicted | None) -> pd.DataFrame:
    """Return the listing's table with the cache's facts, and with `chosen` where runs have flagged slices."""
    table = listing.table.join(decoded.facts)
    if predicted is not None and predicted.flagged:
        flagged = table["path"].map(predicted.flagged)
        # The true masks decide about slices that no run was tested on.
        table["chosen"] = flagged.where(flagged.notna(), table["positive"]).astype(bool)
    return table


def _draw_parts(table: pd.DataFrame, labels: NDArray[np.int64], split: Split) -> NDArray[np.str_]:
    """Return each row's part; "" for a slice that is left out."""
    parts = np.full(len(labels), "", dtype="<U5")
    labelled = labels >= 0
    parts[labelled] = split.draw(table[labelled].reset_index(drop=True), labels[labelled])
    return parts
