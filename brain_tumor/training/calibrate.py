"""Calibrate a trained model on the validation part: its temperature, and the threshold of the positive class."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.targets import TUMOUR_CLASSES
from brain_tumor.metrics import calibration, classification
from brain_tumor.metrics.calibration import CalibratedPart
from brain_tumor.models.task import Task
from brain_tumor.runs.record import Threshold


class Calibrated(NamedTuple):
    """How to read a run's probabilities.

    Attributes:
        temperature: calibrates them; None if it could not be fitted.
        val: what the temperature does to the validation part's probabilities; None without a temperature.
        threshold: the calibrated probability of the positive class from which a slice counts as positive.
    """

    temperature: float | None
    val: CalibratedPart | None
    threshold: Threshold


_DEFAULT = Calibrated(None, None, {"value": 0.5, "origin": "default"})


def fit(data: SliceDataModule, model: Task, test: Callable[[], Any]) -> Calibrated:
    """Fit temperature and threshold to the validation part; the default without one, or without probabilities.

    Args:
        data: set up.
        model: trained.
        test: tests the model on the part that `data.tested` names.
    """
    classes = TUMOUR_CLASSES if model.kind == "segmentation" else data.classes
    if data.monitored != "val" or classes != data.classes:
        return _DEFAULT
    data.tested = "val"
    test()
    data.tested = "test"
    rows, outcomes = model.predictions
    probabilities = model.probabilities(outcomes)
    if probabilities is None or not probabilities.isfinite().all():  # not finite if the run has diverged
        return _DEFAULT
    values, part = probabilities.numpy(), data.table.iloc[rows.numpy()]
    labels = part["label"].to_numpy()
    temperature = calibration.fit(values, labels)
    if temperature is None:
        return _DEFAULT
    described = calibration.describe(values, labels, list(part["case"]), temperature)
    return Calibrated(temperature, described, _threshold(data, calibration.soften(values, temperature), labels))


def _threshold(data: SliceDataModule, calibrated: NDArray[np.float64], labels: NDArray[np.int64]) -> Threshold:
    """Fit the threshold of the positive class; the default unless the part has positive and other slices.

    Args:
        data: names the positive class.
        calibrated: (n, C) calibrated probabilities.
        labels: (n,) class indices.
    """
    place = classification.place_of(data.positive, data.classes)
    positive = labels == place
    if place is None or positive.all() or not positive.any():
        return _DEFAULT.threshold
    return {"value": calibration.fit_threshold(calibrated[:, place], positive), "origin": "validation part"}
