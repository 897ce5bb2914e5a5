"""A head in DICOM series, odd in their order, grouping, geometry, headers, pixels and encodings."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.fileset import FileSet
from pydicom.tag import Tag

from tests.odd import HEAD, Array, Given, Head, Write

_LPS = np.diag([-1, -1, 1])  # DICOM's x and y run to the left and back
_COSINE, _SINE = 0.9995, (1 - 0.9995**2) ** 0.5  # where rounding to three decimals decides


def _write(
    folder: Path,
    head: Head,
    *,
    axes: str = "LPS",
    syntax: Any = uid.ExplicitVRLittleEndian,
    stored: Callable[[Array, int], Array] = lambda pixels, _: pixels.astype("<u2"),
    name: str | Callable[[int], str] = "{:03d}.dcm",
    places: Sequence[int] | None = None,
    content: Callable[[bytes], bytes] = lambda content: content,
    change: Callable[[Dataset, int], Any] = lambda image, _: image,
    given: str = ".",
    **tags: Any,
) -> Given:
    """Write a head as a series of 16-bit images.

    Args:
        folder: for the files.
        head: to write.
        axes: to which sides columns, rows and slices run.
        syntax: of the transfer.
        stored: makes the stored pixels of a slice's, with its place.
        name: of the files, by a slice's place.
        places: the slices that are written; None for all.
        content: changes the bytes of every file.
        change: changes an image with its place before it is saved.
        given: how the series is given to `predict`.
        **tags: other values of an image; None for none, and functions of a slice's place.
    """
    turned, series = head.turned(axes), uid.generate_uid()
    steps = _LPS @ turned.space[:3, :3]
    lengths = np.linalg.norm(steps, axis=0)
    for place in places or range(turned.values.shape[2]):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.SOPClassUID, image.SOPInstanceUID = uid.MRImageStorage, uid.generate_uid()
        image.SeriesInstanceUID, image.SeriesNumber, image.InstanceNumber = series, 1, place + 1
        image.Modality = "MR"
        image.ImageOrientationPatient = (steps[:, :2] / lengths[:2]).T.ravel().round(8).tolist()
        image.ImagePositionPatient = corner(turned, place)
        image.PixelSpacing, image.SliceThickness = [lengths[1], lengths[0]], lengths[2]
        _put(image, stored(turned.values[..., place].T, place), syntax)
        for tag, value in tags.items():
            value = value(place) if callable(value) else value
            if value is None:
                delattr(image, tag)
            else:
                setattr(image, tag, value)
        change(image, place)
        _save(image, folder / (name(place) if callable(name) else name.format(place)), syntax, content)
    return Given(given, head=head)


def corner(head: Head, place: int) -> list[float]:
    """Return where the first pixel of a slice is, as DICOM has it."""
    found: list[float] = (_LPS @ (head.space @ [0, 0, place, 1])[:3]).round(6).tolist()
    return found


def _put(image: Dataset, pixels: Array, syntax: Any) -> None:
    """Put pixels into an image."""
    bits = pixels.dtype.itemsize * 8
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = bits, bits, bits - 1
    image.PixelRepresentation = int(pixels.dtype.kind == "i")
    big = syntax is uid.ExplicitVRBigEndian
    image.PixelData = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
    if syntax is uid.JPEG2000Lossless:
        packed = io.BytesIO()
        Image.fromarray(pixels).save(packed, "JPEG2000", no_jp2=True)
        image.PixelData = encapsulate([packed.getvalue()])


def _save(image: Dataset, path: Path, syntax: Any, content: Callable[[bytes], bytes]) -> None:
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.get("SOPInstanceUID", "1.2.3")
    image.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian if syntax is uid.RLELossless else syntax
    if syntax is uid.RLELossless:
        image.compress(syntax)
    whole = io.BytesIO()
    image.save_as(whole, enforce_file_format=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(whole.getvalue()))


def dicom(**options: Any) -> Write:
    """Return a function that writes a head so (see `_write`)."""
    return partial(_write, **options)


def nodding(angle: float, **options: Any) -> Write:
    """Return a function that writes a head whose grid is turned."""
    return lambda folder, head: _write(folder, head.nodding(angle), **options)


def together(*writers: Write) -> Write:
    """Return a function that writes what several write, into one folder; the first says what is given."""

    def write(folder: Path, head: Head) -> Given | None:
        given = [writer(folder, head) for writer in writers]
        return given[0]

    return write


def document(storage: str, modality: str, name: str) -> Write:
    """Return a function that writes a DICOM file without an image."""

    def write(folder: Path, _: Head) -> None:
        file = Dataset()
        file.file_meta = FileMetaDataset()
        file.SOPClassUID, file.SOPInstanceUID, file.Modality = storage, uid.generate_uid(), modality
        file.SeriesInstanceUID = uid.generate_uid()
        _save(file, folder / name, uid.ExplicitVRLittleEndian, lambda content: content)

    return write


def off(direction: Sequence[float], size: Callable[[int], float]) -> Callable[[int], list[float]]:
    """Return positions of axial slices that are off in a direction, by so much a slice."""
    turned = HEAD.turned("LPS")
    return lambda place: (corner(turned, place) + np.array(direction) * size(place)).tolist()


def without(place: int, value: Callable[[int], Any]) -> Callable[[int], Any]:
    """Return values of which one slice has none."""
    return lambda own: None if own == place else value(own)


def jittering(size: float) -> Write:
    """Return a function that writes a leaning head, whose slices' orientations are off by so much to either side."""

    def orientation(place: int) -> list[float]:
        return [_COSINE + (size if place % 2 else -size), 0, _SINE, 0, 1, 0]

    def write(folder: Path, head: Head) -> Given:
        turn = np.eye(4)
        turn[[0, 0, 2, 2], [0, 2, 0, 2]] = _COSINE, _SINE, -_SINE, _COSINE
        return _write(folder, Head(head.values, turn @ head.space), ImageOrientationPatient=orientation)

    return write


