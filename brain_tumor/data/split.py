"""Divide slices into training, validation and test part."""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

METHODS = ("slice", "patient", "given", "none")


def split(table: pd.DataFrame, method: str, test_fraction: float, val_fraction: float, seed: int) -> NDArray[np.str_]:
    """Return "train", "val" or "test" for every row of `table`; "" for a training row that a test row duplicates.

    Args:
        table: columns `case`, `digest`, `part` (see `brain_tumor.data.slices`).
        method: "slice" draws slices at random, as the paper does (section III: 85 % to train, the rest to test;
            3,339 and 590 of LGG's 3,929). "patient" draws whole patients. "given" takes the folders' train/ and
            test/. "none" puts everything into the test part.
        test_fraction: share of slices (or of patients) to test; rounded up.
        val_fraction: share of the training part taken out for validation, by the same rule; 0 for none.
        seed: of the draw.

    Rows with identical files (equal `digest`) always share a part.

    Raises:
        ValueError: an unknown method, a fraction out of range, patients or folders missing, or an empty part.
    """
    if method not in METHODS:
        raise ValueError(f"data.split={method}: choose one of {', '.join(METHODS)}")
    if not 0 < test_fraction < 1:
        raise ValueError(f"data.test_fraction={test_fraction}: must lie between 0 and 1, both excluded")
    if not 0 <= val_fraction < 1:
        raise ValueError(f"data.val_fraction={val_fraction}: must be at least 0 and below 1")
    if method == "none":
        return np.full(len(table), "test")
    if method == "given":
        parts = _given(table)
    else:
        generator = np.random.default_rng(seed)
        parts = np.full(len(table), "train", dtype="<U5")
        parts[_draw(table, method, test_fraction, generator)] = "test"
    if val_fraction > 0:
        train = np.flatnonzero(parts == "train")
        if method == "given":
            method = "patient" if (table["case"] != "").all() else "slice"
        drawn = _draw(table.iloc[train], method, val_fraction, np.random.default_rng([seed, 1]))
        parts[train[drawn]] = "val"
    return parts


def _given(table: pd.DataFrame) -> NDArray[np.str_]:
    parts = table["part"].to_numpy(dtype="<U5")
    if not (set(parts) >= {"train", "test"}):
        raise ValueError("data.split=given: the data has no train/ and test/ folders; choose slice or patient")
    leaked = (parts == "train") & table["digest"].isin(table["digest"][parts == "test"]).to_numpy()
    return np.where(leaked, "", parts)


def _draw(table: pd.DataFrame, method: str, fraction: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Choose whole groups at random: `fraction` of all slices (method "slice") or of all patients."""
    by_patient = method == "patient"
    if by_patient and (table["case"] == "").any():
        raise ValueError(
            "data.split=patient: the data names no patients. Give data.patient_pattern, or choose data.split=slice"
        )
    groups = _groups(table, by_patient)
    if by_patient:
        weights = table.groupby(groups)["case"].nunique().to_numpy()
        what = "patient"
    else:
        weights = np.bincount(groups)
        what = "slice"
    total = int(weights.sum())
    wanted = math.ceil(round(fraction * total, 9))
    chosen = np.zeros(len(weights), dtype=bool)
    taken = 0
    for group in generator.permutation(len(weights)):
        if taken + weights[group] <= wanted:
            chosen[group] = True
            taken += weights[group]
    if not chosen.any() or chosen.all():
        raise ValueError(
            f"data.split={method}: {total} {what}{'s' * (total != 1)} ({len(weights)} without duplicates) cannot be "
            f"divided at a fraction of {fraction}; more data or another fraction is needed"
        )
    return chosen[groups]


def _groups(table: pd.DataFrame, by_patient: bool) -> NDArray[np.intp]:
    """Number the groups that must stay together: equal files, and where asked equal patients."""
    codes, _ = pd.factorize(table["digest"])
    if not by_patient:
        return codes
    # Patients who share a file belong together, also through a third: merge labels until nothing changes.
    groups, _ = pd.factorize(table["case"])
    while True:
        shared = pd.Series(groups).groupby(codes).transform("min")
        merged = shared.groupby(groups).transform("min").to_numpy(dtype=np.intp)
        if (merged == groups).all():
            return pd.factorize(groups)[0]
        groups = merged
