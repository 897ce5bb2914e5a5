"""Find what is to be predicted among files of any kind, and read it; a file is what its content says it is."""

import gzip
import hashlib
import importlib.util
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data import dicom, nifti
from brain_tumor.data.images import IMAGE_SUFFIXES, read_rgb
from brain_tumor.data.volumes import Volume

_NIFTI_SUFFIXES = (".nii", ".nii.gz")
# In a folder, other files that are of no known kind are passed over.
_MEANT = {*IMAGE_SUFFIXES, ".nii", ".gz", ".dcm", ".ima"}


@dataclass(frozen=True)
class Source:
    """One thing to predict.

    Attributes:
        case: its name, without anything from a DICOM header.
        kind: "image", "nifti" or "dicom".
        paths: its files.
        problem: why it cannot be read, as far as that is known already; "" for nothing.
    """

    case: str
    kind: str
    paths: tuple[Path, ...]
    problem: str = ""

    def read(self) -> Volume | NDArray[np.uint8]:
        """Return a volume, or a picture uint8 (H, W, 3).

        Raises:
            ValueError: it cannot be read; says why.
        """
        if self.problem:
            raise ValueError(self.problem)
        if self.kind == "image":
            return read_rgb(self.paths[0])
        return nifti.read(self.paths[0]) if self.kind == "nifti" else dicom.read(self.paths)


def discover(inputs: Sequence[str]) -> tuple[list[Source], int]:
    """Find what lies at files, folders, patterns, and in lists of these (.txt, one a line).

    Returns:
        The sources in the order of their names, and how many files in folders were passed over.

    Raises:
        ValueError: an input is not there, or what reads it is not installed.
    """
    wanted: dict[Path, bool] = {}  # whether it was named itself
    for text in inputs:
        for path, named in _paths(text):
            wanted[path] = wanted.get(path, False) or named
    kinds = {path: _kind(path) for path in wanted}
    _require(kinds.values())
    series, failed = dicom.group([path for path, kind in kinds.items() if kind == "dicom"])
    found = [Source(case, "dicom", tuple(paths)) for case, paths in series.items()]
    passed = 0
    names = _names([path for path, kind in kinds.items() if kind != "dicom"] + list(failed))
    for path, kind in kinds.items():
        if kind in {"image", "nifti"}:
            found.append(Source(names[path], kind, (path,)))
        elif path in failed:
            found.append(Source(names[path], "dicom", (path,), failed[path]))
        elif kind == "":
            if wanted[path] or path.suffix.lower() in _MEANT:
                found.append(Source(names[path], "", (path,), "neither an image nor NIfTI nor DICOM, or damaged"))
            else:
                passed += 1
    return sorted(found, key=lambda source: source.case), passed


def _paths(text: str) -> list[tuple[Path, bool]]:
    """Return the files that an input stands for, each with whether it was named itself."""
    path = Path(text).expanduser()
    if path.is_dir():
        return [(own, False) for own in sorted(path.rglob("*")) if own.is_file() and not own.name.startswith(".")]
    if path.is_file() and path.suffix.lower() == ".txt":
        try:
            lines = [line.strip() for line in path.read_text().splitlines()]
        except UnicodeDecodeError as error:
            raise ValueError(f"input={text}: a list is a text file with a path a line") from error
        return [pair for line in lines if line for pair in _paths(line)]
    if path.is_file():
        return [(path, True)]
    matches = sorted(Path(own) for own in glob(str(path), recursive=True))
    if not matches:
        raise ValueError(f"input={text}: no such file or folder")
    return [pair for own in matches for pair in _paths(str(own))]


def _kind(path: Path) -> str:
    """Tell from its first bytes what a file is; "" for nothing that is known."""
    try:
        with path.open("rb") as file:
            head = file.read(352)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                head = file.read(352)
    except (OSError, EOFError, zlib.error):
        return "nifti" if path.name.lower().endswith(_NIFTI_SUFFIXES) else ""
    if head[344:347] in {b"n+1", b"ni1"} or head[4:7] in {b"n+2", b"ni2"}:
        return "nifti"
    if head[128:132] == b"DICM":
        return "dicom"
    try:
        with Image.open(path) as image:
            known = image.format in {"PNG", "JPEG", "TIFF", "BMP"}
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        known = False
    if known or path.suffix.lower() in IMAGE_SUFFIXES:
        return "image"
    if path.name.lower().endswith(_NIFTI_SUFFIXES):
        return "nifti"
    # Old files have no preamble and begin with an element of group 2 or 8.
    return "dicom" if head[:2] in {b"\x08\x00", b"\x02\x00"} or path.suffix.lower() in {".dcm", ".ima"} else ""


def _require(kinds: Iterable[str]) -> None:
    needed = {"nifti": ("nibabel",), "dicom": ("nibabel", "pydicom")}
    wanted = {name for kind in kinds for name in needed.get(kind, ())}
    missing = sorted(name for name in wanted if not importlib.util.find_spec(name))
    if missing:
        raise ValueError(f"input: needs {' and '.join(missing)}: pip install 'brain-tumor[scan]'")


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Name files by their stems, and where several have one, also by a hash of where they are."""
    stems = {path: safe(path.name.removesuffix(".gz").rpartition(".")[0] or path.name) for path in paths}
    counts = Counter(stem.lower() for stem in stems.values())
    return {
        path: stem if counts[stem.lower()] == 1 else f"{stem}-{_digest(str(path.resolve()))}"
        for path, stem in stems.items()
    }


def safe(name: str) -> str:
    """Turn a name into one that a file can have anywhere; unlike names stay unlike."""
    plain = re.sub(r"[^\w.-]", "_", name).strip(".")[:100]
    return plain if plain == name else f"{plain}-{_digest(name)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]
