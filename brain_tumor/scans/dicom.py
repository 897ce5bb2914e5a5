"""Read a series of DICOM images as a volume with pydicom, and keep no name, date or number of a patient."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from brain_tumor.scans import dicom_file, dicom_frames, dicom_pixels, dicom_types
from brain_tumor.scans.dicom_file import number, numbers
from brain_tumor.scans.dicom_header import angle
from brain_tumor.scans.volumes import MOST_VOXELS, Volume

if TYPE_CHECKING:
    from pydicom import Dataset

    Images = list[tuple[Dataset, NDArray[np.float32]]]

_UNEVEN = 0.02  # share of the spacing by which a slice may miss its place
_MOST_BYTES = 2**31  # of a series' files
_GAP = 2.0  # thicknesses: with slices further apart, no volume is measured
_MOST_STEP = 20.0  # millimetres: the same limit where the thickness is not known
_SAME = 1e-3  # millimetres: slices that are closer lie at one place
_STRAIGHT = 0.01  # share by which two directions may differ from a right angle, or their lengths from 1
_TURNED = 0.05  # degrees: larger differences between the slices' directions get a warning


def read(paths: Sequence[Path], frames: Sequence[Sequence[int]] = ()) -> Volume:
    """Read images of one size, spacing and direction (see `series.group`) as a volume.

    Images without positions in space are stacked by their numbers. A volume without positions or without the size of
    its pixels has no millimetres (`Volume.measured`).

    Args:
        paths: one file per image, in any order; or enhanced files, which have several.
        frames: of each enhanced file the numbers of the frames to read, from 0; () for one file per image.

    Raises:
        ValueError: an image is damaged or of a type that is not read, or several lie at one place.
    """
    size = sum(path.stat().st_size for path in paths)
    if size > _MOST_BYTES:
        raise ValueError(f"has {size:,} bytes, more than {_MOST_BYTES:,}")
    files = [dicom_file.read(path, header_only=False) for path in paths]
    for file, path in zip(files, paths, strict=True):
        if problem := dicom_types.problem(file):
            raise ValueError(f"{path.name}: {problem}")
    first, count = files[0], sum(map(len, frames)) or len(files)
    if float(first.Rows) * float(first.Columns) * count > MOST_VOXELS:
        raise ValueError(f"has {first.Columns} x {first.Rows} x {count} voxels, more than {MOST_VOXELS:,}")
    decoded = [
        image
        for file, path, own in zip(files, paths, frames or [()] * len(files), strict=True)
        for image in _images(file, path, own)
    ]
    first, placed = decoded[0][0], all(len(numbers(image, "ImagePositionPatient")) == 3 for image, _ in decoded)
    if not placed or np.linalg.norm(numbers(first, "ImageOrientationPatient")) <= 1:
        return _without_places(decoded)
    return _stack(decoded)


def _images(file: "Dataset", path: Path, frames: Sequence[int]) -> "Images":
    """Return the header and the intensities of a file's image, or of some frames of an enhanced file."""
    try:
        if not frames:
            return [(file, dicom_pixels.read(file))]
        headers = dicom_frames.split(file)
        if len(headers) <= max(frames):
            raise ValueError("has fewer frames than before")
        chosen = [headers[number] for number in frames]
        return list(zip(chosen, dicom_pixels.read_frames(file, chosen, frames), strict=True))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _stack(decoded: "Images") -> Volume:
    """Stack images by their positions in space."""
    along_rows, along_columns = _axes(decoded[0][0])
    normal = np.cross(along_rows, along_columns)
    positions = np.array([numbers(image, "ImagePositionPatient") for image, _ in decoded])
    order = np.argsort(positions @ normal, kind="stable")
    distinct, doubts = _once([decoded[place] for place in order], positions[order], normal)
    places = np.array([numbers(image, "ImagePositionPatient") for image, _ in distinct])
    images = [image for image, _ in distinct]
    steps = np.diff(places @ normal)
    step, step_doubts = _step(images[0], steps)
    spacings = (numbers(image, "PixelSpacing") for image in images)
    spacing = next((size for size in spacings if _is_size(size)), None)
    uneven = step_doubts + _tilt_doubts(places, normal, step)
    doubts += uneven + _turn_doubts(images) + dicom_pixels.doubts(images)
    values = dicom_pixels.stack(images, [pixels for _, pixels in distinct])
    if spacing is None:
        doubts.append("does not say how large its pixels are: no millimetres are given")
    size = np.ones(2) if spacing is None else spacing
    affine = np.eye(4)
    # Columns change along a row. DICOM's x and y run to the left and back, the affine's to the right and front.
    affine[:3, 0], affine[:3, 1] = along_rows * size[1], along_columns * size[0]
    affine[:3, 2] = (places[-1] - places[0]) / len(steps) if len(steps) else normal * step
    affine[:3, 3] = places[0]
    affine[:2] *= -1
    measured = spacing is not None
    return Volume(np.transpose(values, (1, 0, 2)), affine, doubts, even=measured and not uneven, measured=measured)


