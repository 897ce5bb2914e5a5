"""Intervals by relative errors cover as often as they say."""

import numpy as np
import pytest

from brain_tumor.metrics import conformal


def test_factors_are_the_conformal_ranks() -> None:
    measured = np.full(19, 10.0)
    true = np.arange(1.0, 20.0)
    assert conformal.fit(true, measured, 0.9) == (0.1, 1.9)  # the first and the last of 19
    assert conformal.fit(true, measured, 0.8) == (0.2, 1.8)
    with pytest.raises(ValueError, match=r"18 patients are too few for intervals of 90%; these need 19"):
        conformal.fit(true[:18], measured[:18], 0.9)


def test_new_patients_are_covered() -> None:
    draw = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        measured = draw.uniform(5, 500, 61)
        true = measured * draw.lognormal(0.1, 0.5, 61)
        low, high = conformal.fit(true[:60], measured[:60], 0.9)
        covered.append(low * measured[60] <= true[60] <= high * measured[60])
    assert 0.87 <= np.mean(covered) <= 0.95


def test_coverage_is_of_the_fold_that_is_left_out() -> None:
    folds = [0] * 30 + [1] * 30
    measured = np.ones(60)
    true = np.concatenate([np.linspace(0.5, 1.5, 30), np.full(30, 9.0)])  # nobody in fold 0 is like those of fold 1
    assert conformal.coverage(true, measured, folds, 0.9) == {0: (0, 30), 1: (0, 30)}
    assert conformal.coverage(np.ones(60), measured, folds, 0.9) == {0: (30, 30), 1: (30, 30)}
