"""Read the files of the tumour-type data set: slices and folds written by MATLAB, alone or in the published zips."""

import hashlib
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from brain_tumor.datasets import matlab
from brain_tumor.io import atomic
from brain_tumor.io.walk import is_hidden
from brain_tumor.scans.images import Content

CLASSES = {1: "meningioma", 2: "glioma", 3: "pituitary tumour"}
FOLDS = "cvind.mat"
SLICE = re.compile(r"^\d+\.mat$")
UNPACKED = "unpacked"  # folder of the zips' content, in the data's folder
_CUT = "cut short, or no zip"
_BRIGHTEST = 99.9  # percentile that becomes white


def read(path: Path, mask_path: Path | None = None) -> Content:  # noqa: ARG001, one file holds both
    """Read a slice: its image in grey, and its mask.

    An int16 image of any range is scaled linearly: its lowest value becomes black, its 99.9th percentile white.

    Raises:
        ValueError: the file is cut short, is no MATLAB file, or holds no such slice.
    """
    fields = _read_fields(path)
    image, mask = _matrix(path, fields, "image"), _matrix(path, fields, "tumorMask")
    if not np.isfinite(image).all():
        raise ValueError(f"{path}: has pixels that are no numbers (NaN or infinite). Replace them")
    if not set(np.unique(mask)) <= {0, 1}:
        raise ValueError(f"{path}: tumorMask has other values than 0 and 1")
    grey = _to_bytes(image)
    return Content(np.repeat(grey[..., None], 3, 2), _digest(image), mask.astype(np.uint8), _digest(mask != 0))


def _to_bytes(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale an image (H, W) to 0 to 255."""
    values = image.astype(np.float64) - float(image.min())
    white = np.percentile(values, _BRIGHTEST) or values.max() or 1.0
    scaled: NDArray[np.uint8] = (values / white * 255).clip(0, 255).round().astype(np.uint8)
    return scaled


def _digest(values: NDArray[Any]) -> str:
    """Return a hash of values and shape; files with equal values still differ in the time they were written."""
    return hashlib.sha256(repr((str(values.dtype), values.shape)).encode() + values.tobytes()).hexdigest()


def facts(path: Path) -> tuple[str, str]:
    """Return a slice's patient and class."""
    fields = _read_fields(path, only=("PID", "label"))
    return matlab.text(fields["PID"]), _class(path, fields["label"])


def _class(path: Path, value: Any) -> str:
    """Return the class that a label, a matrix of one number, stands for."""
    number = np.asarray(value).ravel()
    if number.size != 1 or not np.isreal(number[0]) or float(number[0]) not in CLASSES:
        known = ", ".join(f"{label} ({name})" for label, name in CLASSES.items())
        raise ValueError(f"{path}: label {', '.join(map(str, number[:3]))}; known are {known}")
    return CLASSES[int(number[0])]


def _matrix(path: Path, fields: dict[str, Any], name: str) -> NDArray[Any]:
    values = np.asarray(fields[name])
    if values.ndim != 2 or not values.size or values.dtype.kind not in "biuf":
        raise ValueError(f"{path}: {name} is no matrix of numbers")
    return np.ascontiguousarray(values)


def _read_fields(path: Path, only: tuple[str, ...] = ("PID", "label", "image", "tumorMask")) -> dict[str, Any]:
    """Return fields of `cjdata`, with matrices turned as MATLAB shows them.

    Raises:
        ValueError: the file cannot be read, or lacks a field.
    """
    fields = matlab.read_variable(path, "cjdata", only)
    if missing := [name for name in only if not isinstance(fields, dict) or name not in fields]:
        raise ValueError(f"{path}: holds no cjdata.{missing[0]}; give the published files, or files of their structure")
    assert isinstance(fields, dict)
    return fields


def unpacked(root: Path) -> Path:
    """Return the folder with the .mat files: `root`, or if it holds zips only, a folder that they are unpacked into.

    Raises:
        ValueError: a zip is damaged, or came after the others were unpacked.
    """
    archives = sorted(path for path in root.glob("*.zip") if not is_hidden(path.name))
    if not archives or any(SLICE.match(path.name) for path in root.glob("*.mat")):
        return root
    tree = root / UNPACKED
    with FileLock(root / f"{UNPACKED}.lock"):
        if not tree.exists():
            with atomic.folder(root, UNPACKED) as temporary:
                for archive in archives:
                    _unpack(archive, temporary)
                if (root / FOLDS).exists():
                    (temporary / FOLDS).write_bytes((root / FOLDS).read_bytes())
                temporary.rename(tree)
    for archive in archives:
        if missing := [name for name in _names(archive) if not (tree / name).exists()]:
            raise ValueError(
                f"{tree}: lacks {missing[0]} of {archive.name}, which came later. Remove this folder; it is made anew"
            )
    return tree


def _names(archive: Path) -> list[str]:
    """Name the slices and folds in a zip."""
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [Path(name).name for name in opened.namelist()]
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive}: {_CUT} ({error}). Remove it and fetch it again") from error
    return [name for name in names if SLICE.match(name) or name == FOLDS]


def _unpack(archive: Path, folder: Path) -> None:
    """Write the slices and folds of a zip into one folder, whatever folders they have in the zip."""
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                name = Path(member.filename).name
                if SLICE.match(name) or name == FOLDS:
                    (folder / name).write_bytes(opened.read(member))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{archive}: {_CUT} ({error}). Remove it and fetch it again") from error
