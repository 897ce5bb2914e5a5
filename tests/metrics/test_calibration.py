"""Calibrated probabilities: the temperature that made them too sure is found again, and verdicts stay."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain_tumor.metrics import calibration
from brain_tumor.runs import record
from tests.conftest import Command
from tests.conftest import write_image as write


def _drawn(classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, classes) and labels that are drawn by just these."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (4000, classes))
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([generator.choice(classes, p=chances) for chances in honest])
    return honest, labels


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_found_again(classes: int, temperature: float) -> None:
    honest, labels = _drawn(classes)
    shown = calibration.soften(honest, 1 / temperature)
    found = calibration.fit(shown, labels)
    assert found is not None
    assert found == pytest.approx(temperature, rel=0.1)
    np.testing.assert_allclose(calibration.soften(shown, temperature), honest, atol=1e-2)
    described = calibration.describe(shown, labels, ["a", "b"] * 2000, found)
    assert described["patients"] == 2
    assert described["calibrated"]["loss"] <= described["raw"]["loss"]
    if temperature != 1:
        assert described["calibrated"]["calibration_error"] < described["raw"]["calibration_error"] / 2


def test_verdicts_stay_and_certainty_is_harmless() -> None:
    certain = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [0.49, 0.51]])
    softened = calibration.soften(certain, 2.0)
    assert np.isfinite(softened).all()
    np.testing.assert_allclose(softened.sum(1), 1)
    np.testing.assert_array_equal(softened.argmax(1), certain.argmax(1))
    assert calibration.soften(certain, calibration.RAW) is certain
    assert np.isfinite(calibration.fit(certain, np.array([1, 0, 0, 1])) or np.nan)
    assert calibration.fit(certain, np.ones(4, int)) is None


def test_a_run_says_how_it_is_calibrated_and_predict_uses_it(
    detector: Path, segmenter: Path, tmp_path: Path, command: Command
) -> None:
    """The detector has a validation part, the segmenter none."""
    found = record.read(detector)["calibration"]
    assert found["val"]["slices"] == record.read(detector)["split"]["val"]["slices"]
    assert found["test"]["slices"] == record.read(detector)["split"]["test"]["slices"]
    assert found["val"]["calibrated"]["loss"] <= found["val"]["raw"]["loss"]
    recorded = record.read(detector)["test"]
    assert found["test"]["raw"]["loss"] == pytest.approx(recorded["loss"]["value"])
    assert found["test"]["raw"]["calibration_error"] == pytest.approx(recorded["calibration_error"]["value"])
    threshold = record.read(detector)["threshold"]
    assert threshold["origin"] == "validation part"
    assert 0 < threshold["value"] < 1
    assert record.read(segmenter)["threshold"] == {"value": 0.5, "origin": "default"}
    write(tmp_path / "a.png", size=(64, 64))
    command("predict", f"run={segmenter}", f"detector={detector}", "input=a.png", "output_dir=out", cwd=tmp_path)
    described = json.loads((tmp_path / "out" / "predict.json").read_text())
    assert described["temperatures"] == {str(segmenter): 1.0, str(detector): found["temperature"]}
    (row,) = pd.read_csv(tmp_path / "out" / "cases.csv").to_dict("records")
    assert "this is unlike what the run was trained on" in row["warnings"]  # noise
    assert pd.read_csv(tmp_path / "out" / "slices.csv")["novelty"].item() > 1


def _gain(probabilities: np.ndarray, labels: np.ndarray, threshold: float) -> float:
    said = probabilities >= threshold
    return float(said[labels].mean() + 1 - said[~labels].mean())


def test_a_threshold_is_where_sensitivity_and_specificity_are_highest() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        labels = generator.random(60) < 0.4
        probabilities = (generator.normal(0.4 + 0.2 * labels, 0.2)).round(1)
        gains = {own: _gain(probabilities, labels, own) for own in sorted(set(probabilities))}
        expected = next(own for own, gain in gains.items() if gain == pytest.approx(max(gains.values())))
        assert calibration.fit_threshold(probabilities, labels) == expected
    apart, labels = np.array([0.1, 0.2, 0.7, 0.9]), np.array([False, False, True, True])
    assert calibration.fit_threshold(apart, labels) == 0.7
    assert calibration.fit_threshold(np.full(4, 0.3), labels) == 0.3  # nothing is told apart
    for same in (labels | True, labels & False):
        with pytest.raises(ValueError, match="of 4 slices are positive; both kinds are needed"):
            calibration.fit_threshold(apart, same)
