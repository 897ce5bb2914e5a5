"""Outline the head in a slice, or the brain in one without its skull."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_HEAD = 20  # grey levels this far above that of air belong to the head
DEEPEST = 254  # the largest depth that is told apart


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close gaps of a mask (H, W), fill its holes, drop what is thin, and keep the largest part."""
    closed = ndimage.binary_closing(np.pad(mask, 4), iterations=3)
    opened = ndimage.binary_opening(ndimage.binary_fill_holes(closed), iterations=3)[4:-4, 4:-4]
    parts, count = ndimage.label(opened)
    largest: NDArray[np.bool_] = parts == 1 + np.bincount(parts.ravel())[1:].argmax() if count else opened
    return largest


def depth(image: NDArray[np.uint8], air: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Measure how deep each pixel lies under the outline of the head.

    Args:
        image: uint8 (H, W, C), a slice; a pixel belongs to the head if one of its channels is bright enough.
        air: uint8 (C,), the grey level of air in each channel.

    Returns:
        uint8 (H, W): the distance from the outline in pixels, rounded up, at most `DEEPEST`; 0 outside.
    """
    head = outline(np.any(image > air + np.uint16(_HEAD), axis=-1))
    # Where the picture cuts the head, its border is no outline.
    distance = ndimage.distance_transform_edt(head)
    rounded: NDArray[np.uint8] = np.ceil(distance).clip(0, DEEPEST).astype(np.uint8)
    return rounded
