"""Count lesions that masks of volumes find, and components of masks that are no lesion."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from brain_tumor.metrics import bootstrap
from brain_tumor.metrics.bootstrap import Interval

if TYPE_CHECKING:
    from torch import Tensor

Mask = NDArray[np.uint8]


def count(predicted: Mask, truth: Mask) -> tuple[int, int, int]:
    """Count the 6-connected components of two masks of a volume, uint8 (slices, H, W).

    Returns:
        The number of true components (lesions), how many of them the prediction touches, and how many components of the
        prediction touch no lesion.
    """
    lesions, lesion_count = ndimage.label(truth)
    marked, marked_count = ndimage.label(predicted)
    both = (lesions > 0) & (marked > 0)
    hit, true = np.unique(lesions[both]), np.unique(marked[both])
    return lesion_count, len(hit), marked_count - len(true)


def score(volumes: Iterable[tuple[str, Mask, Mask]]) -> dict[str, Interval]:
    """Score masks of volumes by their components.

    Args:
        volumes: for each patient the name, the predicted and the true mask, uint8 (slices, H, W).

    Returns:
        With intervals from a bootstrap over patients: `lesions_hit`, the share of all patients' lesions that a mask
        touches, and `false_components`, per patient; {} without volumes.
    """
    counted = [(case, *count(predicted, truth)) for case, predicted, truth in volumes]
    if not counted:
        return {}
    import torch  # late, since `predict` counts lesions without torch

    lesions, hit, false = torch.tensor([numbers for _, *numbers in counted], dtype=torch.float64).T

    def measure(weights: "Tensor") -> "dict[str, Tensor]":
        return {
            "lesions_hit": weights @ hit / (weights @ lesions),
            "false_components": weights @ false / weights.sum(1),
        }

    return bootstrap.intervals(measure, [case for case, *_ in counted])
