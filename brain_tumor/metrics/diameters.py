"""Measure a tumour's two diameters in a slice, as response criteria for gliomas use them.

The longest diameter of a slice, and the longest one perpendicular to it, both of the largest part of the mask in that
slice (Macdonald et al. 1990; RANO: Wen et al. 2010, J Clin Oncol 28:1963). A part is 4-connected. Its outline runs
through the middles of the edges between pixels inside and outside, as marching squares draw it, so that a line of n
pixels has the length n. Both ends of a diameter lie on this outline; between them it may cross a hole or a notch.

Both are exact for the outline: the first is the largest distance of two corners of the convex hull; the second is
piecewise linear along the first, so that it is largest at a corner of the outline.
"""

from typing import NamedTuple

import contourpy
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

Array = NDArray[np.float64]
_SAME = 1e-9  # relative: a corner that is this near to the end of an edge lies on it


class Diameters(NamedTuple):
    """Two diameters of a mask.

    Attributes:
        longest: the longest one of all slices, in the units of the steps.
        across: the longest one perpendicular to it in the same slice.
        place: the slice's place in the stack.
        ends: of the longest one, (2, 2) in rows and columns.
    """

    longest: float
    across: float
    place: int
    ends: Array


def measure(masks: NDArray[np.bool_], steps: Array) -> Diameters | None:
    """Measure the longest diameter in any slice of a mask, and the one across it.

    Args:
        masks: bool (n, H, W).
        steps: (d, 2), the way from a pixel to the next row and to the next column in a space of d axes; np.eye(2) for
            lengths in pixels.

    Returns:
        The diameters, of the first such slice where several are as long; None for an empty mask.
    """
    plane = np.linalg.qr(np.asarray(steps, dtype=np.float64))[1]  # the same lengths and angles in two axes
    box = ndimage.find_objects(masks.any(0).astype(np.uint8))
    best: tuple[float, int, Array, Array] | None = None
    for place in np.flatnonzero(masks.any((1, 2))).tolist():
        edges = outline(largest_part(masks[place][box[0]])) + [side.start for side in box[0]]
        length, ends = _longest(edges.reshape(-1, 2), plane)
        if best is None or length > best[0]:
            best = length, place, ends, edges
    if best is None:
        return None
    length, place, ends, edges = best
    return Diameters(length, _across(edges @ plane.T, (ends[1] - ends[0]) @ plane.T), place, ends)


def largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest 4-connected part of a mask (H, W), the first of several such."""
    labels, count = ndimage.label(mask)
    return mask if count < 2 else labels == 1 + np.bincount(labels.ravel())[1:].argmax()


def outline(part: NDArray[np.bool_]) -> Array:
    """Return the edges of a mask's outline, (edges, 2 ends, 2), in rows and columns."""
    lines = contourpy.contour_generator(z=np.pad(part, 1).astype(np.float64)).lines(0.5)
    edges = [np.stack([line[:-1], line[1:]], 1) for line in map(np.asarray, lines)]
    return np.concatenate(edges)[..., ::-1] - 1.0


def _longest(corners: Array, plane: Array) -> tuple[float, Array]:
    """Return the largest distance of two corners (n, 2), and the two."""
    places = corners @ plane.T
    try:
        hull = ConvexHull(places).vertices
    except QhullError:  # an outline of pixels has an area, but that may be too small for Qhull beside its length
        hull = np.arange(len(places))
    distances = np.linalg.norm(places[hull][:, None] - places[hull][None], axis=-1)
    first, second = np.unravel_index(distances.argmax(), distances.shape)
    return float(distances[first, second]), corners[hull][[first, second]]


def _across(edges: Array, direction: Array) -> float:
    """Return the longest line perpendicular to a direction whose ends lie on edges (n, 2 ends, 2)."""
    along = direction / np.linalg.norm(direction)
    turned = edges @ np.stack([along, [-along[1], along[0]]], 1)
    order = np.take_along_axis(turned, turned[..., :1].argsort(1), 1)  # each edge from its first end along
    start, end = order[:, 0], order[:, 1]
    reach = end[:, 0] - start[:, 0]
    slack = _SAME * float(np.linalg.norm(direction))
    # An edge is short, so that it meets few of the places: only these pairs are compared.
    places = np.unique(turned[..., 0])
    first = np.searchsorted(places, start[:, 0] - slack, "left")
    counts = np.searchsorted(places, end[:, 0] + slack, "right") - first
    edge = np.repeat(np.arange(len(start)), counts)
    met = np.arange(len(edge)) - np.repeat(counts.cumsum() - counts, counts) + first[edge]
    share = ((places[met] - start[edge, 0]) / np.maximum(reach[edge], slack)).clip(0, 1)
    heights = start[edge, 1] + share * (end[edge, 1] - start[edge, 1])
    flat = reach[edge] <= slack  # an edge that runs across itself: both of its ends count
    top, bottom = np.full(len(places), -np.inf), np.full(len(places), np.inf)
    for where, values in ((met, heights), (met[flat], start[edge[flat], 1]), (met[flat], end[edge[flat], 1])):
        np.maximum.at(top, where, values)
        np.minimum.at(bottom, where, values)
    return float((top - bottom).max(initial=0))
