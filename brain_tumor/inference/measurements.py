"""Measure a case's masks: the tumour's diameters, its components, and its side of the head."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from brain_tumor.metrics import diameters
from brain_tumor.scans import midline, nifti_space
from brain_tumor.scans.cases import Slices

_UNKNOWN = "unknown"


def measure(
    case: Slices, masks: NDArray[np.uint8], regions: Mapping[str, Sequence[int]], numbers: Sequence[int]
) -> dict[str, Any]:
    """Measure the masks of a case.

    Args:
        case: its slices.
        masks: uint8 (n, H, W) of labels.
        regions: the labels of each region, by its name.
        numbers: of the n slices.

    Returns:
        `diameter_mm`, the longest diameter in a slice, `across_mm`, the longest one perpendicular to it (both `_px` in
        pixels where millimetres are not known), and `diameter_slice`, that slice's number (None for no tumour), for
        each of several regions with its name in brackets, too; `components`, 6-connected; and `side_approximate` of
        the midline: "left", "right" (the patient's), "both", "unknown", or "" for no tumour.
    """
    tumour = masks > 0
    values = _diameters(case, tumour, numbers, "")
    for name, labels in regions.items() if len(regions) > 1 else ():
        values |= _diameters(case, np.isin(masks, labels), numbers, f"({name})")
    return values | {"components": ndimage.label(tumour)[1], "side_approximate": side(case, tumour)}


def _diameters(case: Slices, masks: NDArray[np.bool_], numbers: Sequence[int], suffix: str) -> dict[str, Any]:
    steps = _steps(case)
    unit = "px" if steps is None else "mm"
    found = diameters.measure(masks, np.eye(2) if steps is None else steps)
    longest, across = (0.0, 0.0) if found is None else (found.longest, found.across)
    return {
        f"diameter_{unit}{suffix}": longest,
        f"across_{unit}{suffix}": across,
        f"diameter_slice{suffix}": None if found is None else int(numbers[found.place]),
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
