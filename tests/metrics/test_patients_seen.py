"""What a reader is told of patients: ends of tumours, working points, calibration, and contrasts beside known facts."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from brain_tumor.metrics import adjusted, tumour_ends, working_points


def test_distances_are_counted_from_the_tumours_ends() -> None:
    table = pd.DataFrame(
        {
            "case": [*["A"] * 8, *["B"] * 3, *["C"] * 2],
            # A's slices 3 to 5 are a tumour, its slice 7 is missing; B's tumour fills the scan; C has none.
            "slice": [1, 2, 3, 4, 5, 6, 8, 9, 1, 2, 3, 1, 2],
            "tumour": [0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0],
        }
    ).sample(frac=1, random_state=0)
    found = pd.Series(tumour_ends.distance(table), table.index).sort_index()
    nowhere = tumour_ends.NOWHERE
    assert found.tolist() == [-2, -1, 0, 1, 0, -1, -3, -4, 0, 1, 0, nowhere, nowhere]
    assert tumour_ends.distance(table.assign(slice=-1)) is None
    assert tumour_ends.distance(table.assign(case="")) is None


def _sample(steepness: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities whose log odds are this many times too large, and labels."""
    generator = np.random.default_rng(0)
    odds = generator.normal(0, 2, count)
    labels = generator.random(count) < 1 / (1 + np.exp(-odds))
    return 1 / (1 + np.exp(-steepness * odds)), labels


@pytest.mark.parametrize("steepness", [1.0, 3.0, 12.0])
def test_the_slope_is_that_of_a_logistic_regression(steepness: float) -> None:
    probabilities, labels = _sample(steepness)
    generator = np.random.default_rng(1)
    weights = np.stack([np.ones(len(labels)), generator.integers(0, 3, len(labels)).astype(float)])
    slopes = working_points.slope(probabilities, labels, torch.from_numpy(weights))
    odds = np.log(np.clip(probabilities, 1e-9, 1 - 1e-9) / (1 - np.clip(probabilities, 1e-9, 1 - 1e-9)))[:, None]
    for found, weight in zip(slopes.tolist(), weights, strict=True):
        expected = LogisticRegression(C=1e9, max_iter=1000).fit(odds, labels, weight).coef_.item()
        assert found == pytest.approx(expected, rel=1e-3)
    if steepness < 10:  # beyond, odds are cut off
        assert slopes[0].item() == pytest.approx(1 / steepness, rel=0.1)
    assert torch.isnan(
        working_points.slope(probabilities, np.ones(len(labels), bool), torch.ones(1, len(labels), dtype=torch.float64))
    )


def test_a_fold_is_fitted_on_the_others() -> None:
    probabilities, labels = _sample(3.0)
    folds = np.arange(len(labels)) % 4
    found = working_points.cross_fit(probabilities, labels, folds)
    lied_to = working_points.cross_fit(probabilities, np.where(folds == 2, ~labels, labels), folds)
    for first, second in zip(found, lied_to, strict=True):
        assert np.array_equal(first[folds == 2], second[folds == 2])
        assert not np.array_equal(first[folds != 2], second[folds != 2])
    assert found.sensitive[labels].mean() == pytest.approx(0.95, abs=0.01)
    assert 1 - found.specific[~labels].mean() == pytest.approx(0.95, abs=0.01)
    weights = torch.ones(1, len(labels), dtype=torch.float64)
    assert working_points.slope(found.calibrated, labels, weights).item() == pytest.approx(1, abs=0.05)
    with pytest.raises(ValueError, match="at least two"):
        working_points.cross_fit(probabilities, labels, np.zeros(len(labels), int))


def test_the_net_benefit_weighs_false_alarms_by_the_threshold() -> None:
    found = working_points.net_benefit(
        np.array([0.9, 0.6, 0.4, 0.1]), np.array([True, False, True, False]), np.array([0.5, 0.2])
    )
    assert found == pytest.approx([1 / 4 - 1 / 4, 2 / 4 - 1 / 4 * 0.25])


def test_a_score_that_only_repeats_a_fact_adds_nothing() -> None:
    generator = np.random.default_rng(0)
    age, more = generator.normal(50, 10, (2, 200))
    labels = age + more + generator.normal(0, 5, 200) > 100
    folds, facts = np.arange(200) % 5, pd.DataFrame({"age": age, "constant": 1.0})
    assert adjusted.permutation_p(more, labels, folds, facts, permutations=999) == pytest.approx(0.001)
    # A score that is the age, up to noise, goes with the label; beside the age it says nothing.
    repeated = [
        adjusted.permutation_p(age + generator.normal(0, 5, 200), labels, folds, facts, permutations=199, seed=seed)
        for seed in range(20)
    ]
    assert np.median(repeated) > 0.2
    alone = adjusted.permutation_p(age, labels, folds, facts[["constant"]], permutations=199)
    assert alone == pytest.approx(1 / 200)
    assert np.isnan(adjusted.permutation_p(age, np.ones(200, bool), folds, facts))
    with pytest.raises(ValueError, match="age is unknown for some patients"):
        adjusted.permutation_p(age, labels, folds, facts.assign(age=np.nan))
