"""Tell what a file is by its content, and why it is not read."""

import gzip
import zlib
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from brain_tumor.io import unpacked
from brain_tumor.scans.images import IMAGE_SUFFIXES

_NIFTI_SUFFIXES = (".nii", ".nii.gz")
_DICOM_SUFFIXES = {".dcm", ".ima", ".dicom", ".dic"}
_PACKED = (".gz", ".bz2", ".xz", ".zst")
_FORMATS = {"PNG", "JPEG", "MPO", "TIFF", "BMP"}
# Old files have no preamble and begin with an element of group 2 or 8, of either byte order.
_FIRST_GROUPS = (b"\x08\x00", b"\x02\x00", b"\x00\x08\x00")
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM")
_NEITHER = "neither an image nor NIfTI nor DICOM, or damaged"
_CONVERT = "which is not read; convert it to NIfTI"
_SAVE = "which is not read; save it as PNG"
_UNPACK = "which is not read; unpack it"
# Other formats of scans by their suffixes, and what a user can do about them.
_OTHERS = {
    **dict.fromkeys((".mgz", ".mgh"), f"a FreeSurfer volume, {_CONVERT}"),
    **dict.fromkeys((".nrrd", ".nhdr"), f"NRRD, {_CONVERT}"),
    **dict.fromkeys((".mha", ".mhd"), f"MetaImage, {_CONVERT}"),
    **dict.fromkeys((".hdr", ".img"), f"neither NIfTI nor a pair of it, {_CONVERT}"),
    ".brik": f"an AFNI volume, {_CONVERT}", ".mnc": f"MINC, {_CONVERT}", ".mif": f"an MRtrix volume, {_CONVERT}",
    ".webp": f"WebP, {_SAVE}", ".gif": f"GIF, {_SAVE}", ".avif": f"AVIF, {_SAVE}", ".jp2": f"JPEG 2000, {_SAVE}",
    **dict.fromkeys((".heic", ".heif"), f"HEIC, {_SAVE}"),
}  # fmt: skip
_ARCHIVES = {".zip", ".tar", ".tgz", ".7z", ".rar"}
_ANALYZE = (b"\x5c\x01\0\0", b"\0\0\x01\x5c")  # 348, the size of its header


class FileType(NamedTuple):
    """The type of a file.

    Attributes:
        name: "image", "nifti" or "dicom"; "" for a type that is not read.
        problem: why it is not read; "" for nothing.
        meant: whether its name says that it is a scan, so that a user will miss it.
    """

    name: str
    problem: str = ""
    meant: bool = True


def of(path: Path) -> FileType:
    """Return a file's type by its first bytes, or by its name where these say nothing."""
    name = path.name.lower()
    try:
        with unpacked.opened(path) as file:
            head = file.read(352)
        packed = unpacked.is_packed(path)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        head, packed = b"", True
    except OSError as error:
        return FileType("", f"cannot be read ({error.strerror})", _is_meant(name) or not path.suffix)
    if magic(head):
        return FileType("nifti")
    if head[128:132] == b"DICM":
        return FileType("dicom")
    if packed and head.startswith(_PICTURES):
        return FileType("", f"a gzipped picture, {_UNPACK}")
    return _by_name(path, head, packed)


def magic(head: bytes) -> str:
    """Return NIfTI's mark in a header: "n+1" and "n+2" for one file, "ni1" and "ni2" for two; "" for no NIfTI."""
    for place in (slice(344, 347), slice(4, 7)):
        text = head[place]
        if text in ({b"n+1", b"ni1"} if place.start == 344 else {b"n+2", b"ni2"}):
            return text.decode()
    return ""


def _by_name(path: Path, head: bytes, packed: bool) -> FileType:
    name = path.name.lower()
    if not packed:
        format_ = _picture(path)
        if format_ in _FORMATS or path.suffix.lower() in IMAGE_SUFFIXES:
            return FileType("image")
    if head[:4] in _ANALYZE and name.removesuffix(".gz").endswith((".hdr", ".img")):
        return FileType("", f"an Analyze volume, which does not say where left and right are, {_CONVERT}")
    if name.endswith(_NIFTI_SUFFIXES):
        return FileType("nifti")
    if head.startswith(_FIRST_GROUPS) or Path(name.removesuffix(".gz")).suffix in _DICOM_SUFFIXES:
        return FileType("dicom")
    return _unknown(path)


def _picture(path: Path) -> str:
    """Return the format in which Pillow opens a file; "" for none."""
    try:
        with Image.open(path) as image:
            return image.format or ""
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return ""


def _unknown(path: Path) -> FileType:
    name = path.name.lower()
    if path.suffix.lower() in _ARCHIVES or name.endswith((".tar.gz", ".tar.bz2", ".tar.xz")):
        return FileType("", f"an archive, {_UNPACK}", meant=False)
    problem = _OTHERS.get(_suffix(name), _NEITHER)
    return FileType("", problem, _is_meant(name))


def _is_meant(name: str) -> bool:
    """Return whether a file's name says that it is a scan."""
    suffix = _suffix(name)
    return suffix in {*IMAGE_SUFFIXES, *_DICOM_SUFFIXES, *_OTHERS, ".nii"} or (not suffix and name.endswith(_PACKED))


def _suffix(name: str) -> str:
    """Return a name's suffix without `.gz` and the like: `.nii` for `a.nii.gz`."""
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return Path(name).suffix
