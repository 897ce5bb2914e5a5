"""Take slices out of the training part on purpose: near a tested slice, or of patients who are not drawn."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data import grouping

WHOLE = "patient"  # the gap that takes out all slices of a tested patient


def check(gap: int | str | None, train_patients: int | None, draw_seed: int) -> None:
    """Refuse values out of range.

    Raises:
        ValueError: one is.
    """
    if gap is not None and gap != WHOLE and not (isinstance(gap, int) and gap >= 0):
        raise ValueError(f"data.gap={gap}: give a number of slices, 0 or more, or {WHOLE}")
    if train_patients is not None and train_patients < 1:
        raise ValueError(f"data.train_patients={train_patients}: must be at least 1")
    if train_patients is None and draw_seed:
        raise ValueError(f"data.draw_seed={draw_seed}: of which draw? Give data.train_patients")


def near(table: pd.DataFrame, parts: NDArray[np.str_], gap: int | str) -> NDArray[np.bool_]:
    """Return which training rows (n,) lie within `gap` slices of a tested slice of the same patient.

    Args:
        table: columns `case`, `slice`, `digest` and perhaps `person`.
        parts: (n,), "train" and "test".
        gap: a number of slices, or `WHOLE` for all slices of a tested patient.

    Raises:
        ValueError: patients or numbers of slices are unknown, or nothing would be left to train on.
    """
    if (table["case"] == "").any() or (gap != WHOLE and (table["slice"] < 0).any()):
        raise ValueError(f"data.gap={gap}: needs patients and numbers of slices, which this data does not name")
    train, tested = parts == "train", parts == "test"
    found: NDArray[np.bool_]
    if gap == WHOLE:
        groups = grouping.groups(table, by_patient=True)
        found = train & np.isin(groups, groups[tested])
    else:
        found = train & (_distances(table, tested) <= int(gap))
    if found.sum() == train.sum():
        raise ValueError(
            f"data.gap={gap}: leaves no slice to train on; data.folds=5 data.fold=0 tests slices of a fifth of the "
            "patients only"
        )
    return found


def _distances(table: pd.DataFrame, tested: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how many slices lie from each row to the nearest tested one of its patient; infinity without one."""
    numbers, found = table["slice"].to_numpy(), np.full(len(table), np.inf)
    for rows in table.groupby("case").indices.values():
        if tested[rows].any():
            found[rows] = np.abs(numbers[rows][:, None] - numbers[rows][tested[rows]]).min(1)
    return found


def not_drawn(table: pd.DataFrame, parts: NDArray[np.str_], count: int, seed: int) -> NDArray[np.bool_]:
    """Return the training rows (n,) of all patients but `count`, who are drawn at random.

    Draws of one seed are nested: each holds the smaller ones. Patients who share a file are drawn together; where that
    would be too many, there are fewer.

    Args:
        table: columns `case`, `digest` and perhaps `person`.
        parts: (n,).
        count: how many patients to train on.
        seed: of the draw.

    Raises:
        ValueError: patients are unknown, or there are fewer.
    """
    grouping.require_patients(table, "data.train_patients")
    rows = np.flatnonzero(parts == "train")
    train = table.iloc[rows]
    groups = grouping.groups(train, by_patient=True)
    sizes = train.groupby(groups)["case"].nunique().to_numpy()
    if count > sizes.sum():
        raise ValueError(f"data.train_patients={count}: the training part has {sizes.sum()} patients")
    order = np.random.default_rng(seed).permutation(len(sizes))
    drawn = order[np.cumsum(sizes[order]) <= count]
    if not len(drawn):
        raise ValueError(f"data.train_patients={count}: {sizes[order[0]]} patients share files and belong together")
    found = np.zeros(len(table), dtype=bool)
    found[rows] = ~np.isin(groups, drawn)
    return found
