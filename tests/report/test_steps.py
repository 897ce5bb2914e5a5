"""Recipes on inner folds: each beside the one that it adds a step to, patient by patient, and the rule by hand."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain_tumor.metrics import paired
from brain_tumor.report.chapters import steps
from brain_tumor.report.pooled import Pool

PATIENTS = [f"P{number:02d}" for number in range(40)]


def _masks(dice: "np.ndarray[Any, Any]") -> pd.DataFrame:
    """Two slices a patient, of 100 tumour pixels together, with this Dice over both; one patient without a tumour."""
    hits = np.repeat(np.round(dice * 50).astype(int), 2)
    table = pd.DataFrame({"case": np.repeat(PATIENTS, 2), "tp": hits, "fp": 50 - hits, "fn": 50 - hits})
    return pd.concat([table, pd.DataFrame([{"case": "healthy", "tp": 0, "fp": 9, "fn": 0}])])


@dataclass
class _Run:
    config: dict[str, Any]
    whole: pd.DataFrame
    stripped: pd.DataFrame | None
    mirrored: pd.DataFrame | None
    finished: float
    split: str = "inner folds"
    record: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.record = {"task": "segmentation", "config": self.config, "weights": {"detail": "", "source": "none"}}

    def predictions(self) -> pd.DataFrame:
        return self.whole

    def evaluated_ways(self) -> list[dict[str, Any]]:
        return [{"skull": "remove"}, *([{"mirror": True}] if self.mirrored is not None else [])]

    def evaluated(self, settings: dict[str, Any]) -> pd.DataFrame | None:
        return {"skull": self.stripped, "mirror": self.mirrored}[min(settings)] if len(settings) == 1 else self.mirrored


def _pool(change: dict[str, Any], whole: Any, stripped: Any, mirrored: Any = None, finished: float = 1) -> Pool:
    config = {"schedule": "onecycle", "transforms": {"missing": 0.3}, "data": {"folds": 5, "inner_fold": 1, **change}}
    if "missing" in change:
        config["transforms"] = {"missing": config["data"].pop("missing")}  # type: ignore[attr-defined]
    stripped, averaged = (None if dice is None else _masks(dice) for dice in (stripped, mirrored))
    run: Any = _Run(config, _masks(whole), stripped, averaged, finished)
    return Pool({0: [run]}, [], run)


def test_each_step_is_compared_with_the_recipe_that_it_is_added_to() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, len(PATIENTS))
    base = 0.7 + noise
    pools = [
        _pool({"intensities": "volume", "neighbours": 1}, base + 0.1, base + 0.002),
        _pool({}, base, base, finished=0),
        _pool({"intensities": "volume"}, base + 0.1, base),
        _pool({"intensities": "volume", "missing": 0}, base, base, base + 0.2),
        _pool({"empty": 2.0}, base, None),
    ]
    lines = {line["recipe"]: line for line in steps._lines(pools, "segmentation")}
    first = lines["as it was"]
    assert (first["parent"], first["patients"], first["kept"]) == ("", 40, "")
    assert first["score"] == pytest.approx(base.mean(), abs=0.005)
    better = lines["data.intensities=volume"]
    assert better["parent"] == "as it was"
    assert better["value"] == pytest.approx(0.05, abs=0.002)  # half of what whole heads gain
    assert better["low"] <= better["value"] <= better["high"]
    assert (better["kept"], better["above"]) == ("yes", 1)
    tie = lines["data.intensities=volume, data.neighbours=1"]
    assert (tie["parent"], tie["kept"]) == ("data.intensities=volume", "no")
    ablated = lines["data.intensities=volume, transforms.missing=0"]
    assert (ablated["parent"], ablated["kept"]) == ("data.intensities=volume", "no")
    assert ablated["value"] == pytest.approx(-0.05, abs=0.002)
    mirrored = lines["data.intensities=volume, evaluate mirror=True, transforms.missing=0"]
    assert (mirrored["parent"], mirrored["kept"]) == ("data.intensities=volume, transforms.missing=0", "yes")
    assert "value" not in lines["data.empty=2.0"]  # nothing without skulls to compare
    assert steps._lines(pools, "classification") == []


def test_differences_are_paired() -> None:
    first = pd.Series(np.linspace(0, 1, 50), [f"P{number}" for number in range(50)])
    second = (first + 0.01).iloc[::-1].drop("P7")
    found = paired.difference(first, second)
    assert found is not None
    assert found.patients == 49
    np.testing.assert_allclose([found.value, found.low, found.high, found.above], [0.01, 0.01, 0.01, 1], atol=1e-9)
    assert paired.difference(first, second.rename(lambda name: f"other {name}")) is None
