"""Calibrate probabilities with one temperature, fitted on slices that no model was trained on.

Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks, ICML 2017.
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

_TINY = 1e-12  # a probability of 0 would have no logarithm
_LOG_RANGE = (-3.0, 3.0)  # limits of the temperature's logarithm
RAW = 1.0  # the temperature that changes nothing


class Quality(TypedDict):
    """How well probabilities are calibrated: mean cross-entropy in nats, and expected calibration error (15 bins)."""

    loss: float
    calibration_error: float


class CalibratedPart(TypedDict):
    """The quality of a part's probabilities before and after calibration, and the part's size."""

    slices: int
    patients: int
    raw: Quality
    calibrated: Quality


def soften(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Calibrate probabilities (n, C): the softmax of their logarithms over the temperature.

    A temperature above 1 makes them less confident, one below 1 more. The order of the classes stays, and so does the
    predicted class.
    """
    if temperature == RAW:
        return probabilities
    logs = np.log(np.maximum(probabilities, _TINY)) / temperature
    powers: NDArray[np.float64] = np.exp(logs - logs.max(1, keepdims=True))
    softened: NDArray[np.float64] = powers / powers.sum(1, keepdims=True)
    return softened


def fit(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float | None:
    """Find the temperature with the least cross-entropy.

    Args:
        probabilities: float64 (n, C), rows adding up to 1.
        labels: int64 (n,) in [0, C).

    Returns:
        The temperature; None where all slices are of one class.
    """
    from scipy.optimize import minimize_scalar

    if len(np.unique(labels)) < 2:
        return None

    def loss(logarithm: float) -> float:
        chances = soften(probabilities, float(np.exp(logarithm)))[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(chances, _TINY)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_RANGE, method="bounded").x))


def fit_threshold(probabilities: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Find the probability from which on a slice counts as positive.

    Args:
        probabilities: float64 (n,), calibrated, of the positive class.
        labels: bool (n,), whether each slice is positive.

    Returns:
        The lowest of the probabilities with the highest sum of sensitivity and specificity.

    Raises:
        ValueError: all slices are positive, or none is.
    """
    positive, negative = np.sort(probabilities[labels]), np.sort(probabilities[~labels])
    if not len(positive) or not len(negative):
        raise ValueError(f"threshold: {len(positive)} of {len(labels)} slices are positive; both kinds are needed")
    candidates = np.unique(probabilities)
    hits, alarms = (len(part) - np.searchsorted(part, candidates) for part in (positive, negative))
    # Sensitivity minus false alarms, over one denominator: whole numbers, so that equal values compare as equal.
    gain = hits * len(negative) - alarms * len(positive)
    return float(candidates[gain.argmax()])


def describe(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], cases: Sequence[str], temperature: float
) -> CalibratedPart:
    """Compare the quality of a part's probabilities (n, C) before and after calibration.

    Args:
        probabilities: float64 (n, C), rows adding up to 1.
        labels: int64 (n,) in [0, C).
        cases: n names of patients; "" for unknown.
        temperature: the temperature to apply.
    """
    # Imported late, since prediction with onnxruntime needs no torch.
    import torch

    from brain_tumor.metrics import classification

    def quality(chances: NDArray[np.float64]) -> Quality:
        values = classification.values(torch.tensor(chances), torch.tensor(labels))
        return {"loss": values["loss"], "calibration_error": values["calibration_error"]}

    return {
        "slices": len(labels),
        "patients": len(set(cases) - {""}),
        "raw": quality(probabilities),
        "calibrated": quality(soften(probabilities, temperature)),
    }
