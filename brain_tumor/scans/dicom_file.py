"""Open a DICOM file even where its header is odd or incomplete, and keep no name, date or number of a patient."""

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

_MOST_INFLATED = 2**27  # bytes of a deflated or gzipped file, once unpacked
_DEFLATED = b"1.2.840.10008.1.2.1.99"
# Elements that are looked at first, where a damaged one can still be told from a fault of this program.
TAGS = [
    "SOPClassUID", "SeriesInstanceUID", "SOPInstanceUID", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "PhotometricInterpretation",
    "TransferSyntaxUID", "Modality", "ImageType", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "DimensionIndexSequence",
]  # fmt: skip


class _TooLargeError(ValueError):
    """A file that is too large once unpacked; its message is for users as it is."""


class ImagelessError(ValueError):
    """A valid DICOM file that holds no image."""


def read(path: Path, header_only: bool) -> "Dataset":
    """Read a DICOM file, and add the transfer syntax where the file lacks it.

    Args:
        path: the file, gzipped or not.
        header_only: leave the pixels out.

    Raises:
        ImagelessError: the file is valid, and its type has no image.
        ValueError: the file is damaged, too large once unpacked, or no DICOM file.
    """
    from pydicom import dcmread

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about values that break the standard, which are read anyway
            dataset = dcmread(_content(path), stop_before_pixels=header_only, force=True)
            for name in TAGS:
                dataset.get(name)  # pydicom parses a value at its first use, and a damaged one has to fail here
            _complete(dataset)
    except (_TooLargeError, MemoryError):
        raise
    except Exception as error:
        # A damaged header can raise anything. The error's text may quote the header, so only its type is shown.
        raise ValueError(f"not a readable DICOM file, or cut short ({type(error).__name__})") from error
    if "Rows" not in dataset or "Columns" not in dataset or not dataset.Rows or not dataset.Columns:
        raise _without_image(dataset)
    return dataset


def _content(path: Path) -> "Path | io.BytesIO":
    """Return what pydicom is to read: the file itself, or the unpacked content of a gzipped one."""
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
    """Refuse a deflated file that inflates to more than an image: pydicom would unpack it without a limit."""
    from pydicom.filereader import read_dataset, read_preamble

    if _DEFLATED not in file.read(4096):
        return
    file.seek(0)
    read_preamble(file, force=True)
    read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 2)
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), _MOST_INFLATED + 1)
    if len(inflated) > _MOST_INFLATED:
        raise _TooLargeError(f"it inflates to more than {_MOST_INFLATED:,} bytes")


def _complete(dataset: "Dataset") -> None:
    """Add the transfer syntax that pydicom has guessed, where a file lacks its first part: decoding needs it."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        meta = dataset.file_meta = FileMetaDataset()
    if not meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _without_image(dataset: "Dataset") -> ValueError:
    """Return the error for a file without an image; it names the file's type where that is known."""
    from pydicom.uid import UID

    uids = (dataset.get("SOPClassUID"), dataset.file_meta.get("MediaStorageSOPClassUID"))
    known = (UID(str(uid)) for uid in uids if uid)
    name = next((uid.name for uid in known if uid.name != uid), "")
    if not name:  # a private type, or none
        return ValueError("a DICOM file without an image, or no DICOM file")
    if "Image Storage" in name:
        return ValueError(f"a DICOM file without its image, or cut short ({name})")
    return ImagelessError(f"a DICOM file that holds no image ({name})")


def numbers(image: "Dataset", name: str) -> NDArray[np.float64]:
    """Return an element's numbers, float64 (n,); empty where it is missing or holds anything but finite numbers."""
    value = image.get(name)
    try:
        parsed = np.atleast_1d(np.array([float(item) for item in value] if _is_several(value) else float(value or "")))
    except (TypeError, ValueError):
        return np.empty(0)
    return parsed if np.isfinite(parsed).all() else np.empty(0)


def _is_several(value: object) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes)


def number(image: "Dataset", name: str) -> float | None:
    """Return an element's only number; None where it is missing, or holds several or no finite number."""
    values = numbers(image, name)
    return float(values[0]) if len(values) == 1 else None


def words(image: "Dataset", name: str) -> list[str]:
    """Return an element's words in capitals, such as those of ImageType; [] where it is missing."""
    value = image.get(name)
    if not value:
        return []
    items = value if _is_several(value) else [value]
    return [str(item).strip().upper() for item in items]
