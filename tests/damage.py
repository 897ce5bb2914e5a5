"""Damaged and odd scans, from a seed: valid files of each format, changed a little, and what is odd by design."""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    RLELossless,
    generate_uid,
)

Rng = np.random.Generator
SUFFIXES = {"png": ".png", "tiff": ".tif", "nifti": ".nii", "gzip": ".nii.gz", "dicom": ".dcm"}
MEGABYTE = 2**20


def write(folder: Path, count: int, seed: int) -> None:
    """Write so many files; of each kind some are changed at random, some odd by design, in turn."""
    rng = np.random.default_rng(seed)
    odd = _odd(rng)
    for number in range(count):
        own = next(odd, None) if number % 4 == 3 else None
        if own:
            name, content = own
        else:
            kind = list(SUFFIXES)[number % len(SUFFIXES)]
            change = _CHANGES[int(rng.integers(len(_CHANGES)))]
            name, content = f"{change.__name__.strip('_')}{SUFFIXES[kind]}", change(_valid(kind, rng), rng)
        (folder / f"{number:04d}_{name}").write_bytes(content)


def _valid(kind: str, rng: Rng) -> bytes:
    if kind in {"png", "tiff"}:
        return _picture(kind, rng)
    return dicom(rng) if kind == "dicom" else _volume(kind, rng)


def _picture(kind: str, rng: Rng) -> bytes:
    mode = ["RGB", "L", "I;16", "P", "RGBA", "F"][int(rng.integers(6 if kind == "tiff" else 5))]
    pixels = rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 200)
    elif mode == "F":
        image = Image.fromarray(pixels[..., 0].astype(np.float32))
    else:
        image = image.convert(mode)
    return _saved(image, kind.upper(), **({"compression": "tiff_lzw"} if kind == "tiff" and rng.integers(2) else {}))


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _volume(kind: str, rng: Rng) -> bytes:
    dtype = [np.int16, np.uint8, np.float32, np.float64][int(rng.integers(4))]
    content = nifti(rng.integers(0, 200, (12, 10, 5)).astype(dtype))
    return gzip.compress(content) if kind == "gzip" else content


def nifti(values: np.ndarray[Any, Any], spacing: tuple[float, float, float] = (1, 1, 4)) -> bytes:
    image: Any = nibabel.Nifti1Image(values, np.eye(4))  # type: ignore[no-untyped-call]
    content = bytearray(image.to_bytes())
    content[280:328] = np.diag([*spacing, 1]).astype("<f4")[:3].tobytes()
    return bytes(content)


def dicom(rng: Rng, syntax: Any = None, **changes: Any) -> bytes:
    choices = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless]
    syntax = syntax or [*choices, JPEG2000Lossless][int(rng.integers(5))]
    packed = syntax in {RLELossless, JPEG2000Lossless}
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if packed else syntax
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = MRImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = generate_uid()
    image.SeriesInstanceUID, image.PatientName = generate_uid(), "Doe^Jane"
    image.Rows, image.Columns, image.SamplesPerPixel = 24, 20, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.ImageOrientationPatient, image.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 0]
    image.PixelSpacing = [1, 1]
    pixels = rng.integers(0, 4000, (24, 20), dtype=np.uint16)
    image.PixelData = pixels.tobytes()
    if syntax is RLELossless:
        image.compress(syntax)
    elif syntax is JPEG2000Lossless:
        image.PixelData = encapsulate([_saved(Image.fromarray(pixels), "JPEG2000", no_jp2=True)])
        image.file_meta.TransferSyntaxUID = syntax
    for name, value in changes.items():
        setattr(image, name, value)
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _cut(content: bytes, rng: Rng) -> bytes:
    return content[: int(rng.integers(len(content)))]


def _cut_little(content: bytes, rng: Rng) -> bytes:
    return content[: -int(rng.integers(1, 30))]


def _scattered(content: bytes, rng: Rng) -> bytes:
    own = bytearray(content)
    for place in rng.integers(0, len(own), int(rng.integers(1, 20))):
        own[place] = int(rng.integers(256))
    return bytes(own)


