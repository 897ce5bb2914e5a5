"""Bring volumes onto one grid where only the order or the direction of their axes differs; refuse thin slices."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from brain_tumor.scans.volumes import Grid, Volume

_NEAR = 1e-3  # largest difference between elements of two affines of one grid
_THINNEST = 8  # pixels of an axial slice's shorter side; localizers have fewer slices per plane
_COARSEST = 3.0  # millimetres: the largest usual pixel of an axial slice
_OBLIQUE = 30.0  # degrees between slices and the axial plane; usual scans of heads are turned by up to 25


def onto(volume: Volume, main: Volume) -> Volume | None:
    """Return a volume with its axes in the order and direction of another's; None where it lies on another grid.

    Axes are only exchanged and reversed, so that no voxel changes.
    """
    if not (volume.measured and main.measured):
        return None
    if _same(volume.affine, volume.values.shape, main):
        return volume
    step = np.linalg.inv(main.affine[:3, :3]) @ volume.affine[:3, :3]
    axes = np.rint(step).astype(int)
    if np.abs(axes).sum(0).tolist() != [1, 1, 1] or np.abs(axes).sum(1).tolist() != [1, 1, 1]:
        return None
    order = np.abs(axes).argmax(1)  # which axis of the volume runs along each of the main one's
    values, affine = np.transpose(volume.values, order), volume.affine[:, [*order, 3]].copy()
    for axis in range(3):
        if axes[axis, order[axis]] < 0:
            values = np.flip(values, axis)
            affine[:3, 3] += affine[:3, axis] * (values.shape[axis] - 1)
            affine[:3, axis] *= -1
    if not _same(affine, values.shape, main):
        return None
    return replace(volume, values=np.ascontiguousarray(values), affine=affine)


def _same(affine: NDArray[np.float64], shape: tuple[int, ...], main: Volume) -> bool:
    return shape == main.values.shape and np.allclose(affine, main.affine, atol=_NEAR)


def cut(volume: Volume, plane: str) -> tuple[Grid, list[str]]:
    """Find how to cut a volume into slices, and return with it warnings about axial ones (see `doubts`).

    Raises:
        ValueError: as for `Grid.of` and `refuse_thin`.
    """
    grid = Grid.of(volume, plane)
    if plane != "axial":
        return grid, []
    refuse_thin(grid)
    return grid, doubts(volume, grid)


def refuse_thin(grid: Grid) -> None:
    """Refuse a volume whose axial slices are only a few pixels wide, such as a single sagittal slice.

    Raises:
        ValueError: a side of its axial slices has fewer than 8 pixels.
    """
    height, width = grid.shape[grid.axes[1]], grid.shape[grid.axes[0]]
    if min(height, width) < _THINNEST:
        plane, count = ("sagittal", width) if width < height else ("coronal", height)
        raise ValueError(
            f"its axial slices are {height} x {width} pixels, as of a {plane} scan of {count} "
            f"slice{'' if count == 1 else 's'}; the runs have seen axial slices only"
        )


def doubts(volume: Volume, grid: Grid) -> list[str]:
    """Return warnings where a volume's axial slices differ from those that networks were trained on."""
    if not volume.measured:
        return []
    notes = []
    if max(grid.millimetres) > _COARSEST:
        size = " x ".join(f"{length:.1f}" for length in grid.millimetres)
        notes.append(f"its axial slices have pixels of {size} mm, coarser than the runs have seen")
    rows, columns = (volume.affine[:3, axis] for axis in grid.axes[:2])
    normal = np.cross(rows, columns)
    tilt = np.degrees(np.arccos(np.clip(abs(normal[2]) / max(float(np.linalg.norm(normal)), 1e-12), 0, 1)))
    if tilt > _OBLIQUE:
        notes.append(f"its slices are turned by {tilt:.0f} degrees against axial ones")
    return notes
