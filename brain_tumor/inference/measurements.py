"""Measure a case's masks: the tumour's diameters, its components, its side of the head, the share of slices with it."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from brain_tumor.metrics import diameters
from brain_tumor.scans import midline, nifti_space
from brain_tumor.scans.cases import Slices

if TYPE_CHECKING:
    from brain_tumor.inference.prediction import Prediction

_UNKNOWN = "unknown"


def measure(case: Slices, prediction: "Prediction") -> dict[str, Any]:
    """Measure the masks of a case.

    Returns:
        `flagged_share` of the slices that show a tumour, where a class means one; with masks also `diameter_mm`, the
        longest diameter in a slice, `across_mm`, the longest one perpendicular to it (both `_px` in pixels where
        millimetres are not known), and `diameter_slice`, that slice's number (None for no tumour), for each of several
        regions with its name in brackets, too; `components`, 6-connected; and `side_approximate` of the midline:
        "left", "right" (the patient's), "both", "unknown", or "" for no tumour.
    """
    if prediction.positive is None:
        return {}
    flagged = {"flagged_share": len(prediction.tumours) / len(prediction.table)}
    if prediction.masks is None:
        return flagged
    tumour = prediction.masks > 0
    values = _diameters(case, prediction, tumour, "")
    for name, labels in prediction.regions.items() if len(prediction.regions) > 1 else ():
        values |= _diameters(case, prediction, np.isin(prediction.masks, labels), f"({name})")
    return values | {"components": ndimage.label(tumour)[1], "side_approximate": side(case, tumour), **flagged}


def _diameters(case: Slices, prediction: "Prediction", masks: NDArray[np.bool_], suffix: str) -> dict[str, Any]:
    steps = _steps(case)
    unit = "px" if steps is None else "mm"
    found = diameters.measure(masks, np.eye(2) if steps is None else steps)
    longest, across = (0.0, 0.0) if found is None else (found.longest, found.across)
    return {
        f"diameter_{unit}{suffix}": longest,
        f"across_{unit}{suffix}": across,
        f"diameter_slice{suffix}": None if found is None else int(prediction.table["slice"].iloc[found.place]),
    }


def _steps(case: Slices) -> NDArray[np.float64] | None:
    """Return the ways to a slice's next row and next column in millimetres, (3, 2); None where they are not known."""
    if case.volume is None or case.grid is None or not case.volume.measured:
        return None
    return case.volume.affine[:3, [case.grid.axes[1], case.grid.axes[0]]]


def side(case: Slices, tumour: NDArray[np.bool_]) -> str:
    """Return on which side of the head's midline a tumour lies, as far as its files say which side is which.

    Args:
        case: its slices.
        tumour: bool (n, H, W).
    """
    if not tumour.any():
        return ""
    if case.volume is None or case.grid is None or not case.volume.measured:
        return _UNKNOWN
    along_rows = np.abs(case.volume.affine[:3, case.grid.axes[0]])
    if along_rows.argmax() != 0 or nifti_space.doubts_sides(case.volume.warnings):  # 0: from side to side
        return _UNKNOWN
    found = midline.find(case.images, tumour, case.millimetres)
    return _UNKNOWN if found is None else found.side(tumour)
