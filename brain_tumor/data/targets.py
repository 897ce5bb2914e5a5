"""Label slices by a target: whether a slice shows a tumour, its folder's class, or a property of its patient."""

import hashlib
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data import grouping
from brain_tumor.datasets import positive

USUAL_SIZE = 224  # pixels
RANDOM = "random"  # the target that means nothing
RANDOM_CLASSES = ["heads", "tails"]
TUMOUR_CLASSES = ["no tumour", "tumour"]


class Labels(NamedTuple):
    """The labels of slices.

    Attributes:
        classes: class names; a label is an index into them.
        values: int64 (n,); -1 for a slice that is left out.
        left_out: how many patients are left out, by the reason.
    """

    classes: list[str]
    values: NDArray[np.int64]
    left_out: dict[str, int]


def available(table: pd.DataFrame, patients: pd.DataFrame | None = None) -> list[str]:
    """Name the targets that a listing allows, the default one first.

    Args:
        table: columns `mask` and `class` (see `brain_tumor.datasets.base`).
        patients: the patients' properties (see `brain_tumor.datasets.base.Listing`).
    """
    allowed = {"tumour": (table["mask"] != "").all(), "class": (table["class"] != "").all()}
    return [name for name, possible in allowed.items() if possible] + (
        [] if patients is None else [str(name) for name in patients.columns]
    )


def classify(
    table: pd.DataFrame, target: str | None, patients: pd.DataFrame | None = None, least: int = 1, seed: int = 0
) -> Labels:
    """Label every slice.

    Args:
        table: columns `mask`, `class` and `positive` (whether the mask has any foreground); for a target of patients
            also `case`, and `chosen` (whether the slice has a tumour) where other runs decide that.
        target: "tumour" labels slices by whether their mask has a tumour; "class" labels them by their folders; a
            column of `patients` labels the slices with a tumour by the patient's property. None means the first of
            these that the data allows. "random" labels all slices of a patient with heads or tails, drawn for half of
            the patients each: what a split can score on it above chance is leakage.
        patients: the patients' properties (see `brain_tumor.datasets.base.Listing`).
        least: a target of patients leaves out classes with fewer patients.
        seed: of the draw of "random".

    Raises:
        ValueError: the data does not allow this target, or fewer than two classes have enough patients.
    """
    if target == RANDOM:
        return _toss(table, seed)
    allowed = available(table, patients)
    if target is None and allowed:
        target = allowed[0]
    if target not in allowed:
        raise ValueError(f"data.target={target}: this data allows {' and '.join(allowed) or 'no target'}")
    if target == "tumour":
        return Labels(list(TUMOUR_CLASSES), table["positive"].to_numpy(dtype=np.int64), {})
    if target == "class":
        classes = sorted(set(table["class"]))
        return Labels(classes, table["class"].map(classes.index).to_numpy(dtype=np.int64), {})
    assert patients is not None
    return _label_by_patient(table, target, patients[target], least)


def is_of_patients(target: str | None) -> bool:
    """Return whether a target labels patients rather than slices."""
    return target not in {None, "tumour", "class"}


def needs_tumours(target: str | None) -> bool:
    """Return whether a target labels slices with a tumour only."""
    return is_of_patients(target) and target != RANDOM


def positive_class(classes: list[str], target: str | None, asked: str | None) -> str | None:
    """Return the class that means a tumour; None where neither a setting nor the names say which.

    Args:
        classes: class names.
        target: as for `classify`; the classes of patients are all types of tumours.
        asked: the name that a user has given.

    Raises:
        ValueError: there is no class of that name, or it is the one that means no tumour.
    """
    asked = None if asked is None else str(asked)  # a folder 1 is given as a number
    if asked is not None and asked not in classes:
        raise ValueError(f"data.positive={asked}: the classes are {', '.join(classes)}")
    if asked == TUMOUR_CLASSES[0] and classes == TUMOUR_CLASSES:
        raise ValueError(f"data.positive={asked}: is to name the class that means a tumour; leave it out")
    if asked is not None or is_of_patients(target):
        return asked
    return TUMOUR_CLASSES[1] if classes == TUMOUR_CLASSES else positive.guess(classes)


def _toss(table: pd.DataFrame, seed: int) -> Labels:
    """Label the slices of half of the patients "heads"; patients who share a file have one label."""
    grouping.require_patients(table, f"data.target={RANDOM}")
    groups = grouping.groups(table, by_patient=True)
    count = int(groups.max()) + 1
    if count < 2:
        raise ValueError(f"data.target={RANDOM}: there is one patient; two are needed")
    order = np.random.default_rng(seed).permutation(count)
    values = np.empty(count, dtype=np.int64)
    values[order] = np.arange(count) % 2
    return Labels(list(RANDOM_CLASSES), values[groups], {})


def _label_by_patient(table: pd.DataFrame, target: str, values: "pd.Series[str]", least: int) -> Labels:
    """Label each slice with a tumour with its patient's value."""
    has_tumour = table["chosen" if "chosen" in table else "positive"].to_numpy(dtype=bool)
    cases = pd.Series(sorted(set(table["case"])))
    value_of = cases.map(values).fillna("").set_axis(cases)
    shown = value_of.index.isin(table["case"][has_tumour])
    counts = value_of[shown & (value_of != "")].value_counts()
    classes = sorted(str(name) for name in counts.index[counts >= least])
    if len(classes) < 2:
        raise ValueError(
            f"data.target={target}: {len(classes)} class(es) with at least data.min_patients={least} patients; "
            "two are needed"
        )
    left_out = {
        "without a value": int((value_of == "").sum()),
        "without a slice that shows a tumour": int((~shown & (value_of != "")).sum()),
        **{f"of class {name}": int(count) for name, count in sorted(counts.items()) if count < least},
    }
    numbers = {name: number for number, name in enumerate(classes)}
    labels = table["case"].map(value_of).map(numbers).fillna(-1).to_numpy(dtype=np.int64)
    return Labels(classes, np.where(has_tumour, labels, -1), {why: count for why, count in left_out.items() if count})


def content_key(table: pd.DataFrame, labels: NDArray[np.int64], classes: list[str], size: int = USUAL_SIZE) -> str:
    """Return 16 hexadecimal digits that identify files, names and labels: runs with one key are on the same data.

    The key in records of formats 1 and 2 includes the size of the images. Today's key always includes the usual size:
    it equals the key of older runs at that size, and the report puts both into one table.

    Args:
        table: columns `path`, `digest` and `mask_digest`.
        labels: int64 (n,).
        classes: class names.
        size: side of the images in an older record, in pixels; leave it out for today's key.
    """
    content = hashlib.sha256(f"1 {size} {classes}".encode())
    columns = (table[name] for name in ("path", "digest", "mask_digest"))
    for (path, digest, mask_digest), label in zip(zip(*columns, strict=True), labels.tolist(), strict=True):
        content.update(repr((path, label, digest, mask_digest)).encode())
    return content.hexdigest()[:16]
