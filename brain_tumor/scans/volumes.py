"""Cut a volume into slices as the training data has them, and bring masks back onto the volume's grid.

Nothing is resampled on the way: axes are only exchanged and reversed, which can be undone exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from brain_tumor.scans.images import unfit

MOST_VOXELS = 2**27  # of one scan: 512 x 512 x 512, half a gigabyte of float32
_MOST_SLICES = 2**12  # of one scan
_MOST_PIXELS = 2**26  # of one slice, once its pixels are square
PUBLISHED = 256  # side of the published LGG slices, in pixels
PRESETS = ("maximum", "percentile")
LEVELS = "levels"  # percentile, but a volume that is stored in 8 bits keeps its grey levels
# Across, down and through the slices of a plane: which of the patient's x, y and z.
PLANES = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}
_PERCENTILE = 99.5
Value = TypeVar("Value", np.float32, np.uint8)


@dataclass(frozen=True)
class Volume:
    """Intensities on a grid in space.

    Attributes:
        values: float32 (I, J, K).
        affine: float64 (4, 4), from voxels to millimetres, x to the right, y to the front, z up.
        warnings: what a user should know about it.
        even: whether its slices are evenly spaced and not tilted, so that volumes in it can be measured.
        measured: whether the size of its voxels and its position are known; if not, the affine only says how its axes
            run, and nothing may be given in millimetres.
        stored_levels: whether its file holds grey levels of 8 bits, which need no scaling.
    """

    values: NDArray[np.float32]
    affine: NDArray[np.float64]
    warnings: list[str] = field(default_factory=list)
    even: bool = True
    measured: bool = True
    stored_levels: bool = False

    @property
    def millilitres(self) -> float:
        """The volume of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3])) / 1000)


