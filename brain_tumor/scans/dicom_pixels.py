"""Decode the intensities of DICOM images: rescaled, padding marked, and background dark."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.scans.dicom_file import number, words

if TYPE_CHECKING:
    from pydicom import Dataset


def read(image: "Dataset") -> NDArray[np.float32]:
    """Decode an image's intensities and rescale them: float32 (rows, columns), NaN where the image is padded.

    Raises:
        ValueError: the image cannot be decoded, or has pixels that are not finite.
    """
    return _intensities(_decode(image, [0])[0], image)


def read_frames(whole: "Dataset", frames: "Sequence[Dataset]", numbers: Sequence[int]) -> list[NDArray[np.float32]]:
    """Decode some frames of an enhanced file, each as `read` does an image.

    Args:
        whole: the file.
        frames: headers of these frames.
        numbers: theirs in the file.

    Raises:
        ValueError: the file cannot be decoded, or a frame has pixels that are not finite.
    """
    return [_intensities(stored, frame) for stored, frame in zip(_decode(whole, numbers), frames, strict=True)]


def _intensities(stored: NDArray[Any], image: "Dataset") -> NDArray[np.float32]:
    values = np.array(_rescaled(stored, image), dtype=np.float32)
    if values.shape != (image.Rows, image.Columns):
        raise ValueError(f"its image has the shape {values.shape}, but its header says {image.Rows} x {image.Columns}")
    padded = _padded(stored, image)
    if not np.isfinite(values if padded is None else values[~padded]).all():
        raise ValueError("has pixels that are no numbers (NaN or infinite)")
    if padded is not None:
        values[padded] = np.nan
    return values


def _rescaled(stored: NDArray[Any], image: "Dataset") -> NDArray[Any]:
    """Rescale by the image's table, or by its slope and intercept; a missing or empty one counts as 1 or 0."""
    from pydicom.pixels.processing import apply_rescale

    slope, intercept = image.get("RescaleSlope"), image.get("RescaleIntercept")
    empty = {None, ""}
    if "ModalityLUTSequence" in image or (slope not in empty and intercept not in empty):
        return apply_rescale(stored, image)
    if slope in empty and intercept in empty:
        return stored
    return stored * float(1 if slope in empty else slope) + float(0 if intercept in empty else intercept)


def _refuse_other_bits(image: "Dataset") -> None:
    """Refuse pixels in the upper bits, as an older standard allowed: decoders read the lower bits."""
    stored, allocated = number(image, "BitsStored"), number(image, "BitsAllocated")
    if stored is None or allocated != 16 or number(image, "HighBit") in {None, stored - 1}:
        return
    content = image.get("PixelData")
    if image.file_meta.TransferSyntaxUID.is_encapsulated or not isinstance(content, bytes):
        return
    little = image.file_meta.TransferSyntaxUID.is_little_endian
    if (np.frombuffer(content[: len(content) // 2 * 2], "<u2" if little else ">u2") >> int(stored)).any():
        raise ValueError(f"its pixels stand in the upper {stored:g} of 16 bits, which is not read")


def stack(images: Sequence["Dataset"], slices: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Stack slices to float32 (rows, columns, slices), with high values bright and padding as background.

    Args:
        images: the images' headers.
        slices: their intensities, float32 (rows, columns), NaN where an image is padded.

    Raises:
        ValueError: high values are bright in some images and dark in others.
    """
    values = np.stack(slices, -1)
    turned = {_is_turned(image) for image in images}
    if len(turned) > 1:
        raise ValueError("some of its images are MONOCHROME1 and some are not, so that bright and dark are not known")
    padded = np.isnan(values)
    holes = bool(padded.any())
    known = values[~padded] if holes else values
    if not known.size:
        return np.zeros_like(values)
    if turned == {True}:
        values = known.max() - values + known.min()
    if holes:
        values[padded] = min(0.0, float(known.min()))
    return values


def _is_turned(image: "Dataset") -> bool:
    shape = words(image, "PresentationLUTShape") == ["INVERSE"]
    return shape or words(image, "PhotometricInterpretation") == ["MONOCHROME1"]


def doubts(images: Sequence["Dataset"]) -> list[str]:
    """Return warnings where the images of a series were acquired differently: their intensities do not compare."""
    notes = []
    for name, text in (
        ("EchoTime", "echo times"), ("InversionTime", "inversion times"), ("FlipAngle", "flip angles"),
        ("SequenceName", "sequences"), ("ContrastBolusAgent", "contrast agents"),
        ("FrameOfReferenceUID", "frames of reference, between which a head may have moved"),
    ):  # fmt: skip
        if len({str(image.get(name) or "") for image in images}) > 1:
            notes.append(f"its images have several {text}")
    without = sum(number(image, "RescaleSlope") is None for image in images)
    if 0 < without < len(images):
        notes.append(f"{without} of its {len(images)} images have no RescaleSlope; 1 is taken")
    return notes


def _padded(stored: NDArray[Any], image: "Dataset") -> NDArray[np.bool_] | None:
    """Return which stored pixels are padding; None where none is."""
    for name in ("FloatPixelPaddingValue", "DoubleFloatPixelPaddingValue", "PixelPaddingValue"):
        value, limit = image.get(name), image.get(name.replace("Value", "RangeLimit"))
        if value is None or stored.dtype.kind != ("f" if "Float" in name else stored.dtype.kind):
            continue
        first = _bounds(value, image, stored)
        last = first if limit is None else _bounds(limit, image, stored)
        padding: NDArray[np.bool_] = (stored >= min(first, last)) & (stored <= max(first, last))
        return padding if padding.any() else None
    return None


def _bounds(value: Any, image: "Dataset", stored: NDArray[Any]) -> float:
    """Return a padding value as pixels are stored: headers may write it signed for unsigned pixels, or vice versa."""
    if stored.dtype.kind == "f":
        return float(np.array(value, dtype=stored.dtype)) if isinstance(value, int | float) else float("nan")
    size: int = 2 ** int(number(image, "BitsAllocated") or 16)
    if isinstance(value, bytes):
        value = int.from_bytes(value[:2], "little")
    whole: int = int(value) % size
    return whole - size if number(image, "PixelRepresentation") == 1 and whole >= size // 2 else whole


def _decode(image: "Dataset", frames: Sequence[int]) -> list[NDArray[Any]]:
    """Return the stored pixels of some frames, numbered from 0."""
    from pydicom.pixels.utils import iter_pixels

    _refuse_other_bits(image)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if (number(image, "NumberOfFrames") or 1) == 1:
                return [image.pixel_array]
            return list(iter_pixels(image, indices=frames))
    except MemoryError:
        raise
    except Exception as error:
        # Each decoder raises errors of its own, libjpeg's and OpenJPEG's included.
        syntax = getattr(getattr(image, "file_meta", None), "TransferSyntaxUID", None)
        kind = f", {syntax.name}" if syntax is not None else ""
        raise ValueError(f"its pixels cannot be decoded ({_short(error)}{kind})") from error


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
