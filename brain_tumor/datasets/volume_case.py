"""Check and read a case of volumes: a file per channel, or one with all of them, and a file of labels."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brain_tumor.datasets import flat_case
from brain_tumor.datasets.regions import Regions
from brain_tumor.scans import grids, intensities, nifti, volumes
from brain_tumor.scans.images import Content
from brain_tumor.scans.volumes import Grid, Volume

VOLUMES = (".nii.gz", ".nii")
READING = "volumes 1"  # changed whenever the same files would be read as other slices


@dataclass(frozen=True)
class VolumeCase:
    """A case's files.

    Attributes:
        name: the patient's.
        images: a file per channel, or one file with all channels.
        label: the file of its labels; None for a case without.
    """

    name: str
    images: tuple[Path, ...]
    label: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """All its files."""
        return self.images if self.label is None else (*self.images, self.label)

    @property
    def is_flat(self) -> bool:
        """Whether it is a picture, not a volume."""
        return not self.images[0].name.endswith(VOLUMES)


@dataclass(frozen=True)
class Outline:
    """What a case's headers say.

    Attributes:
        count: number of slices.
        slice_mm: the distance from one to the next in millimetres; None for a picture.
        problems: what is wrong with the files, one line each; with problems, the other values mean nothing.
    """

    count: int
    slice_mm: float | None
    problems: list[str]


def outline(case: VolumeCase, channels: int, plane: str) -> Outline:
    """Read a case's headers, without voxels.

    Args:
        case: its files.
        channels: how many the data set declares.
        plane: one of `volumes.PLANES`.
    """
    if case.is_flat:
        return Outline(1, None, flat_case.problems(case.files, channels, case.label))
    problems: list[str] = []
    headers: dict[Path, nifti.Header] = {}
    for path in case.files:
        try:
            headers[path] = nifti.read_header(path)
        except ValueError as error:
            problems.append(f"{path}: {error}")
    images = [headers[path] for path in case.images if path in headers]
    found = sum(header.channels for header in images)
    if len(images) == len(case.images) and found != channels:
        problems.append(f"{case.images[0]}: has {found} channel(s), dataset.json declares {channels}")
    if case.images[0] not in headers:
        return Outline(0, None, problems)
    first = _empty(headers[case.images[0]])
    problems += [
        f"{path}: {difference}"
        for path, header in headers.items()
        if (difference := _difference(_empty(header), first, case.images[0]))
    ]
    if case.label in headers and headers[case.label].channels != 1:
        problems.append(f"{case.label}: has {headers[case.label].channels} channels; labels have one")
    try:
        grid = Grid.of(first, plane)
    except ValueError as error:
        return Outline(0, None, [*problems, f"{case.images[0]}: {error}"])
    return Outline(len(grid.positions), grid.spacing[0], problems)


def _empty(header: nifti.Header) -> Volume:
    """Return a volume of zeros that takes no memory."""
    return Volume(np.broadcast_to(np.float32(0), header.shape), header.affine)


def empty(path: Path) -> Volume:
    """Return a file's grid, as a volume of zeros that takes no memory.

    Raises:
        ValueError: names the bad file.
    """
    try:
        return _empty(nifti.read_header(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _difference(volume: Volume, first: Volume, main: Path) -> str:
    """Return how a volume's grid differs from the first one's; "" where it does not."""
    if grids.onto(volume, first) is not None:
        return ""
    shape, other = (" x ".join(map(str, one.values.shape)) for one in (volume, first))
    if sorted(volume.values.shape) != sorted(first.values.shape):
        return f"has {shape} voxels, {main.name} has {other}. Resample it onto that grid"
    return f"its affine puts it elsewhere than {main.name}; correct its header, or resample it onto that grid"


def read(case: VolumeCase, plane: str, regions: Regions, rows: Sequence[int] | None = None) -> list[Content]:
    """Read a case's slices: resampled in plane to square pixels where theirs are none, never across.

    Args:
        case: its files, whose headers `outline` has found to be sound.
        plane: one of `volumes.PLANES`.
        regions: what the labels mean.
        rows: the numbers of the wanted slices; None for all.

    Raises:
        ValueError: names the bad file.
    """
    if case.is_flat:
        return [flat_case.read(case.images, case.label, regions)]
    cut: list[NDArray[np.uint8]] = []
    first: Volume | None = None
    for volume in _volumes(case):
        first = replace(volume, values=np.broadcast_to(np.float32(0), volume.values.shape)) if first is None else first
        aligned = grids.onto(volume, first)
        assert aligned is not None, "headers are checked before"
        grid = Grid.of(aligned, plane)
        values, _ = intensities.lift(aligned.values)
        levels = volumes.grey_levels(aligned, grid.slices(values), volumes.LEVELS)
        cut.append(levels if rows is None else levels[list(rows)])
    assert first is not None, "a case has images"
    masks = None if case.label is None else grid.slices(labels_on(case.label, first, regions))
    chosen = range(len(grid.positions)) if rows is None else rows
    names = [_digest(case.images), "" if case.label is None else _digest((case.label,))]
    images = np.stack(cut, -1)
    return [
        Content(
            volumes.square(images[place], grid.millimetres),
            _of_slice(names[0], plane, number),
            None if masks is None else volumes.square_mask(masks[number], grid.millimetres),
            names[1] and _of_slice(names[1], plane, number),
        )
        for place, number in enumerate(chosen)
    ]


def _volumes(case: VolumeCase) -> Iterator[Volume]:
    """Read a case's channels one after the other."""
    for path in case.images:
        try:
            yield from nifti.read_channels(path)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def labels_on(path: Path, grid: Volume, regions: Regions) -> NDArray[np.uint8]:
    """Read a file of labels, uint8 (I, J, K), with its axes as those of a volume.

    Raises:
        ValueError: it cannot be read, lies on another grid, or has labels that nobody has declared.
    """
    values, affine = _label_values(path)
    regions.refuse_unknown(values, path)
    aligned = grids.onto(Volume(values.astype(np.float32), affine), grid)
    if aligned is None:
        raise ValueError(f"{path}: lies on another grid than its images")
    return aligned.values.astype(np.uint8)


def label_values(path: Path) -> NDArray[np.uint8]:
    """Read a file of labels, uint8 (I, J, K).

    Raises:
        ValueError: it cannot be read, or its values are no labels.
    """
    return _label_values(path)[0]


def _label_values(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    try:
        return nifti.read_labels(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _digest(paths: Sequence[Path]) -> str:
    content = hashlib.sha256(READING.encode())
    for path in paths:
        content.update(path.read_bytes())
    return content.hexdigest()


def _of_slice(digest: str, plane: str, number: int) -> str:
    """Return the digest of a slice: of its volume's files and its place, since the file holds more than the slice."""
    return hashlib.sha256(f"{digest} {plane} {number}".encode()).hexdigest()
