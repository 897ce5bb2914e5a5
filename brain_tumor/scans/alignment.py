"""Bring the sequences of a patient onto one grid: by exchanging axes, or resampled as a registration says."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from brain_tumor.scans import grids, intensities, registration, registration_quality
from brain_tumor.scans.discovery import Source
from brain_tumor.scans.registration import Matrix
from brain_tumor.scans.registration_quality import Quality
from brain_tumor.scans.volumes import Value, Volume

if TYPE_CHECKING:
    from SimpleITK import Image

_STILL = 0.5  # of a voxel: a head that moved by less lies on the grid already


@dataclass(frozen=True)
class Placement:
    """Where a sequence lies, on its own grid, in relation to the one that the others are brought to.

    Attributes:
        shape: of its own grid.
        affine: of its own grid, float64 (4, 4).
        matrix: float64 (4, 4), from points of the main sequence to its own that show the same, in millimetres.
        quality: of the registration; None where the headers were believed.
    """

    shape: tuple[int, ...]
    affine: Matrix
    matrix: Matrix
    quality: Quality | None = None

    def resampled(self, labels: NDArray[np.uint8], affine: Matrix) -> NDArray[np.uint8]:
        """Bring labels uint8 (I, J, K) on the main sequence's grid onto the sequence's own, by nearest neighbour.

        Args:
            labels: to bring.
            affine: float64 (4, 4) of their grid.
        """
        step = np.linalg.inv(self.matrix @ affine) @ self.affine
        return _resampled(labels, step, self.shape, order=0)


class Aligned(NamedTuple):
    """The sequences of a patient on one grid.

    Attributes:
        volumes: by the name of the sequence.
        placements: where the others than the main one lie on their own grids.
        doubts: about their registration.
    """

    volumes: dict[str, Volume]
    placements: dict[str, Placement]
    doubts: list[str]


def read(sources: Mapping[str, Source], register: str = "none") -> Aligned:
    """Read sequences and bring them onto the grid of FLAIR, without it of T1ce, else of the first.

    Without a registration axes are exchanged only (see `grids.onto`). With one, a sequence on another grid, or one that
    the head has left by half a voxel or more, is resampled: linearly, and black where it shows nothing.

    Args:
        sources: the sequences by name.
        register: one of `registration.WAYS`.

    Raises:
        ValueError: one cannot be read, is a picture, lies on another grid, or cannot be registered.
    """
    main = next(name for name in ("flair", "t1ce", *sources) if name in sources)
    volumes = {name: _volume(name, source) for name, source in sources.items()}
    fixed, placements, doubts = volumes[main], {}, []
    images = registration.pyramid(fixed) if register != "none" and len(sources) > 1 else []
    for name in [name for name in volumes if name != main]:
        try:
            place = _registered(volumes[name], fixed, images) if images else _placed(volumes[name], fixed, main)
        except ValueError as error:
            raise ValueError(f"sequences.{name}: {error}") from error
        volumes[name], placements[name] = place
        if (quality := placements[name].quality) is not None:
            doubts += [f"{name}: {doubt}" for doubt in quality.doubts(main)]
    return Aligned(volumes, placements, doubts)


def _volume(name: str, source: Source) -> Volume:
    try:
        volume = source.read()
    except ValueError as error:
        label = f" ({source.label})" if source.paths and source.label not in str(error) else ""
        raise ValueError(f"sequences.{name}{label}: {error}") from error
    if isinstance(volume, np.ndarray):
        raise ValueError(f"sequences.{name}: a picture, not a volume")
    return volume


def _placed(volume: Volume, fixed: Volume, main: str) -> tuple[Volume, Placement]:
    """Exchange the axes of a volume; its header is believed."""
    exchanged = grids.onto(volume, fixed)
    if exchanged is None:
        text = f"lies on another grid than {main}"
        if not (volume.measured and fixed.measured):
            raise ValueError(f"{text}, as far as is known; register and resample it first")
        needs = "" if registration.available() else f", which needs SimpleITK: {registration.INSTALL}"
        raise ValueError(f"{text}; register and resample it first, or give register=rigid{needs}")
    return exchanged, Placement(volume.values.shape, volume.affine, np.eye(4))


def _registered(volume: Volume, fixed: Volume, images: "list[Image]") -> tuple[Volume, Placement]:
    """Register a volume to another, whose images are given, and resample it unless it is there already."""
    moving = registration.pyramid(volume)
    matrix = registration.rigid(moving, images)
    quality = registration_quality.measure(moving[-1], images[-1], matrix)
    exchanged = grids.onto(volume, fixed)
    if exchanged is not None and quality.moved < _STILL * np.linalg.norm(fixed.affine[:3, :3], axis=0).min():
        matrix = np.eye(4)  # resampling would only blur it
        return exchanged, Placement(volume.values.shape, volume.affine, matrix, replace(quality, moved=0.0))
    return _moved(volume, fixed, matrix), Placement(volume.values.shape, volume.affine, matrix, quality)


def _moved(volume: Volume, fixed: Volume, matrix: Matrix) -> Volume:
    """Resample a volume on another's grid."""
    step = np.linalg.inv(volume.affine) @ matrix @ fixed.affine
    black = intensities.find_background(volume.values)
    outside = float(volume.values.min()) if black is None else black
    values = _resampled(volume.values, step, fixed.values.shape, 1, outside)
    values = values.round() if volume.stored_levels else values
    return replace(volume, values=values, affine=fixed.affine, even=volume.even and fixed.even)


def _resampled(
    values: NDArray[Value], step: Matrix, shape: tuple[int, ...], order: int, outside: float = 0
) -> NDArray[Value]:
    """Resample values on a grid of a shape, from whose voxels `step` leads to theirs."""
    # Unlike "constant", this mode keeps the outermost voxels where rounding puts them just outside.
    return np.asarray(
        ndimage.affine_transform(
            values, step[:3, :3], step[:3, 3], shape, order=order, mode="grid-constant", cval=outside
        )
    )