def _axes(image: "Dataset") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the directions of an image's rows and columns, unit vectors (3,) each.

    Raises:
        ValueError: they are no unit vectors, or not at a right angle.
    """
    along_rows, along_columns = np.split(numbers(image, "ImageOrientationPatient"), 2)
    lengths = np.array([np.linalg.norm(along_rows), np.linalg.norm(along_columns)])
    if np.abs(lengths - 1).max() > _STRAIGHT or abs(along_rows @ along_columns) > _STRAIGHT:
        raise ValueError("its directions (ImageOrientationPatient) form no right angle, or are not of length 1")
    return along_rows, along_columns


def _once(decoded: "Images", places: NDArray[np.float64], normal: NDArray[np.float64]) -> tuple["Images", list[str]]:
    """Drop copies of an image, and return the distinct images with a warning about the copies.

    Args:
        decoded: the images in the order of their positions.
        places: their positions (n, 3) in millimetres.
        normal: the direction (3,) in which slices follow each other.

    Raises:
        ValueError: different images lie at one place.
    """
    distinct, at, copies, others = [decoded[0]], [places[0]], 0, 0
    for pair, place in zip(decoded[1:], places[1:], strict=True):
        if (place - at[-1]) @ normal >= _SAME:
            distinct.append(pair)
            at.append(place)
        elif np.linalg.norm(place - at[-1]) < _SAME and np.array_equal(pair[1], distinct[-1][1], equal_nan=True):
            copies += 1
        else:
            others += 1
    if others:
        lie = "1 image lies" if others == 1 else f"{others} images lie"
        raise ValueError(
            f"{lie} at the place of another (several echoes, times or b-values in one series?); give each by itself"
        )
    if not copies:
        return distinct, []
    return distinct, [f"{copies} of its {len(decoded)} files {'is a copy' if copies == 1 else 'are copies'} of others"]


def _step(first: "Dataset", steps: NDArray[np.float64]) -> tuple[float, list[str]]:
    """Return the distance between slices in millimetres, and warnings where it cannot be trusted."""
    values = (number(first, name) for name in ("SliceThickness", "SpacingBetweenSlices"))
    thickness = next((value for value in values if value is not None and value > 0), None)
    if not len(steps):
        unknown = ["does not say how thick its only slice is: no volume is given"]
        return (1.0, unknown) if thickness is None else (thickness, [])
    step = float(np.median(steps))
    if np.abs(steps - step).max() > _UNEVEN * step:
        spread = f"{steps.min():.2f} to {steps.max():.2f} mm"
        return step, [f"slices are not evenly spaced ({spread}): their places are averaged, no volume is given"]
    if step > (_MOST_STEP if thickness is None else _GAP * thickness):
        thick = "" if thickness is None else f" and {thickness:g} mm thick"
        return step, [f"slices are {step:g} mm apart{thick}; nobody sees what lies between: no volume is given"]
    return step, []


def _is_size(spacing: NDArray[np.float64]) -> bool:
    return len(spacing) == 2 and bool((spacing > 0).all())


def _tilt_doubts(places: NDArray[np.float64], normal: NDArray[np.float64], step: float) -> list[str]:
    way = places[-1] - places[0]
    drift = np.linalg.norm(way - (way @ normal) * normal)
    tilted = drift > _UNEVEN * step * max(1, len(places) - 1)
    return ["slices are tilted against their direction: no volume is given"] if tilted else []


def _turn_doubts(images: "Sequence[Dataset]") -> list[str]:
    directions = [numbers(image, "ImageOrientationPatient") for image in images]
    most = max(angle(directions[0], direction) if len(direction) == 6 else 0 for direction in directions)
    text = f"directions of its slices differ by {most:.2f} degrees; the first one's is taken"
    return [text] if most > _TURNED else []


def _without_places(decoded: "Images") -> Volume:
    """Stack images without positions by their numbers or, where these are missing or repeated, in the given order."""
    order = [number(image, "InstanceNumber") for image, _ in decoded]
    doubts = ["does not say where in space it lies: no millimetres are given"]
    if len(decoded) > 1:
        if None not in order and len(set(order)) == len(order):
            decoded = [image for _, image in sorted(zip(order, decoded, strict=True), key=lambda pair: pair[0] or 0)]
            doubts = ["its slices do not say where in space they lie: in the order of their numbers, no millimetres"]
        else:
            doubts = ["its slices do not say where in space they lie: in the order of their files, no millimetres"]
    images = [image for image, _ in decoded]
    values = dicom_pixels.stack(images, [pixels for _, pixels in decoded])
    doubts += dicom_pixels.doubts(images)
    # Rows run to the back and columns to the left, as in an axial slice on a screen.
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    return Volume(np.transpose(values, (1, 0, 2)), affine, doubts, even=False, measured=False)


def in_order(images: "Sequence[Dataset]") -> list[int]:
    """Return the numbers of a volume's images by their positions in space, one for each place, as in `read`."""
    along_rows, along_columns = _axes(images[0])
    along = np.array([numbers(image, "ImagePositionPatient") for image in images]) @ np.cross(along_rows, along_columns)
    chosen: list[int] = []
    for row in np.argsort(along, kind="stable").tolist():
        if not chosen or along[row] - along[chosen[-1]] >= _SAME:
            chosen.append(row)
    return chosen
