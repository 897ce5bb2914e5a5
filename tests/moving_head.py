"""A head that moves between the sequences of a study: known tissues in known places, on any grid."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.odd import Array, Head

# Where the lesion is, and its half-axes, in millimetres, x to the right, y to the front, z up.
LESION, LESION_SIZE = np.array([-30.0, 25.0, 22.0]), (13.0, 16.0, 11.0)
_EDGE = 2.0  # mm: how wide a boundary is
# Centre, half-axes (mm) and place in the table of intensities of what lies upon each other.
_PARTS: Sequence[tuple[Sequence[float], Sequence[float], int]] = (
    ((0, 98, -30), (12, 14, 18), 0), ((0, 0, 0), (78, 96, 86), 0), ((0, 0, 0), (72, 90, 80), 1),
    ((0, 0, 0), (67, 85, 75), 2), ((0, -5, 2), (61, 78, 69), 3), ((-26, 0, 0), (24, 62, 50), 4),
    ((26, -6, 4), (23, 58, 52), 4), ((0, -52, -38), (40, 22, 20), 4), ((-12, 6, 8), (6, 30, 11), 2),
    ((13, 2, 6), (8, 34, 9), 2), ((24, -2, 2), (8, 14, 9), 3), ((-23, 0, 0), (8, 14, 9), 3),
    (tuple(LESION), LESION_SIZE, 5),
)  # fmt: skip
# Scalp, bone, fluid, grey matter, white matter, lesion.
_INTENSITIES = {
    "flair": (90, 15, 20, 110, 85, 240), "t1": (180, 20, 25, 70, 100, 60), "t1ce": (185, 20, 25, 80, 105, 160),
    "t2": (150, 20, 240, 120, 80, 200),
}  # fmt: skip
SEQUENCES = tuple(_INTENSITIES)


def motion(degrees: Sequence[float] | Array, shift: Sequence[float] | Array) -> Array:
    """Return a turn around x, y and z through a point near the neck, and a shift: (4, 4), in millimetres."""
    made = np.eye(4)
    for axis, angle in enumerate(np.radians(degrees)):
        turn = np.eye(3)
        first, second = [place for place in range(3) if place != axis]
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        made[:3, :3] = turn @ made[:3, :3]
    neck = np.array([0.0, -20.0, -60.0])
    made[:3, 3] = neck + shift - made[:3, :3] @ neck
    return made


def head(
    sequence: str,
    spacing: Sequence[float],
    shape: tuple[int, int, int],
    placed: NDArray[np.float64] | None = None,
    moved: NDArray[np.float64] | None = None,
) -> Head:
    """Draw the head in a sequence.

    Args:
        sequence: one of `SEQUENCES`.
        spacing: of its grid in millimetres.
        shape: of its grid.
        placed: (4, 4), how the grid is turned and shifted; None for not at all.
        moved: (4, 4), how the head has moved; None for not at all.
    """
    grid = np.diag([*spacing, 1.0])
    grid[:3, 3] = -(np.array(shape) - 1) / 2 * spacing
    affine = grid if placed is None else placed @ grid
    step = np.linalg.inv(np.eye(4) if moved is None else moved) @ affine
    points = np.tensordot(step[:3, :3], np.indices(shape), 1).astype(np.float32) + _column(step[:3, 3])
    values = np.zeros(shape, np.float32)
    for middle, half_axes, tissue in _PARTS:
        within = np.sqrt((((points - _column(middle)) / _column(half_axes)) ** 2).sum(0)) - 1
        inside = (0.5 - within * min(half_axes) / _EDGE).clip(0, 1)
        values += inside * (_INTENSITIES[sequence][tissue] - values)
    values *= 1 + 0.1 * np.linspace(-1, 1, shape[0])[:, None, None]  # coils shine unevenly
    noise = np.random.default_rng(SEQUENCES.index(sequence)).normal(0, 3, (2, *shape))
    return Head(np.hypot(values + noise[0], noise[1]).round().astype(np.float32), affine)


def _column(numbers: Sequence[float] | Array) -> Array:
    return np.array(numbers, np.float32)[:, None, None, None]


def centre(mask: Array, affine: Array) -> Array:
    """Return where a mask's middle is, in millimetres: (3,)."""
    return np.asarray((affine @ [*np.argwhere(mask).mean(0), 1])[:3])


def apart(found: Array, truth: Array) -> float:
    """Return by how much two transforms differ at most within the head, in millimetres."""
    corners = np.stack(np.meshgrid((-60, 60), (-80, 80), (-65, 65), (1,)), -1).reshape(-1, 4)
    return float(np.linalg.norm(((found - truth) @ corners.T)[:3], axis=0).max())
