"""Read series of DICOM images, with pydicom. No name, date or number of a patient is ever kept."""

import hashlib
import warnings
import zlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.volumes import MOST_VOXELS, Volume

if TYPE_CHECKING:
    from pydicom import Dataset

_UNEVEN = 0.02  # largest share of the spacing by which slices may be off their place
_MOST_BYTES = 2**31  # of a series' files
_MOST_INFLATED = 2**27  # of one file whose content is deflated
_DEFLATED = b"1.2.840.10008.1.2.1.99"


class _TooLargeError(ValueError):
    """Says itself what is wrong."""


_TAGS = [
    "SeriesInstanceUID", "SOPInstanceUID", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "InstanceNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "PhotometricInterpretation", "TransferSyntaxUID",
]  # fmt: skip


def group(paths: Sequence[Path]) -> tuple[dict[str, list[Path]], dict[Path, str]]:
    """Sort files into series of one size and orientation.

    Returns:
        Files by name, a hash of their series; and the reasons of those that cannot be read.
    """
    series: defaultdict[tuple[Any, ...], list[Path]] = defaultdict(list)
    failed: dict[Path, str] = {}
    for path in paths:
        try:
            header = _read(path, header_only=True)
            direction = tuple(np.round(_numbers(header, "ImageOrientationPatient"), 3).tolist())
            identity = str(header.get("SeriesInstanceUID") or header.get("SOPInstanceUID") or path.name)
            # Without a place in space, every image is by itself.
            alone = "" if _placed(header) else str(path.absolute())
            series[identity, int(header.Rows), int(header.Columns), direction, alone].append(path)
        except (ValueError, TypeError) as error:
            failed[path] = str(error)
    named = {f"dicom-{hashlib.sha256(repr(key).encode()).hexdigest()[:12]}": own for key, own in series.items()}
    return named, failed


def read(paths: Sequence[Path]) -> Volume | NDArray[np.uint8]:
    """Read a series of images with places in space as a volume, or a single one without as a picture (H, W, 3).

    Raises:
        ValueError: an image is damaged or of a kind that is not read, or several lie at one place.
    """
    size = sum(path.stat().st_size for path in paths)
    if size > _MOST_BYTES:
        raise ValueError(f"has {size:,} bytes, more than {_MOST_BYTES:,}")
    images = [_read(path, header_only=False) for path in paths]
    for image, path in zip(images, paths, strict=True):
        if str(image.get("NumberOfFrames") or 1) != "1":
            raise ValueError(f"{path.name}: several frames in one file (enhanced multi-frame DICOM), which is not read")
    first = images[0]
    if float(first.Rows) * float(first.Columns) * len(images) > MOST_VOXELS:
        raise ValueError(f"has {first.Columns} x {first.Rows} x {len(images)} voxels, more than {MOST_VOXELS:,}")
    if int(first.get("SamplesPerPixel") or 1) == 3:
        if len(images) > 1:
            raise ValueError("a series of colour images is no volume of intensities")
        return _colour(first)
    if not _placed(first):
        return _grey(_values(first), [first])
    return _stack(images)


def _stack(images: "list[Dataset]") -> Volume:
    along_rows, along_columns = np.split(_numbers(images[0], "ImageOrientationPatient"), 2)
    normal = np.cross(along_rows, along_columns)
    places = np.array([_numbers(image, "ImagePositionPatient") for image in images])
    order = np.argsort(places @ normal, kind="stable")
    images, places = [images[place] for place in order], places[order]
    steps = np.diff(places @ normal)
    if len(steps) and steps.min() < 1e-3:
        raise ValueError(
            f"{int((steps < 1e-3).sum())} images lie at the place of another (several echoes, times or b-values in "
            "one series?); give each by itself"
        )
    spacing = _numbers(images[0], "PixelSpacing")
    step = float(np.median(steps)) if len(steps) else float(images[0].get("SliceThickness") or 1)
    doubts = []
    if len(steps) and np.abs(steps - step).max() > _UNEVEN * step:
        doubts.append(f"slices are not evenly spaced ({steps.min():.2f} to {steps.max():.2f} mm)")
    drift = places[-1] - places[0] - ((places[-1] - places[0]) @ normal) * normal
    if np.linalg.norm(drift) > _UNEVEN * step * max(1, len(steps)):
        doubts.append("slices are tilted against their direction")
    values = np.stack([_values(image) for image in images], -1)  # (rows, columns, slices)
    if images[0].get("PhotometricInterpretation") == "MONOCHROME1":
        values = values.max() - values + values.min()
    affine = np.eye(4)
    # Columns change along a row. DICOM's x and y run to the left and back, the affine's to the right and front.
    affine[:3, 0], affine[:3, 1] = along_rows * spacing[1], along_columns * spacing[0]
    affine[:3, 2] = (places[-1] - places[0]) / len(steps) if len(steps) else normal * step
    affine[:3, 3] = places[0]
    affine[:2] *= -1
    return Volume(np.transpose(values, (1, 0, 2)), affine, doubts, even=not doubts)


