"""Make probabilities mean what they say: one temperature, fitted on slices that nothing was trained on.

Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks, ICML 2017.
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

_TINY = 1e-12  # a probability of 0 would have no logarithm
_LOG_RANGE = (-3.0, 3.0)  # of the temperature
RAW = 1.0  # the temperature that changes nothing


class Quality(TypedDict):
    """How well probabilities fit: mean cross-entropy in nats, and the expected calibration error (15 bins)."""

    loss: float
    calibration_error: float


class CalibratedPart(TypedDict):
    """The quality of a part's probabilities, as they come and calibrated."""

    slices: int
    patients: int
    raw: Quality
    calibrated: Quality


def soften(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Calibrate probabilities (n, C): the softmax of their logarithms over the temperature.

    Above 1 it makes them less sure, below 1 more. The order of the classes stays, and of two classes the verdict.
    """
    if temperature == RAW:
        return probabilities
    logs = np.log(np.maximum(probabilities, _TINY)) / temperature
    powers: NDArray[np.float64] = np.exp(logs - logs.max(1, keepdims=True))
    softened: NDArray[np.float64] = powers / powers.sum(1, keepdims=True)
    return softened


def fit(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float | None:
    """Find the temperature whose probabilities have the least cross-entropy; None where one class has all slices.

    Args:
        probabilities: (n, C), rows adding up to 1.
        labels: (n,) in [0, C).
    """
    from scipy.optimize import minimize_scalar

    if len(np.unique(labels)) < 2:
        return None

    def loss(logarithm: float) -> float:
        chances = soften(probabilities, float(np.exp(logarithm)))[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(chances, _TINY)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_RANGE, method="bounded").x))


def fit_threshold(probabilities: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Find from which probability on a slice is to count as positive.

    Args:
        probabilities: (n,) of the positive class, calibrated.
        labels: (n,), whether each slice is positive.

    Returns:
        The lowest of the probabilities where sensitivity and specificity together are highest.

    Raises:
        ValueError: all slices are positive, or none is.
    """
    positive, negative = np.sort(probabilities[labels]), np.sort(probabilities[~labels])
    if not len(positive) or not len(negative):
        raise ValueError(f"threshold: {len(positive)} of {len(labels)} slices are positive; both kinds are needed")
    candidates = np.unique(probabilities)
    hits, alarms = (len(own) - np.searchsorted(own, candidates) for own in (positive, negative))
    # Sensitivity minus false alarms over one denominator: whole numbers, so that equal ones are equal.
    gain = hits * len(negative) - alarms * len(positive)
    return float(candidates[gain.argmax()])


def describe(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], cases: Sequence[str], temperature: float
) -> CalibratedPart:
    """Say what a temperature does to a part's probabilities (n, C)."""
    # Imported late: who only predicts needs no torch.
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