def _head(content: bytes, rng: Rng) -> bytes:
    """Change what lies in the first 400 bytes, where formats say sizes and types, to extreme values."""
    own = bytearray(content)
    for place in rng.integers(0, min(400, len(own)), int(rng.integers(1, 6))):
        own[place] = int(rng.choice([0, 1, 127, 128, 255]))
    return bytes(own)


def _zeros(content: bytes, rng: Rng) -> bytes:
    start = int(rng.integers(len(content)))
    length = min(int(rng.integers(1, 400)), len(content) - start)
    return content[:start] + b"\0" * length + content[start + length :]


def _doubled(content: bytes, rng: Rng) -> bytes:
    start = int(rng.integers(len(content)))
    return content[:start] + content[start : start + 200] * 2 + content[start + 200 :]


def _longer(content: bytes, rng: Rng) -> bytes:
    return content + rng.bytes(200)


def _noise(content: bytes, rng: Rng) -> bytes:
    return content[:8] + rng.bytes(len(content))


_CHANGES: list[Callable[[bytes, Rng], bytes]] = [
    _cut, _cut_little, _scattered, _head, _head, _zeros, _doubled, _longer, _noise
]  # fmt: skip


def _odd(rng: Rng) -> Iterator[tuple[str, bytes]]:
    """Take of each kind in turn."""
    for row in zip_longest(_odd_volumes(rng), _odd_series(rng), _bombs(rng), _odd_names(rng)):
        yield from filter(None, row)


