"""Who may stand where."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from brain_tumor.data.split import Split

Parts = NDArray[np.str_]
Labels = NDArray[np.int64]


def _table(cases: int = 20, each: int = 10) -> pd.DataFrame:
    count = cases * each
    return pd.DataFrame(
        {
            "case": np.repeat([f"c{i}" for i in range(cases)], each),
            "digest": [f"d{i}" for i in range(count)],
            "part": "",
            "fold": -1,
        }
    )


def split(table: pd.DataFrame, method: str, test_fraction: float, val_fraction: float, seed: int) -> Parts:
    labels = np.zeros(len(table), dtype=np.int64)
    return Split(method, test_fraction, val_fraction, seed).draw(table, labels)


def test_the_papers_numbers() -> None:
    parts = split(_table(1, 3929), "slice", 0.15, 0, 0)
    assert (parts == "train").sum() == 3339
    assert (parts == "test").sum() == 590


@pytest.mark.parametrize("val_fraction", [0, 0.2])
def test_no_patient_on_two_sides(val_fraction: float) -> None:
    table = _table()
    table["part"] = split(table, "patient", 0.15, val_fraction, 0)
    assert table.groupby("case")["part"].nunique().max() == 1
    assert (table.groupby("case")["part"].first() == "test").sum() == 3
    assert set(table["part"]) == ({"train", "val", "test"} if val_fraction else {"train", "test"})


def test_validation_comes_out_of_training_and_leaves_the_test_part_alone() -> None:
    whole, divided = (split(_table(), "slice", 0.15, fraction, 0) for fraction in (0, 0.2))
    np.testing.assert_array_equal(whole == "test", divided == "test")
    assert (divided == "val").sum() == 34


def test_the_seed_decides() -> None:
    first, again, other = (split(_table(), "slice", 0.15, 0.1, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("method", ["slice", "patient"])
@pytest.mark.parametrize("seed", range(10))
def test_identical_files_stay_together(method: str, seed: int) -> None:
    table = _table()
    table.loc[[0, 15, 99], "digest"] = "same"
    table.loc[[16, 50], "digest"] = "other"
    parts = split(table, method, 0.3, 0.3, seed)
    assert len(set(parts[[0, 15, 99]])) == 1
    assert len(set(parts[[16, 50]])) == 1
    if method == "patient":  # c0, c1, c9 by "same", and c1, c5 by "other": one chain
        assert len({*parts[0:20], *parts[50:60], *parts[90:100]}) == 1


def test_given_parts_lose_what_the_test_part_also_holds() -> None:
    table = _table(2, 4)
    table["part"] = ["train"] * 4 + ["test"] * 4
    table.loc[[0, 4], "digest"] = "same"
    assert list(split(table, "given", 0.15, 0, 0)) == [""] + ["train"] * 3 + ["test"] * 4


@pytest.mark.parametrize(
    ("method", "test_fraction", "val_fraction", "message"),
    [
        ("random", 0.15, 0, "choose one of"),
        ("slice", 0, 0, "data.test_fraction=0"),
        ("slice", 1.5, 0, "data.test_fraction=1.5"),
        ("slice", 0.15, 1, "data.val_fraction=1"),
        ("slice", 0.15, -0.1, "data.val_fraction=-0.1"),
        ("given", 0.15, 0, "no train/ and test/"),
    ],
)
def test_refuses_bad_values(method: str, test_fraction: float, val_fraction: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split(_table(), method, test_fraction, val_fraction, 0)


def test_refuses_patients_that_are_unknown_or_one() -> None:
    with pytest.raises(ValueError, match="names no patients"):
        split(_table().assign(case=""), "patient", 0.15, 0, 0)
    with pytest.raises(ValueError, match="1 patient "):
        split(_table(1, 50), "patient", 0.15, 0, 0)


def _varied(cases: int = 110) -> tuple[pd.DataFrame, Labels]:
    """Patients of 20 to 60 slices, a growing share of which show a tumour."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(20, 61, cases)
    table = _table(cases, 1).loc[np.repeat(np.arange(cases), sizes)].reset_index(drop=True)
    table["digest"] = [f"d{i}" for i in range(len(table))]
    shares = np.repeat(np.linspace(0.1, 0.7, cases), sizes)
    return table, (rng.random(len(table)) < shares).astype(np.int64)


def test_folds_test_every_patient_once_and_are_alike() -> None:
    table, labels = _varied()
    tests = [Split(folds=5, fold=fold).draw(table, labels) == "test" for fold in range(5)]
    assert (np.sum(tests, axis=0) == 1).all()
    patients = [table["case"][test].nunique() for test in tests]
    shares = [labels[test].mean() for test in tests]
    assert patients == [22] * 5
    assert max(shares) - min(shares) < 0.03
    # As a random draw of the same patients would not be: its folds differ several times as much.
    drawn = [labels[Split("patient", 0.2, split_seed=seed).draw(table, labels) == "test"].mean() for seed in range(5)]
    assert max(drawn) - min(drawn) > 0.05
    assert (
        Split(folds=5, fold=0, split_seed=1).draw(table, labels) != Split(folds=5, fold=0).draw(table, labels)
    ).any()