@dataclass(frozen=True)
class Grid:
    """How a volume is cut into slices.

    Axial ones have the front up and the patient's right on the left, and go from the feet upwards; coronal ones have
    the head up and go from back to front, sagittal ones have the front on the left and go from left to right.

    Attributes:
        shape: the volume's shape (I, J, K).
        axes: which of the volume's axes run across a slice, down a slice and through the stack of slices; in axial
            ones from the patient's right to the left, from front to back, and from the feet upwards.
        reversed: which of these axes run the other way in the volume.
        spacing: distances between slices, rows and columns in millimetres; NaN where they are not known.
        positions: (n,) positions of the slices' centres through the stack in millimetres; NaN where not known.
    """

    shape: tuple[int, ...]
    axes: tuple[int, int, int]
    reversed: tuple[bool, bool, bool]
    spacing: tuple[float, float, float]
    positions: NDArray[np.float64]

    @classmethod
    def of(cls, volume: Volume, plane: str = "axial") -> "Grid":
        """Find a volume's axes that are nearest to the patient's.

        Args:
            volume: to cut.
            plane: one of `PLANES`.

        Raises:
            ValueError: the affine is degenerate, or there are too many slices or too large ones.
        """
        from nibabel.orientations import io_orientation

        # For each axis of the volume, the nearest of x, y and z, and whether it runs with it (1) or against it (-1).
        orientation = io_orientation(volume.affine)  # type: ignore[no-untyped-call]
        if np.isnan(orientation).any():
            raise ValueError("its affine has no volume: two of its axes run along one line, or one has no length")
        axes = tuple(int(np.flatnonzero(orientation[:, 0] == world)[0]) for world in PLANES[plane])
        through = PLANES[plane][2]
        towards = [orientation[axis, 1] for axis in axes]
        lengths = np.linalg.norm(volume.affine[:3, :3], axis=0)
        # Of axial slices, columns run to the patient's left and rows to the back, against x and y; slices run with z.
        turned = (bool(towards[0] > 0), bool(towards[1] > 0), bool(towards[2] < 0))
        count = volume.values.shape[axes[2]]
        steps = np.arange(count)[::-1] if turned[2] else np.arange(count)
        middle = (np.array(volume.values.shape) - 1) / 2
        towards_slices = volume.affine[through]
        across = towards_slices[axes[0]] * middle[axes[0]] + towards_slices[axes[1]] * middle[axes[1]]
        positions = towards_slices[3] + steps * towards_slices[axes[2]] + across
        spacing = (float(lengths[axes[2]]), float(lengths[axes[1]]), float(lengths[axes[0]]))
        rows, columns = volume.values.shape[axes[1]], volume.values.shape[axes[0]]
        if count > _MOST_SLICES:
            raise ValueError(f"has {count} slices, more than {_MOST_SLICES}")
        if np.prod(np.array([rows, columns]) * spacing[1:] / min(spacing[1:])) > _MOST_PIXELS:
            raise ValueError(f"has slices of {rows} x {columns} pixels of {spacing[1]:g} x {spacing[2]:g} mm, too many")
        if not volume.measured:
            spacing, positions = (np.nan, np.nan, np.nan), np.full(count, np.nan)
        return cls(volume.values.shape, (axes[0], axes[1], axes[2]), turned, spacing, positions)

    def slices(self, values: NDArray[Value]) -> NDArray[Value]:
        """Cut a volume's values (I, J, K) into slices (n, H, W)."""
        turned = np.transpose(values, self.axes)
        for axis, backwards in enumerate(self.reversed):
            turned = np.flip(turned, axis) if backwards else turned
        return np.ascontiguousarray(np.transpose(turned, (2, 1, 0)))

    def volume(self, masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring the masks of all slices (n, H, W) back onto the volume's grid: uint8 (I, J, K)."""
        turned = np.transpose(masks, (2, 1, 0))
        for axis, backwards in enumerate(self.reversed):
            turned = np.flip(turned, axis) if backwards else turned
        values: NDArray[np.uint8] = np.ascontiguousarray(np.transpose(turned, np.argsort(self.axes)))
        assert values.shape == self.shape, "masks must have the size of the slices"
        return values

    @property
    def millimetres(self) -> tuple[float, float]:
        """Height and width of a pixel; NaN where they are not known."""
        return self.spacing[1], self.spacing[2]


def refuse_preset(preset: str) -> None:
    """Check the name of a preset of intensities.

    Raises:
        ValueError: it is not one of `PRESETS`.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset={preset}: choose one of {', '.join(PRESETS)}")


def to_bytes(values: NDArray[np.float32], preset: str) -> NDArray[np.uint8]:
    """Scale a whole volume's intensities to uint8 from 0 to 255, since MRI intensities have no unit.

    Args:
        values: float32 (n, H, W). Values below 0 become 0, so call `intensities.lift` first.
        preset: "maximum" scales by the maximum, as the published LGG slices were made. "percentile" scales by the
            99.5th percentile of the values above 0, which single bright voxels do not change.
    """
    scaled = np.zeros(values.shape, np.uint8)
    top = values.max(initial=0)
    if top > 0 and preset == "percentile":
        top = np.percentile(values[values > 0], _PERCENTILE)
    if top > 0:
        for target, plane in zip(scaled, values, strict=True):  # slice by slice, which needs a tenth of the memory
            target[...] = (plane * (255.0 / top)).clip(0, 255).round()
    return scaled


def grey_levels(volume: Volume, values: NDArray[np.float32], preset: str) -> NDArray[np.uint8]:
    """Turn slices (n, H, W) of a volume into grey levels: as `to_bytes` does, or as they are stored.

    Args:
        volume: that they were cut from.
        values: float32 (n, H, W), not negative.
        preset: one of `PRESETS`, or `LEVELS`.
    """
    if preset == LEVELS:
        return values.astype(np.uint8) if volume.stored_levels else to_bytes(values, "percentile")
    return to_bytes(values, preset)


def fit(
    image: NDArray[np.uint8], size: int, millimetres: tuple[float, float], by_way_of: int | None
) -> NDArray[np.uint8]:
    """Fit a slice into a square as the slices of the training data were.

    Args:
        image: uint8 (H, W, C), the slice.
        size: side of the square in pixels.
        millimetres: height and width of a pixel; where they differ, the slice is fitted by its extent. NaN for pixels
            of unknown size, which count as square.
        by_way_of: a size to which the slice is brought first, such as `PUBLISHED`; None for none.

    Returns:
        uint8 (size, size, C).
    """
    if image.shape[-1] != 3:  # Pillow takes four bands for colours with transparency
        bands = [
            fit(np.repeat(band, 3, -1), size, millimetres, by_way_of) for band in np.split(image, image.shape[-1], -1)
        ]
        return np.concatenate([band[..., :1] for band in bands], -1)
    picture = Image.fromarray(image)
    height, width = extent(image.shape[:2], millimetres)
    if (height, width) != image.shape[:2]:
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    for side in (by_way_of, size):
        if side:
            picture = ImageOps.pad(picture, (side, side), method=Image.Resampling.BILINEAR, color=(0, 0, 0))
    return np.array(picture, dtype=np.uint8)


def square(image: NDArray[np.uint8], millimetres: tuple[float, float]) -> NDArray[np.uint8]:
    """Resample a slice uint8 (H, W, C) to square pixels, as long as a pixel's shorter side, bilinear."""
    height, width = extent(image.shape[:2], millimetres)
    if (height, width) == image.shape[:2]:
        return image
    bands = [Image.fromarray(band) for band in np.moveaxis(image, -1, 0)]
    return np.stack([np.asarray(band.resize((width, height), Image.Resampling.BILINEAR)) for band in bands], -1)


def square_mask(mask: NDArray[np.uint8], millimetres: tuple[float, float]) -> NDArray[np.uint8]:
    """Resample a slice's labels uint8 (H, W) as `square` does, by nearest neighbour."""
    height, width = extent(mask.shape, millimetres)
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def fit_back(
    probabilities: NDArray[np.float32], shape: Sequence[int], millimetres: tuple[float, float]
) -> NDArray[np.float32]:
    """Bring a map (size, size) over a slice that `fit` has fitted back to the slice's size: float32 (H, W)."""
    square = unfit(probabilities, *extent(shape, millimetres))
    if square.shape == tuple(shape):
        return square
    return np.asarray(Image.fromarray(square).resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def extent(shape: Sequence[int], millimetres: tuple[float, float]) -> tuple[int, int]:
    """Return the height and width of a slice (H, W) in square pixels, as long as a pixel's shorter side.

    Where `millimetres` are not known (NaN), the slice's pixels count as square.
    """
    if not np.isfinite(millimetres).all():
        return shape[0], shape[1]
    height, width = shape[0] * millimetres[0], shape[1] * millimetres[1]
    unit = min(millimetres)
    return max(1, round(height / unit)), max(1, round(width / unit))
