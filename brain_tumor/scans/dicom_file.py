"""Open a DICOM file, whatever is odd or missing about it. No name, date or number of a patient is ever kept."""

import io
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.io import unpacked

if TYPE_CHECKING:
    from pydicom import Dataset

_MOST_INFLATED = 2**27  # of one file whose content is deflated or gzipped
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_TAGS = [
    "SOPClassUID", "SeriesInstanceUID", "SOPInstanceUID", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "PhotometricInterpretation",
    "TransferSyntaxUID", "Modality", "ImageType",
]  # fmt: skip


class _TooLargeError(ValueError):
    """Says itself what is wrong."""


class ImagelessError(ValueError):
    """A sound DICOM file that holds no image."""


def read(path: Path, header_only: bool) -> "Dataset":
    """Read a file, with a transfer syntax where it lacks one.

    Raises:
        ImagelessError: it is sound, and of a kind without an image.
        ValueError: it is damaged, too large once unpacked, or no DICOM file.
    """
    from pydicom import dcmread

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that break the standard, which are read all the same
            found = dcmread(_content(path), stop_before_pixels=header_only, force=True)
            for name in _TAGS:
                found.get(name)  # values are parsed when they are asked for
            _complete(found)
    except (_TooLargeError, MemoryError):
        raise
    except Exception as error:
        # Damaged headers end in whatever the parser happens to trip over; its own words may quote the header.
        raise ValueError(f"not a readable DICOM file, or cut short ({type(error).__name__})") from error
    if "Rows" not in found or "Columns" not in found or not found.Rows or not found.Columns:
        raise _without_image(found)
    return found


def _content(path: Path) -> "Path | io.BytesIO":
    """Return what pydicom reads: the file itself, or what a gzipped one holds."""
    if not unpacked.is_packed(path):
        with path.open("rb") as file:
            _refuse_bomb(file)
        return path
    with unpacked.opened(path) as inner:
        content = inner.read(_MOST_INFLATED + 1)
    if len(content) > _MOST_INFLATED:
        raise _TooLargeError(f"it unpacks to more than {_MOST_INFLATED:,} bytes")
    _refuse_bomb(io.BytesIO(content))
    return io.BytesIO(content)


def _refuse_bomb(file: Any) -> None:
    """Refuse a deflated file that inflates to more than an image: pydicom would unpack it whatever it takes."""
    from pydicom.filereader import read_dataset, read_preamble

    if _DEFLATED not in file.read(4096):
        return
    file.seek(0)
    read_preamble(file, force=True)
    read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 2)
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), _MOST_INFLATED + 1)
    if len(inflated) > _MOST_INFLATED:
        raise _TooLargeError(f"it inflates to more than {_MOST_INFLATED:,} bytes")


def _complete(found: "Dataset") -> None:
    """Name the transfer syntax of a file without its first part, as pydicom has guessed it; decoding asks for it."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    meta = getattr(found, "file_meta", None)
    if meta is None:
        meta = found.file_meta = FileMetaDataset()
    if not meta.get("TransferSyntaxUID"):
        implicit, little = found.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _without_image(found: "Dataset") -> ValueError:
    """Say what a file is that has no image."""
    from pydicom.uid import UID

    kinds = (found.get("SOPClassUID"), found.file_meta.get("MediaStorageSOPClassUID"))
    known = (UID(str(own)) for own in kinds if own)
    name = next((own.name for own in known if own.name != own), "")
    if not name:  # a private kind, or none
        return ValueError("a DICOM file without an image, or no DICOM file")
    if "Image Storage" in name:
        return ValueError(f"a DICOM file without its image, or cut short ({name})")
    return ImagelessError(f"a DICOM file that holds no image ({name})")


def numbers(image: "Dataset", name: str) -> NDArray[np.float64]:
    """Return a list of numbers, float64; empty where the image has none or nonsense."""
    value = image.get(name)
    try:
        found = np.atleast_1d(np.array([float(own) for own in value] if _is_several(value) else float(value or "")))
    except (TypeError, ValueError):
        return np.empty(0)
    return found if np.isfinite(found).all() else np.empty(0)


def _is_several(value: object) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes)


def number(image: "Dataset", name: str) -> float | None:
    """Return one number; None where the image has none, several, or nonsense."""
    found = numbers(image, name)
    return float(found[0]) if len(found) == 1 else None


def words(image: "Dataset", name: str) -> list[str]:
    """Return the words of an element in capitals, such as those of ImageType."""
    value = image.get(name)
    if not value:
        return []
    several = value if _is_several(value) else [value]
    return [str(own).strip().upper() for own in several]
