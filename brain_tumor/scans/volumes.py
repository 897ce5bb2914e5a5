"""Bring a volume into slices as the training data has them, and masks back onto the volume's own grid.

Nothing is resampled on the way: axes are exchanged and turned round, which is undone exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from brain_tumor.scans.images import unfit

MOST_VOXELS = 2**27  # of one scan: 512 x 512 x 512, half a gigabyte of float32
_MOST_SLICES = 2**12  # of one scan
_MOST_PIXELS = 2**26  # of one slice, once its pixels are square
PUBLISHED = 256  # side of the published LGG slices, in pixels
PRESETS = ("maximum", "percentile")
_PERCENTILE = 99.5


@dataclass(frozen=True)
class Volume:
    """Intensities on a grid in space.

    Attributes:
        values: float32 (I, J, K).
        affine: float64 (4, 4), from voxel to millimetres, x to the right, y to the front, z up.
        warnings: what is doubtful about it.
        even: whether its slices are evenly spaced and not tilted, so that it has a volume in millilitres.
        measured: whether the size of its voxels and its place are known; without, the affine only says how its axes
            run, and no millimetre of it may be told.
    """

    values: NDArray[np.float32]
    affine: NDArray[np.float64]
    warnings: list[str] = field(default_factory=list)
    even: bool = True
    measured: bool = True

    @property
    def millilitres(self) -> float:
        """Of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3])) / 1000)


