"""Divide slices into training, validation and test part: at random, by patient, fold or site, or as folders say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data import folds as folds_
from brain_tumor.data import given, grouping, sites, thinning

METHODS = ("slice", "patient", "site", "given", "none")


@dataclass(frozen=True)
class Split:
    """Divide slices by one rule. Rows with identical files always share a part.

    Args:
        split: "slice" draws slices at random, as the paper does (section III: 85 % to train, the rest to test; 3,339
            and 590 of LGG's 3,929). "patient" draws whole patients. "site" tests all patients of `site`. "given"
            follows the data's folders: train/, test/ and perhaps val/, or the fold named by `fold`. "none" puts
            everything into the test part. None means "given" where the folders name parts or folds, and "slice"
            elsewhere.
        test_fraction: share of slices (or of patients) to test; rounded up.
        val_fraction: share of the training part to validate on, drawn by the same rule; 0 for none.
        split_seed: of the draw.
        folds: divide the patients into so many folds instead, with similar labels in each, and test one fold.
        fold: the fold to test: from 0 to `folds` - 1, or with "given" a number that the data has.
        test_cases: test exactly these patients instead.
        inner_folds: leave out the patients of `fold`, divide the others into so many folds, and test one of these:
            a choice between settings is then made without the patients that test it (nested cross-validation).
        inner_fold: the inner fold to test, from 0 to `inner_folds` - 1.
        site: the site to test, one of those in the table's column `site`.
        gap: with "slice", leave out training slices within so many slices of a tested one of the same patient; with
            `folds`, test `test_fraction` of the slices of the fold's patients, and train on their others, too, but for
            those within the gap. "patient" leaves out all other slices of these patients.
        train_patients: train on so many patients, drawn from the training part. Draws of one seed are nested.
        draw_seed: of that draw.

    Raises:
        ValueError: a value is out of range, or settings exclude each other.
    """

    split: str | None = "slice"
    test_fraction: float = 0.15
    val_fraction: float = 0.0
    split_seed: int = 0
    folds: int | None = None
    fold: int | None = None
    test_cases: Sequence[str | int] | None = None
    inner_folds: int | None = None
    inner_fold: int | None = None
    site: str | int | None = None
    gap: int | str | None = None
    train_patients: int | None = None
    draw_seed: int = 0

    def __post_init__(self) -> None:
        if self.split is not None and self.split not in METHODS:
            raise ValueError(f"data.split={self.split}: choose one of {', '.join(METHODS)}")
        if not 0 < self.test_fraction < 1:
            raise ValueError(f"data.test_fraction={self.test_fraction}: must lie between 0 and 1, both excluded")
        if not 0 <= self.val_fraction < 1:
            raise ValueError(f"data.val_fraction={self.val_fraction}: must be at least 0 and below 1")
        if self.folds is not None and self.test_cases is not None:
            raise ValueError("data.folds and data.test_cases: each says who is tested; give one of them")
        if (self.folds is not None or self.test_cases is not None) and self.split in {"site", "given", "none"}:
            raise ValueError(f"data.split={self.split}: leaves nothing to data.folds or data.test_cases; leave it out")
        _refuse_folds("", self.folds, self.fold)
        _refuse_folds("inner_", self.inner_folds, self.inner_fold)
        if self.inner_folds is not None and self.folds is None:
            raise ValueError(f"data.inner_folds={self.inner_folds}: divides what data.folds trains on; give that, too")
        if self.folds is None and self.fold is not None and self.split not in {None, "given"}:
            raise ValueError(
                f"data.fold={self.fold}: of how many? Give data.folds, or data.split=given for the data's own"
            )
        if self.site is not None and self.split != "site":
            raise ValueError(f"data.site={self.site}: goes with data.split=site")
        if self.gap is not None and (self.inner_folds is not None or (self.folds is None and self.split != "slice")):
            raise ValueError(f"data.gap={self.gap}: goes with data.split=slice or with data.folds")
        if self.gap is not None and self.test_cases is not None:
            raise ValueError(f"data.gap={self.gap}: data.test_cases tests whole patients; leave one of them out")
        thinning.check(self.gap, self.train_patients, self.draw_seed)

    def method(self, table: pd.DataFrame) -> str:
        """Return the rule for these slices: one of `METHODS`, "folds", "inner folds" or "cases"."""
        if self.folds is not None:
            return "folds" if self.inner_folds is None else "inner folds"
        if self.test_cases is not None:
            return "cases"
        return self.split or ("given" if given.are_named(table) else "slice")

    def draw(self, table: pd.DataFrame, labels: NDArray[np.int64]) -> NDArray[np.str_]:
        """Return the part of every row: "train", "val", "test" or "", which is left out.

        Left out are rows whose duplicate has a later part, with inner folds the rows of the outer one, and what the
        training is not to see (`gap`, `train_patients`).

        Args:
            table: columns `case`, `digest`, `part`, `fold` and perhaps `person` (see `brain_tumor.datasets.base`); with
                "site" also `site`, with a gap `slice`.
            labels: int64 (n,); folds get similar numbers of each.

        Raises:
            ValueError: patients or folders are missing, or a part would be empty.
        """
        method = self.method(table)
        if method == "none":
            return np.full(len(table), "test")
        if method == "given":
            parts = given.parts(table, self.fold)
        else:
            parts = np.where(self._tested(table, labels, method), "test", "train").astype("<U5")
        if method == "inner folds":
            parts = self._inner_parts(table, labels, parts)
        if self.gap is not None:
            parts[thinning.near(table, parts, self.gap)] = ""
        if self.val_fraction > 0:
            self._take_validation(parts, table, method)
        if self.train_patients is not None:
            parts[thinning.not_drawn(table, parts, self.train_patients, self.draw_seed)] = ""
        return parts

    def describe(self, table: pd.DataFrame) -> dict[str, Any]:
        """Return the rule, for the record; with inner folds, `folds` and `fold` are theirs."""
        drawn: dict[str, Any] = {
            "method": self.method(table), "seed": self.split_seed, "folds": self.folds, "fold": self.fold
        }  # fmt: skip
        if self.split == "site":
            drawn |= {"site": str(self.site), "sites": sites.count(table)}
        if self.gap is not None:
            drawn["gap"] = self.gap
        if self.train_patients is not None:
            drawn |= {"train_patients": self.train_patients, "draw_seed": self.draw_seed}
        if self.inner_folds is None:
            return drawn
        outer = {"outer_folds": self.folds, "outer_fold": self.fold}
        return {**drawn, "folds": self.inner_folds, "fold": self.inner_fold, **outer}

    def _tested(self, table: pd.DataFrame, labels: NDArray[np.int64], method: str) -> NDArray[np.bool_]:
        if method in {"folds", "inner folds"}:
            assert self.folds is not None
            assert self.fold is not None
            tested = np.equal(folds_.deal(table, labels, self.folds, self.split_seed), self.fold)
            return tested if self.gap is None else self._some_slices(table, tested)
        if method == "cases":
            return _named(table, [str(name) for name in self.test_cases or ()])  # 101 is given as a number
        if method == "site":
            site = None if self.site is None else str(self.site)
            return _with_relatives(table, sites.of_site(table, site), f"data.site={site}")
        return _fraction(table, method, self.test_fraction, np.random.default_rng(self.split_seed))

    def _some_slices(self, table: pd.DataFrame, tested: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return `test_fraction` of the rows that `tested` has."""
        rows = np.flatnonzero(tested)
        generator = np.random.default_rng([self.split_seed, 2])
        some = np.zeros(len(table), dtype=bool)
        some[rows] = _fraction(table.iloc[rows], "slice", self.test_fraction, generator)
        return some

    def _inner_parts(self, table: pd.DataFrame, labels: NDArray[np.int64], parts: NDArray[np.str_]) -> NDArray[np.str_]:
        """Return the parts of the inner folds: of the rows that `parts` trains on, the others are left out."""
        assert self.inner_folds is not None
        rows = np.flatnonzero(parts == "train")
        folds = folds_.deal(table.iloc[rows], labels[rows], self.inner_folds, self.split_seed)
        inner = np.full(len(parts), "", dtype="<U5")
        inner[rows] = np.where(folds == self.inner_fold, "test", "train")
        return inner

    def _take_validation(self, parts: NDArray[np.str_], table: pd.DataFrame, method: str) -> None:
        if (parts == "val").any():
            raise ValueError(
                f"data.val_fraction={self.val_fraction}: the data has a validation folder of its own; leave it at 0"
            )
        by_slice = method == "slice" or (method == "given" and (table["case"] == "").any())
        train = np.flatnonzero(parts == "train")
        generator = np.random.default_rng([self.split_seed, 1])
        chosen = _fraction(table.iloc[train], "slice" if by_slice else "patient", self.val_fraction, generator)
        parts[train[chosen]] = "val"


def _refuse_folds(prefix: str, folds: int | None, fold: int | None) -> None:
    """Refuse a number of folds that leaves none to train on, or a fold that is not one of them."""
    if folds is not None and (folds < 2 or fold is None or not 0 <= fold < folds):
        raise ValueError(
            f"data.{prefix}folds={folds} data.{prefix}fold={fold}: give at least 2 folds, and a fold from 0 to "
            f"{prefix}folds - 1"
        )
    if prefix and folds is None and fold is not None:
        raise ValueError(f"data.{prefix}fold={fold}: of how many? Give data.{prefix}folds")


def _named(table: pd.DataFrame, names: Sequence[str]) -> NDArray[np.bool_]:
    """Return which rows (n,) belong to the named patients, or to patients who share a file with them."""
    grouping.require_patients(table, "data.test_cases")
    unknown = sorted(set(names) - set(table["case"]))
    if unknown or not names:
        raise ValueError(
            f"data.test_cases: {', '.join(unknown[:3]) or 'names nobody'}{' and more' * (len(unknown) > 3)}: no such "
            f"patient; the data names them like {table['case'].iloc[0]}"
        )
    return _with_relatives(table, table["case"].isin(names).to_numpy(), "data.test_cases")


def _with_relatives(table: pd.DataFrame, chosen: NDArray[np.bool_], setting: str) -> NDArray[np.bool_]:
    """Return the chosen rows, and those of patients who share a file with them; refuse to choose all."""
    groups = grouping.groups(table, by_patient=True)
    whole = np.isin(groups, groups[chosen])
    if whole.all():
        raise ValueError(f"{setting}: names every patient; leave some to train on")
    return whole


def _fraction(table: pd.DataFrame, method: str, fraction: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Return which rows (n,) a draw of whole groups has: `fraction` of all slices (method "slice"), or of patients."""
    by_patient = method == "patient"
    if by_patient:
        grouping.require_patients(table, "data.split=patient")
    groups = grouping.groups(table, by_patient)
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
