"""How far a trained model's probabilities go: the validation part says so."""

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


class Confidence(NamedTuple):
    """How far a run's probabilities go.

    Attributes:
        temperature: that calibrates them; None where no validation part asked for one.
        val: what it does to the validation part's probabilities, likewise.
        threshold: from which calibrated probability of the positive class on a slice counts as positive.
    """

    temperature: float | None
    val: CalibratedPart | None
    threshold: Threshold


_DEFAULT = Confidence(None, None, {"value": 0.5, "origin": "default"})


def fit(data: SliceDataModule, model: Task, test: Callable[[], Any]) -> Confidence:
    """Fit temperature and threshold to the validation part; the defaults without one, or without probabilities.

    Args:
        data: set up.
        model: trained.
        test: scores the model on the part that `data` has tested.
    """
    classes = TUMOUR_CLASSES if model.kind == "segmentation" else data.classes
    if data.monitored != "val" or classes != data.classes:
        return _DEFAULT
    data.tested = "val"
    test()
    data.tested = "test"
    rows, outcomes = model.predictions
    probabilities = model.probabilities(outcomes)
    if probabilities is None or not probabilities.isfinite().all():  # the latter of a run that has diverged
        return _DEFAULT
    values, part = probabilities.numpy(), data.table.iloc[rows.numpy()]
    labels = part["label"].to_numpy()
    temperature = calibration.fit(values, labels)
    if temperature is None:
        return _DEFAULT
    described = calibration.describe(values, labels, list(part["case"]), temperature)
    return Confidence(temperature, described, _threshold(data, calibration.soften(values, temperature), labels))


def _threshold(data: SliceDataModule, calibrated: NDArray[np.float64], labels: NDArray[np.int64]) -> Threshold:
    """Fit the threshold of the positive class, where the data has one and the part slices with and without it."""
    place = classification.place_of(data.positive, data.classes)
    positive = labels == place
    if place is None or positive.all() or not positive.any():
        return _DEFAULT.threshold
    return {"value": calibration.fit_threshold(calibrated[:, place], positive), "origin": "validation part"}
