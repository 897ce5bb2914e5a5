"""Score a case's masks against those of a person or another tool."""

from pathlib import Path
from typing import Any

import numpy as np

from brain_tumor.inference.prediction import Prediction, amount
from brain_tumor.metrics import lesions
from brain_tumor.scans import given_masks
from brain_tumor.scans.cases import Slices


def score(path: Path, case: Slices, prediction: Prediction) -> dict[str, Any]:
    """Score a case's masks, of all regions together, against a given mask, which counts as right.

    Args:
        path: the given mask, NIfTI or DICOM SEG.
        case: its slices.
        prediction: has masks.

    Returns:
        `masks_dice` over all voxels (None where both masks are empty); `masks_ml`, the given mask's volume, and
        `masks_difference_ml`, ours less the given one (both `_px` where millilitres are not known); `masks_lesions`,
        the given mask's 6-connected components, `masks_lesions_hit`, how many of them ours touches, and
        `masks_false_components`, how many of ours touch none.

    Raises:
        ValueError: the mask cannot be read, or lies on another grid.
    """
    if case.volume is None or case.grid is None:
        raise ValueError(f"masks: {path.name}: the case is a picture; only masks of volumes are compared")
    assert prediction.masks is not None
    given = case.grid.slices(given_masks.read(path, case.volume)) > 0
    ours = prediction.masks > 0
    both, total = int((given & ours).sum()), int(given.sum() + ours.sum())
    size, unit = amount(case, float(given.sum()))
    difference, _ = amount(case, float(ours.sum()) - float(given.sum()))
    count, hit, false = lesions.count(ours.astype(np.uint8), given.astype(np.uint8))
    return {
        "masks_dice": 2 * both / total if total else None,
        f"masks_{unit}": size,
        f"masks_difference_{unit}": difference,
        "masks_lesions": count,
        "masks_lesions_hit": hit,
        "masks_false_components": false,
    }
