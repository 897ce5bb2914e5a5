"""Who may stand where."""

import numpy as np
import pandas as pd
import pytest

from brain_tumor.data.split import split


def _table(cases: int = 20, each: int = 10) -> pd.DataFrame:
    count = cases * each
    return pd.DataFrame(
        {
            "case": np.repeat([f"c{i}" for i in range(cases)], each),
            "digest": [f"d{i}" for i in range(count)],
            "part": "",
        }
    )


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