@dataclass(frozen=True)
class Grid:
    """How a volume's axes lie in its slices: front up, the patient's right on the left, from the feet up.

    Attributes:
        shape: of the volume.
        axes: which of its axes are the slices', from right to left, from front to back, and from the feet up.
        reversed: which of these run the other way.
        spacing: in millimetres, between slices, rows and columns; NaN where it is not known.
        positions: of the slices' centres along the patient's axis, in millimetres; NaN where they are not known.
    """

    shape: tuple[int, ...]
    axes: tuple[int, int, int]
    reversed: tuple[bool, bool, bool]
    spacing: tuple[float, float, float]
    positions: NDArray[np.float64]

    @classmethod
    def of(cls, volume: Volume) -> "Grid":
        """Find the axes nearest to the patient's.

        Raises:
            ValueError: it has none, too many slices, or too large ones.
        """
        from nibabel.orientations import io_orientation

        found = io_orientation(volume.affine)  # type: ignore[no-untyped-call]  # for each axis which of x, y, z it is nearest to, and its direction
        if np.isnan(found).any():
            raise ValueError("its affine has no volume: two of its axes run along one line, or one has no length")
        axes = tuple(int(np.flatnonzero(found[:, 0] == world)[0]) for world in range(3))
        towards = [found[axis, 1] for axis in axes]
        lengths = np.linalg.norm(volume.affine[:3, :3], axis=0)
        # Columns run to the patient's left and rows to the back, against x and y; slices run with z.
        turned = (bool(towards[0] > 0), bool(towards[1] > 0), bool(towards[2] < 0))
        count = volume.values.shape[axes[2]]
        steps = np.arange(count)[::-1] if turned[2] else np.arange(count)
        middle = (np.array(volume.values.shape) - 1) / 2
        across = volume.affine[2, axes[0]] * middle[axes[0]] + volume.affine[2, axes[1]] * middle[axes[1]]
        positions = volume.affine[2, 3] + steps * volume.affine[2, axes[2]] + across
        spacing = (float(lengths[axes[2]]), float(lengths[axes[1]]), float(lengths[axes[0]]))
        rows, columns = volume.values.shape[axes[1]], volume.values.shape[axes[0]]
        if count > _MOST_SLICES:
            raise ValueError(f"has {count} slices, more than {_MOST_SLICES}")
        if np.prod(np.array([rows, columns]) * spacing[1:] / min(spacing[1:])) > _MOST_PIXELS:
            raise ValueError(f"has slices of {rows} x {columns} pixels of {spacing[1]:g} x {spacing[2]:g} mm, too many")
        if not volume.measured:
            spacing, positions = (np.nan, np.nan, np.nan), np.full(count, np.nan)
        return cls(volume.values.shape, (axes[0], axes[1], axes[2]), turned, spacing, positions)

    def slices(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cut a volume (I, J, K) into slices (n, H, W)."""
        turned = np.transpose(values, self.axes)
        for axis, backwards in enumerate(self.reversed):
            turned = np.flip(turned, axis) if backwards else turned
        return np.ascontiguousarray(np.transpose(turned, (2, 1, 0)))

    def volume(self, masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Put masks of all slices (n, H, W) back onto the grid: uint8 (I, J, K)."""
        turned = np.transpose(masks, (2, 1, 0))
        for axis, backwards in enumerate(self.reversed):
            turned = np.flip(turned, axis) if backwards else turned
        found: NDArray[np.uint8] = np.ascontiguousarray(np.transpose(turned, np.argsort(self.axes)))
        assert found.shape == self.shape, "a mask belongs on its scan's own grid"
        return found

    @property
    def millimetres(self) -> tuple[float, float]:
        """Height and width of a pixel; NaN where they are not known."""
        return self.spacing[1], self.spacing[2]


def refuse_preset(preset: str) -> None:
    """Refuse what is no preset of intensities.

    Raises:
        ValueError: it is none of `PRESETS`.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset={preset}: choose one of {', '.join(PRESETS)}")


def to_bytes(values: NDArray[np.float32], preset: str) -> NDArray[np.uint8]:
    """Scale a whole volume's intensities to 0 ... 255, since MRI intensities have no unit.

    Args:
        values: float32 (n, H, W); what is below 0 becomes 0, so `intensities.lift` comes before.
        preset: "maximum", as the published LGG slices were made, or "percentile", by the 99.5th of what is above 0,
            which single bright voxels do not change.
    """
    found = np.zeros(values.shape, np.uint8)
    top = values.max(initial=0)
    if top > 0 and preset == "percentile":
        top = np.percentile(values[values > 0], _PERCENTILE)
    if top > 0:
        for slice_, own in zip(found, values, strict=True):  # one by one, which takes a tenth of the memory
            slice_[...] = (own * (255.0 / top)).clip(0, 255).round()
    return found


def fit(
    image: NDArray[np.uint8], size: int, millimetres: tuple[float, float], by_way_of: int | None
) -> NDArray[np.uint8]:
    """Fit a slice (H, W, 3) into a square of `size` pixels as the training data's were.

    Args:
        image: the slice.
        size: of the square.
        millimetres: height and width of its pixels; where they differ, the slice is fitted by its extent (NaN for
            pixels of unknown size, which are taken for square).
        by_way_of: a size that it is brought to first, such as `PUBLISHED`; None for none.
    """
    picture = Image.fromarray(image)
    height, width = extent(image.shape[:2], millimetres)
    if (height, width) != image.shape[:2]:
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    for side in (by_way_of, size):
        if side:
            picture = ImageOps.pad(picture, (side, side), method=Image.Resampling.BILINEAR, color=(0, 0, 0))
    return np.array(picture, dtype=np.uint8)


def fit_back(
    probabilities: NDArray[np.float32], shape: Sequence[int], millimetres: tuple[float, float]
) -> NDArray[np.float32]:
    """Bring a map (size, size) over a slice that `fit` has fitted back to its (H, W)."""
    found = unfit(probabilities, *extent(shape, millimetres))
    if found.shape == tuple(shape):
        return found
    return np.asarray(Image.fromarray(found).resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def extent(shape: Sequence[int], millimetres: tuple[float, float]) -> tuple[int, int]:
    """Return the height and width of a slice (H, W) in square pixels of the smaller side's length.

    Where its `millimetres` are not known (NaN), its own pixels count as square.
    """
    if not np.isfinite(millimetres).all():
        return shape[0], shape[1]
    height, width = shape[0] * millimetres[0], shape[1] * millimetres[1]
    unit = min(millimetres)
    return max(1, round(height / unit)), max(1, round(width / unit))
