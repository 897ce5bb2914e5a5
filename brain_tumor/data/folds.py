"""Divide patients into folds that are alike."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data import grouping


def deal(table: pd.DataFrame, labels: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.intp]:
    """Return each row's fold: folds have equally many patients, and equally many of each stratum, give or take one.

    Where each patient has one label, or there are more than two labels, a stratum holds the patients with one most
    frequent label. Where patients have slices of both of two labels, all patients are sorted by the share of the second
    label, and each run of `folds` neighbours goes into different folds.
    """
    grouping.require_patients(table, "data.folds")
    groups = grouping.groups(table, by_patient=True)
    count = int(groups.max()) + 1
    if count < folds:
        raise ValueError(f"data.folds={folds}: there are only {count} patients who share no file")
    shares = np.zeros((count, int(labels.max()) + 1))
    np.add.at(shares, (groups, labels), 1)
    shares /= shares.sum(1, keepdims=True)
    is_sorted = bool(shares.shape[1] == 2 and (shares.max(1) < 1).any())
    strata = np.zeros(count, dtype=np.intp) if is_sorted else shares.argmax(1)
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(count)
    members = [shuffled[strata[shuffled] == stratum] for stratum in np.unique(strata)]
    if is_sorted:
        members = [patients[np.argsort(shares[patients, -1], kind="stable")] for patients in members]
    return _deal(members, count, folds, generator)[groups]


def _deal(strata: list[NDArray[np.intp]], count: int, folds: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Deal the patients of each stratum, in order, to folds; return the fold (count,) of each patient."""
    numbers, sizes = np.empty(count, dtype=np.intp), np.zeros(folds, dtype=np.intp)
    for patients in strata:
        for start in range(0, len(patients), folds):
            drawn = generator.permutation(folds)
            dealt = patients[start : start + folds]
            # The last few patients of a stratum go to the smallest folds.
            numbers[dealt] = drawn[np.argsort(sizes[drawn], kind="stable")][: len(dealt)]
            sizes += np.bincount(numbers[dealt], minlength=folds)
    return numbers