def _read(path: Path, header_only: bool) -> "Dataset":
    from pydicom import dcmread

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that break the standard, which are read all the same
            _refuse_bomb(path)
            found = dcmread(path, stop_before_pixels=header_only, force=True)
            for name in _TAGS:
                found.get(name)  # values are parsed when they are asked for
    except _TooLargeError:
        raise
    except Exception as error:
        # Damaged headers end in whatever the parser happens to trip over; its own words may quote the header.
        raise ValueError(f"not a readable DICOM file, or cut short ({type(error).__name__})") from error
    if "Rows" not in found or "Columns" not in found or not found.Rows or not found.Columns:
        raise ValueError("a DICOM file without an image, or no DICOM file")
    return found


def _refuse_bomb(path: Path) -> None:
    """Refuse a deflated file that inflates to more than an image: pydicom would unpack it whatever it takes."""
    from pydicom.filereader import read_dataset, read_preamble

    with path.open("rb") as file:
        if _DEFLATED not in file.read(4096):
            return
        file.seek(0)
        read_preamble(file, force=True)
        read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 2)
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), _MOST_INFLATED + 1)
    if len(inflated) > _MOST_INFLATED:
        raise _TooLargeError(f"it inflates to more than {_MOST_INFLATED:,} bytes")


def _values(image: "Dataset") -> NDArray[np.float32]:
    """Decode an image's intensities, rescaled by its own slope: float32 (rows, columns)."""
    from pydicom.pixels.processing import apply_rescale

    values = np.asarray(apply_rescale(_decode(image), image), dtype=np.float32)
    if values.shape != (image.Rows, image.Columns):
        raise ValueError(f"an image of {values.shape}, where {image.Rows} x {image.Columns} were announced")
    if not np.isfinite(values).all():
        raise ValueError("has pixels that are no numbers (NaN or infinite)")
    return values


def _colour(image: "Dataset") -> NDArray[np.uint8]:
    found = _decode(image)
    if found.dtype != np.uint8 or found.shape != (image.Rows, image.Columns, 3):
        raise ValueError(f"a colour image of {found.dtype} {found.shape}, which is not read")
    return found


def _grey(values: NDArray[np.float32], images: "list[Dataset]") -> NDArray[np.uint8]:
    if images[0].get("PhotometricInterpretation") == "MONOCHROME1":
        values = values.max() - values + values.min()
    scaled = (values.clip(min=0) * (255.0 / max(float(values.max()), 1e-12))).round().astype(np.uint8)
    return np.repeat(scaled[..., None], 3, -1)


def _decode(image: "Dataset") -> NDArray[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: NDArray[Any] = image.pixel_array
            return found
    except Exception as error:
        # Every decoder raises what it likes, libjpeg's and OpenJPEG's included.
        syntax = getattr(getattr(image, "file_meta", None), "TransferSyntaxUID", None)
        kind = f", {syntax.name}" if syntax is not None else ""
        raise ValueError(f"its pixels cannot be decoded ({_short(error)}{kind})") from error


def _placed(image: "Dataset") -> bool:
    return (
        len(_numbers(image, "ImagePositionPatient")) == 3
        and len(_numbers(image, "ImageOrientationPatient")) == 6
        and len(_numbers(image, "PixelSpacing")) == 2
        and bool(np.linalg.norm(_numbers(image, "ImageOrientationPatient")) > 1)
    )


def _numbers(image: "Dataset", name: str) -> NDArray[np.float64]:
    """Return a list of numbers; empty where the image has none or nonsense."""
    try:
        found = np.array([float(value) for value in image.get(name) or ()])
    except (TypeError, ValueError):
        return np.empty(0)
    return found if np.isfinite(found).all() else np.empty(0)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
