"""Find the plane that divides a head into left and right, by its own symmetry, and tell on which side a mask lies.

Each slice is turned by small angles and laid over its mirror image; the angle at which all slices together fit best is
the head's, and the line through the middles that fit best in each slice is the midline. This is approximate: a head is
not symmetric, a large tumour pushes the middle aside, and nothing is said where slices do not agree on a plane.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from brain_tumor.scans import volumes

Array = NDArray[np.float64]
_SIDE = 64  # pixels of the longer side of a resized slice
_SLICES = 12  # of a case that are looked at
_LEAST_HEAD = 0.5  # of the largest slice of the head
_DARK = 0.1  # of the brightest fiftieth: background
_COARSE, _FINE = np.arange(-24.0, 25.0, 4.0), np.arange(-3.0, 3.1, 1.0)  # degrees
_LIKE = 0.8  # how well a head must fit its mirror image, 1 for perfectly
_SPREAD = 0.04  # of the head's width: the middles of slices must lie this near to a plane
_MARGIN = 0.02  # of the head's width on either side of the midline that counts to no side
_CROSSES = 0.05  # share of a mask on its smaller side from which it is on both
_MOST = 0.5  # share of a mask that must lie on one side


@dataclass(frozen=True)
class Midline:
    """A plane between left and right.

    Attributes:
        normal: (3,), by which (slice, row, column) is multiplied for the distance from the midline in widths of the
            head, to the right as slices are looked at, which is the patient's left.
        offset: is added to that.
    """

    normal: Array
    offset: float

    def side(self, masks: NDArray[np.bool_]) -> str:
        """Return on which side of the patient a mask (n, H, W) lies: "left", "right", "both", or "unknown".

        "unknown" is a mask that lies along the midline for the most part. "" is an empty mask.
        """
        places = np.argwhere(masks)
        if not len(places):
            return ""
        distances = places @ self.normal + self.offset
        left, right = float((distances > _MARGIN).mean()), float((distances < -_MARGIN).mean())
        if min(left, right) >= _CROSSES:
            return "both"
        if max(left, right) < _MOST:
            return "unknown"
        return "left" if left > right else "right"


def find(images: NDArray[np.uint8], masks: NDArray[np.bool_], millimetres: tuple[float, float]) -> Midline | None:
    """Find the midline of a head in axial slices, front up, the patient's right on the left.

    Args:
        images: uint8 (n, H, W, C).
        masks: bool (n, H, W), the tumour, which is not looked at.
        millimetres: height and width of a pixel; NaN for unknown, which counts as square.

    Returns:
        The midline; None where it is not clear.
    """
    height, width = volumes.extent(images.shape[1:3], millimetres)
    scale = _SIDE / max(height, width)
    size = max(8, round(width * scale)), max(8, round(height * scale))
    step = max(1, min(images.shape[1:3]) // (2 * _SIDE))
    coarse_images, coarse_masks = images[:, ::step, ::step], masks[:, ::step, ::step]
    areas = np.array([(image.max(-1) > _DARK * 255).mean() for image in coarse_images])
    shown = np.flatnonzero(areas >= _LEAST_HEAD * areas.max()) if areas.any() else np.empty(0, int)
    if not len(shown):
        return None
    chosen = shown[np.unique(np.linspace(0, len(shown) - 1, min(len(shown), _SLICES)).round().astype(int))]
    small = np.stack([_reduced(coarse_images[place], coarse_masks[place], size) for place in chosen])
    if not small.any((1, 2)).all():
        return None
    coarse = max(_COARSE.tolist(), key=lambda angle: _fits(small, angle)[0].sum())
    angle = max((coarse + _FINE).tolist(), key=lambda angle: _fits(small, angle)[0].sum())
    likeness, middles = _fits(small, angle)
    slope, base = _line(chosen.astype(np.float64), middles)
    heads = float(np.mean([(image > 0).any(0).sum() for image in small]))
    spread = float(np.median(np.abs(middles - slope * chosen - base)))
    if np.mean(likeness) < _LIKE or spread > _SPREAD * heads:
        return None
    # Back from the turned and resized slices: there, column = cos * x - sin * y around the slices' middle.
    turn = np.radians(-angle)
    across, down = np.cos(turn) * size[0] / images.shape[2], -np.sin(turn) * size[1] / images.shape[1]
    centre = np.array([images.shape[1] - 1, images.shape[2] - 1]) / 2
    normal = np.array([-slope, down, across]) / heads
    offset = ((size[0] - 1) / 2 - base - down * centre[0] - across * centre[1]) / heads
    return Midline(normal, float(offset))


def _reduced(image: NDArray[np.uint8], mask: NDArray[np.bool_], size: tuple[int, int]) -> Array:
    """Return a slice's mean intensity from 0 to 1, small, with the tumour painted over."""
    grey = image.astype(np.float32).mean(-1)
    head = grey > _DARK * np.percentile(grey, 98)
    if mask.any() and head.any():
        grey[mask] = np.median(grey[head])
    small = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX), dtype=np.float64)
    top = max(float(np.percentile(small, 98)), 1e-6)
    return np.asarray((small / top).clip(0, 1))


def _fits(small: Array, angle: float) -> tuple[Array, Array]:
    """Turn slices (n, h, w), and find where each fits its mirror image best.

    Returns:
        How well each fits, 1 for perfectly, and in which column its middle is.
    """
    turned = ndimage.rotate(small, angle, axes=(2, 1), reshape=False, order=1)
    width = turned.shape[2]
    spectrum = np.fft.rfft(turned, 2 * width, axis=2)
    # The sum over all pairs of pixels in a row whose columns add up to a number: twice the middle between them.
    overlap = np.fft.irfft(spectrum**2, 2 * width, axis=2).sum(1)
    peaks = overlap.argmax(1)
    rows = np.arange(len(peaks))
    before, at, after = (overlap[rows, (peaks + step) % (2 * width)] for step in (-1, 0, 1))
    bend = np.maximum(2 * at - before - after, 1e-12)
    return at / np.maximum((turned**2).sum((1, 2)), 1e-12), (peaks + (after - before) / (2 * bend)) / 2


def _line(places: Array, middles: Array) -> tuple[float, float]:
    """Return the slope and the base of a line through the middles, by the median of all pairs (Theil, Sen)."""
    first, second = np.triu_indices(len(places), 1)
    slopes = (middles[second] - middles[first]) / (places[second] - places[first])
    slope = float(np.median(slopes)) if len(slopes) else 0.0
    return slope, float(np.median(middles - slope * places))