def test_folds_have_every_class_of_patients_alike() -> None:
    table = _table(60, 4)
    labels = np.repeat(np.arange(60) % 4 // 2 + (np.arange(60) % 10 == 0), 4)
    counts = [
        np.bincount(labels[Split(folds=5, fold=fold).draw(table, labels) == "test"][::4], minlength=3)
        for fold in range(5)
    ]
    assert (np.ptp(counts, axis=0) <= 1).all()


def test_folds_keep_equal_files_together_and_leave_room_for_validation() -> None:
    table, labels = _varied()
    table.loc[[0, len(table) - 1], "digest"] = "same"
    for fold in range(5):
        parts = Split(folds=5, fold=fold, val_fraction=0.2).draw(table, labels)
        assert set(parts) == {"train", "val", "test"}
        assert table.assign(part=parts).groupby("case")["part"].nunique().max() == 1
        assert parts[0] == parts[-1]


def test_inner_folds_test_all_but_the_outer_folds_patients_once() -> None:
    table, labels = _varied()
    outer = Split(folds=5, fold=2).draw(table, labels)
    inner = [Split(folds=5, fold=2, inner_folds=3, inner_fold=fold).draw(table, labels) for fold in range(3)]
    for parts in inner:
        assert set(parts) == {"train", "test", ""}
        np.testing.assert_array_equal(parts == "", outer == "test")
        assert table.assign(part=parts).groupby("case")["part"].nunique().max() == 1
    np.testing.assert_array_equal(np.sum([parts == "test" for parts in inner], axis=0), outer == "train")
    split = Split(folds=5, fold=2, inner_folds=3, inner_fold=1, val_fraction=0.2)
    assert set(split.draw(table, labels)) == {"train", "val", "test", ""}
    said = {"method": "inner folds", "seed": 0, "folds": 3, "fold": 1, "outer_folds": 5, "outer_fold": 2}
    assert split.describe(table) == said


def test_named_patients_are_tested() -> None:
    table, labels = _varied(20)
    parts = Split(test_cases=["c3", "c7"]).draw(table, labels)
    assert set(table["case"][parts == "test"]) == {"c3", "c7"}
    numbered = table.assign(case=table["case"].str.removeprefix("c"))
    assert set(numbered["case"][Split(test_cases=[3, "7"]).draw(numbered, labels) == "test"]) == {"3", "7"}
    with pytest.raises(ValueError, match=r"data.test_cases: c99: no such patient; the data names them like c0"):
        Split(test_cases=["c3", "c99"]).draw(table, labels)
    with pytest.raises(ValueError, match="names nobody"):
        Split(test_cases=[]).draw(table, labels)
    with pytest.raises(ValueError, match="names every patient"):
        Split(test_cases=sorted(set(table["case"]))).draw(table, labels)


def test_the_datas_own_folds() -> None:
    table, labels = _varied(20)
    table["fold"] = table["case"].str.removeprefix("c").astype(int) % 4 + 1
    for split in ("given", None):
        parts = Split(split, fold=4).draw(table, labels)
        assert set(table["case"][parts == "test"]) == {"c3", "c7", "c11", "c15", "c19"}
    with pytest.raises(ValueError, match=r"data.fold=None: the data has the folds 1 to 4"):
        Split("given").draw(table, labels)
    with pytest.raises(ValueError, match=r"data.fold=1: the data has no folds of its own"):
        Split("given", fold=1).draw(_table(), np.zeros(200, dtype=np.int64))


def test_a_validation_folder_is_the_validation_part() -> None:
    table, labels = _table(3, 4), np.zeros(12, dtype=np.int64)
    table["part"] = ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    table.loc[[0, 4], "digest"], table.loc[[5, 8], "digest"] = "validated", "tested"
    assert list(Split("given").draw(table, labels)) == (
        ["", "train", "train", "train", "val", "", "val", "val", "test", "test", "test", "test"]
    )
    with pytest.raises(ValueError, match="a validation folder of its own"):
        Split("given", val_fraction=0.2).draw(table, labels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 1, "fold": 0}, "data.folds=1 data.fold=0: give at least 2 folds"),
        ({"folds": 5}, "data.folds=5 data.fold=None: give"),
        ({"folds": 5, "fold": 5}, "a fold from 0 to folds - 1"),
        ({"fold": 2}, "data.fold=2: of how many"),
        ({"folds": 5, "fold": 0, "inner_folds": 3}, "data.inner_folds=3 data.inner_fold=None: give"),
        ({"folds": 5, "fold": 0, "inner_fold": 1}, "data.inner_fold=1: of how many"),
        ({"inner_folds": 3, "inner_fold": 0}, "data.inner_folds=3: divides what data.folds trains on"),
        ({"folds": 5, "fold": 0, "test_cases": ["c1"]}, "each says who is tested"),
        ({"folds": 5, "fold": 0, "split": "given"}, "data.split=given: leaves nothing to data.folds"),
        ({"split": "half"}, "data.split=half: choose one of"),
    ],
)
def test_refuses_settings_that_exclude_each_other(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Split(**settings)


def test_refuses_more_folds_than_patients() -> None:
    with pytest.raises(ValueError, match="there are only 3 patients who share no file"):
        Split(folds=5, fold=0).draw(_table(3), np.zeros(30, dtype=np.int64))