def on_a_disc(folder: Path, head: Head) -> None:
    """Write a disc: a DICOMDIR beside the images that it names."""
    images, disc = folder.parent / "images", FileSet()
    patient: dict[str, Any] = {"PatientID": "1", "PatientName": "1", "StudyInstanceUID": "1.2.3", "StudyID": "1"}
    _write(images, head, **patient, StudyDate="20200101", StudyTime="120000")
    for path in sorted(images.iterdir()):
        disc.add(path)
    disc.write(folder / "disc")
    # pydicom leaves this folder to the garbage collector, whose warning would fail whatever test runs then.
    disc._stage["t"].cleanup()


def copied(*places: int) -> Write:
    """Return a function that writes a head, and copies of some of its images under other names."""

    def write(folder: Path, head: Head) -> None:
        _write(folder, head)
        for place in places:
            (folder / f"{place:03d} (1).dcm").write_bytes((folder / f"{place:03d}.dcm").read_bytes())

    return write


def mosaic(*types: str) -> Write:
    """Return a function that writes all slices as tiles of one image of these types."""

    def write(folder: Path, head: Head) -> Given:
        turned = head.turned("LPS")
        tiles = turned.values.transpose(2, 1, 0).reshape(4, 5, *turned.values.shape[1::-1])
        sheet = tiles.transpose(0, 2, 1, 3).reshape(4 * tiles.shape[2], -1)
        return _write(folder, Head(sheet.T[..., None], turned.space), ImageType=list(types))

    return write


def frames(folder: Path, head: Head) -> None:
    """Write all slices as frames of one image."""
    values = head.turned("LPS").values.transpose(2, 1, 0).astype("<u2")

    def stack(image: Dataset, _: int) -> None:
        image.SOPClassUID, image.NumberOfFrames = uid.EnhancedMRImageStorage, len(values)
        image.PixelData = values.tobytes()

    _write(folder, head, change=stack, places=[0])


def another_size(folder: Path, head: Head) -> None:
    """Write a series of which one slice has fewer pixels."""
    coarse = Head(head.values[::2, ::2], head.space * [2, 2, 1, 1])
    _write(folder, head, places=[place for place in range(20) if place != 3], SeriesInstanceUID="1.2.3")
    _write(folder, coarse, places=[3], SeriesInstanceUID="1.2.3")


def floats(image: Dataset, _: int) -> None:
    """Store an image's pixels as floating-point numbers."""
    values = np.frombuffer(image.PixelData, "<u2").astype("<f4")
    for name in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(image, name)
    image.BitsAllocated, image.FloatPixelData = 32, values.tobytes()


def doubling(image: Dataset, _: int) -> None:
    """Rescale an image by a table of stored values, which doubles them."""
    item = Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [241, 0, 16], "US"
    item.LUTData = (np.arange(241) * 2).astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    image.ModalityLUTSequence = [item]


def in_colours(folder: Path, head: Head) -> Given:
    """Write images in colours, which are pictures and no volume."""

    def change(image: Dataset, _: int) -> None:
        pixels = np.frombuffer(image.PixelData, "<u2").astype(np.uint8)
        image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
        image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
        image.PixelData = np.repeat(pixels, 3).tobytes()

    _write(folder, head, change=change)
    return Given(head=replace(head, affine=None))


def cut(image: Dataset, place: int) -> None:
    """Leave out the end of one image's pixels."""
    if place == 3:
        image.PixelData = image.PixelData[:-100]


def commas(image: Dataset, _: int) -> None:
    """Write an image's spacing as some languages do."""
    image.PixelSpacing = None
    image["PixelSpacing"] = RawDataElement(Tag("PixelSpacing"), "DS", 8, b"2,5\\2,5 ", 0, False, True)


def long_numbers(image: Dataset, _: int) -> None:
    """Write an image's position with more digits than are allowed."""
    whole = b"\\".join(b"%.20f" % number for number in image.ImagePositionPatient)
    image["ImagePositionPatient"] = RawDataElement(
        Tag("ImagePositionPatient"), "DS", len(whole), whole + b" " * (len(whole) % 2), 0, False, True
    )


def ringed(value: int, dtype: str) -> Callable[[Array, int], Array]:
    """Fill what lies outside of the scanner's circle."""

    def stored(pixels: Array, _: int) -> Array:
        y, x = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
        outside = (y - (pixels.shape[0] - 1) / 2) ** 2 + (x - (pixels.shape[1] - 1) / 2) ** 2 > 31**2
        return np.where(outside, value, pixels).astype(dtype)

    return stored


def headless(content: bytes) -> bytes:
    """Take away the preamble and what follows it about the file."""
    return content[144 + int.from_bytes(content[140:144], "little") :]
