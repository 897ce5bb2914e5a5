"""Describe probabilities as a reader uses them: working points, calibration slope, Brier score and net benefit."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brain_tumor.metrics import calibration

_STEPS = 20  # of Newton's method; it converges in about ten
_TINY = 1e-9  # probabilities are kept this far from 0 and 1


class CrossFitted(NamedTuple):
    """What was fitted for each fold on the other folds.

    Attributes:
        calibrated: float64 (n,), the positive class's probabilities with the temperature of the other folds.
        specific: bool (n,), positive at the threshold whose specificity is 95 % on the other folds.
        sensitive: bool (n,), positive at the threshold whose sensitivity is 95 % on the other folds.
    """

    calibrated: NDArray[np.float64]
    specific: NDArray[np.bool_]
    sensitive: NDArray[np.bool_]


def cross_fit(
    probabilities: NDArray[np.float64], labels: NDArray[np.bool_], folds: NDArray[np.int64], aim: float = 0.95
) -> CrossFitted:
    """Fit a temperature and two thresholds for each fold on the predictions for all other folds.

    Args:
        probabilities: float64 (n,), of the positive class.
        labels: bool (n,), whether each slice is positive.
        folds: int64 (n,), the fold in which each slice was tested; at least two.
        aim: the sensitivity or specificity of a threshold.

    Raises:
        ValueError: there is one fold only.
    """
    if len(np.unique(folds)) < 2:
        raise ValueError(f"folds: {len(np.unique(folds))}; a fold is fitted on the others, so give at least two")
    calibrated = probabilities.copy()
    specific, sensitive = np.zeros(len(labels), bool), np.zeros(len(labels), bool)
    both = np.stack([1 - probabilities, probabilities], 1)
    for fold in np.unique(folds):
        here, others = folds == fold, folds != fold
        temperature = calibration.fit(both[others], labels[others].astype(np.int64))
        if temperature is not None:
            calibrated[here] = calibration.soften(both[here], temperature)[:, 1]
            specific[here] = probabilities[here] > np.quantile(probabilities[others & ~labels], aim)
            sensitive[here] = probabilities[here] >= np.quantile(probabilities[others & labels], 1 - aim)
    return CrossFitted(calibrated, specific, sensitive)


def slope(probabilities: NDArray[np.float64], labels: NDArray[np.bool_], weights: Tensor) -> Tensor:
    """Return the calibration slope: of a logistic regression of the labels on the probabilities' log odds.

    1 is right, below 1 the probabilities are too extreme, above 1 too cautious (Cox 1958; Van Calster et al. 2019).

    Args:
        probabilities: float64 (n,), of the positive class.
        labels: bool (n,).
        weights: float64 (R, n), a weighting of the slices per row.

    Returns:
        float64 (R,); NaN for a weighting with one class.
    """
    odds = torch.logit(torch.from_numpy(probabilities).clamp(_TINY, 1 - _TINY))
    actual = torch.from_numpy(labels.astype(np.float64))
    scale = odds.std().clamp(min=_TINY)
    scaled = (odds - odds.mean()) / scale
    intercept, steep = torch.zeros(2, len(weights), dtype=torch.float64)
    for _ in range(_STEPS):
        fitted = torch.sigmoid(intercept[:, None] + steep[:, None] * scaled)
        error, spread = weights * (actual - fitted), weights * fitted * (1 - fitted)
        first, second = error.sum(1), (error * scaled).sum(1)
        a, b, c = spread.sum(1), (spread * scaled).sum(1), (spread * scaled**2).sum(1)
        determinant = (a * c - b * b).clamp(min=_TINY)
        intercept = intercept + (c * first - b * second) / determinant
        steep = steep + (a * second - b * first) / determinant
    share = weights @ actual / weights.sum(1)
    return torch.where((share > 0) & (share < 1), steep / scale, torch.nan)


def net_benefit(
    probabilities: NDArray[np.float64], labels: NDArray[np.bool_], thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the net benefit of acting from each threshold on (Vickers and Elkin 2006).

    It is the share of true positives less the share of false positives, which count threshold / (1 - threshold) each.

    Args:
        probabilities: float64 (n,), of the positive class.
        labels: bool (n,).
        thresholds: float64 (T,) in (0, 1).

    Returns:
        float64 (T,).
    """
    acts = probabilities[None] >= thresholds[:, None]
    hits, alarms = (acts & labels).mean(1), (acts & ~labels).mean(1)
    benefit: NDArray[np.float64] = hits - alarms * thresholds / (1 - thresholds)
    return benefit