def _odd_names(rng: Rng) -> Iterator[tuple[str, bytes]]:
    for name in ("empty.png", "empty.tif", "empty.nii", "empty.nii.gz", "empty.dcm"):
        yield name, b""
    for name in ("paper.dcm", "paper.png", "paper.nii.gz"):
        yield name, b"%PDF-1.7 " + rng.bytes(1000)
    for kind, suffix in SUFFIXES.items():
        for other in SUFFIXES.values():
            if other != suffix:
                yield f"{kind}_called{other}", _valid(kind, rng)
    pages = [Image.fromarray(rng.integers(0, 256, (20, 20), dtype=np.uint8)) for _ in range(3)]
    yield "pages.tif", _saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    yield "nan.tif", _saved(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF")
    yield "one_pixel.png", _saved(Image.new("L", (1, 1)), "PNG")
    yield "line.png", _saved(Image.new("RGB", (3000, 1)), "PNG")


def _odd_volumes(rng: Rng) -> Iterator[tuple[str, bytes]]:
    whole = rng.integers(0, 200, (8, 8, 4)).astype(np.float32)
    for value in (np.nan, np.inf, -np.inf):
        spoiled = whole.copy()
        spoiled[3, 3, 2] = value
        yield f"{value}.nii", nifti(spoiled)
    yield "huge_values.nii", nifti(whole * np.float32(1e36))
    yield "negative.nii", nifti(-whole)
    yield "constant.nii", nifti(np.ones_like(whole))
    for shape in (
        (2, 2, 30000),
        (8, 8, 4, 3),
        (8, 8, 1, 1, 3),
        (8, 8),
        (8, 8, 1),
        (1, 1, 1),
        (1, 8, 8),
        (300, 1, 1),
        (8,),
    ):
        yield f"{len(shape)}d.nii", nifti(np.ones(shape, np.float32))
    yield "complex.nii", nifti(whole.astype(np.complex64))
    yield "colours.nii", nifti(np.zeros((8, 8, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")]))
    yield "flat_affine.nii", nifti(whole, (1, 1, 0))
    yield "far.nii", nifti(whole, (1e30, 1e30, 1e30))
    yield "thin.nii", nifti(whole, (1e-9, 1, 1))
    for place, value in ((108, 1e30), (108, 0), (108, -5), (112, np.nan), (112, np.inf), (116, np.nan), (280, np.nan)):
        own = bytearray(nifti(whole))
        own[place : place + 4] = struct.pack("<f", value)
        yield f"at{place}_{value}.nii", bytes(own)


def _odd_series(rng: Rng) -> Iterator[tuple[str, bytes]]:
    for changes in (
        {"Rows": 65535, "Columns": 65535},
        {"Rows": 0},
        {"NumberOfFrames": 2},
        {"NumberOfFrames": 999_999_999},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL"},
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
        {"BitsAllocated": 64},
        {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0},
        {"PixelSpacing": [0, 0]},
        {"PixelSpacing": [-1, 1]},
        {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
        {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
        {"ImagePositionPatient": [1e300, 0, 0]},
        {"RescaleSlope": "1e38", "RescaleIntercept": "1e38"},
        {"RescaleSlope": "0", "RescaleIntercept": "0"},
        {"SliceThickness": "0"},
        {"SliceThickness": None},
        {"PixelData": b""},
        {"PixelData": b"\0" * 7},
    ):
        yield f"{'_'.join(changes)}.dcm", dicom(rng, ExplicitVRLittleEndian, **changes)
    series = generate_uid()
    for place in range(4):  # at one place, and of two sizes
        yield "echo.dcm", dicom(rng, ExplicitVRLittleEndian, SeriesInstanceUID=series, InstanceNumber=place)
    for place in range(2):
        pixels = np.zeros((10, 10), np.uint16).tobytes()
        changes = {"SeriesInstanceUID": series, "Rows": 10, "Columns": 10, "PixelData": pixels}
        yield "mixed.dcm", dicom(rng, ExplicitVRLittleEndian, **changes, ImagePositionPatient=[0, 0, 5 * place])


def _bombs(rng: Rng) -> Iterator[tuple[str, bytes]]:
    zeros = b"\0" * (200 * MEGABYTE)
    small = nifti(np.ones((4, 4, 4), np.uint8))
    yield "more_than_announced.nii.gz", gzip.compress(small + zeros, 1)
    for side, code in ((600, 16), (420, 64), (30000, 2), (420, 1792)):
        header = bytearray(small[:352])
        header[40:56] = struct.pack("<8h", 3, side, side, side, 1, 1, 1, 1)
        header[70:74] = struct.pack("<2h", code, {2: 8, 16: 32, 64: 64, 1792: 128}[code])
        yield f"{side}_{code}.nii.gz", gzip.compress(bytes(header) + zeros, 1)
        yield f"{side}_{code}_short.nii.gz", gzip.compress(bytes(header), 1)
        yield f"{side}_{code}.nii", bytes(header)
    header = bytearray(small[:352])
    header[348:352] = b"\1\0\0\0"  # an extension of all that follows
    for offset in (0, 100_000_000):
        header[108:112] = struct.pack("<f", offset)
        extension = struct.pack("<2i", 190 * MEGABYTE, 4)
        yield f"extension_{offset}.nii.gz", gzip.compress(bytes(header) + extension + zeros, 1)
    for suffix in SUFFIXES.values():
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("scan", zeros)
        yield f"zip{suffix}", buffer.getvalue()
        yield f"gzip{suffix}", gzip.compress(zeros, 1)
    for side in (6000, 13000, 40000):
        yield f"{side}.png", _png(side)
    yield "text.png", _png(8, b"zTXt", b"Comment\0\0" + zlib.compress(zeros))
    yield "profile.png", _png(8, b"iCCP", b"Profile\0\0" + zlib.compress(zeros))
    yield "deflate.tif", _saved(Image.new("L", (9000, 9000)), "TIFF", compression="tiff_adobe_deflate")
    packed = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    whole = dicom(rng, DeflatedExplicitVRLittleEndian)
    meta = 144 + struct.unpack("<I", whole[140:144])[0]
    element = struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, len(zeros))
    yield "deflated.dcm", whole[:meta] + packed.compress(element + zeros) + packed.flush()


def _png(side: int, kind: bytes = b"", content: bytes = b"") -> bytes:
    """Write a black PNG a row at a time, with another chunk before its pixels; a huge one's end is missing."""

    def chunk(name: bytes, own: bytes) -> bytes:
        return struct.pack(">I", len(own)) + name + own + struct.pack(">I", zlib.crc32(name + own))

    pixels = zlib.compressobj(1)
    row = b"\0" * (side * 3 + 1)
    packed = b"".join(pixels.compress(row) for _ in range(min(side, 13000))) + pixels.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    extra = chunk(kind, content) if kind else b""
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
