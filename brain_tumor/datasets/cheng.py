"""The tumour-type data set: fetch it, list it, and read its MATLAB files.

Jun Cheng, "brain tumor dataset", figshare, DOI 10.6084/m9.figshare.1512427: 3,064 contrast-enhanced T1 slices of 233
patients with a meningioma, a glioma or a pituitary tumour, each with the tumour's mask, in files 1.mat to 3064.mat in
four zips; `cvind.mat` holds the authors' five folds by patient. Cite Cheng et al., PLoS ONE 10(10) e0140381, 2015.
"""

import hashlib
import importlib.util
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.typing import NDArray

from brain_tumor.datasets import matlab, roots
from brain_tumor.datasets.base import COLUMNS, Listing
from brain_tumor.io import atomic
from brain_tumor.io.walk import is_hidden
from brain_tumor.scans.images import Content

CLASSES = {1: "meningioma", 2: "glioma", 3: "pituitary tumour"}
PUBLISHED = {"meningioma": 708, "glioma": 1426, "pituitary tumour": 930}
PATIENTS = 233
FOLDS = "cvind.mat"
UNPACKED = "unpacked"  # in the data's folder: what its zips hold
SOURCE = "https://api.figshare.com/v2/articles/1512427"
WANTED = r"^(brainTumorDataPublic.*\.zip|cvind\.mat)$"  # of the article's files
BY_HAND = (
    "Download the four zips and cvind.mat in a browser from doi.org/10.6084/m9.figshare.1512427, "
    "and give their folder as data.root"
)
_SLICE = re.compile(r"^\d+\.mat$")
_CUT = "cut short, or no zip"
_BRIGHTEST = 99.9  # percentile that becomes white


def list_slices(root: Path, together: bool = True) -> Listing:
    """List the slices in a folder of .mat files, or of the published zips, which are unpacked in it first.

    Args:
        root: the folder; files may lie in folders below it.
        together: whether names that differ by one last letter are one person.

    Raises:
        ValueError: there are no such files, what reads them is not installed, or it is a folder of our own results.
    """
    require_reader()
    roots.require_folder(root)
    tree = _unpacked(root)
    listed, problems, notes = roots.look(tree)
    files: dict[int, Path] = {}
    for path in listed:
        if _SLICE.match(path.name) and (first := files.setdefault(int(path.stem), path)) != path:
            problems.append(f"{path}: slice {int(path.stem)} is there twice, also as {first}. Keep one of them")
    if not files:
        raise ValueError(f"data.root={root}: no slices there (1.mat, 2.mat, ...), nor the zips that hold them")
    numbers = sorted(files)
    folds, wrong = _folds([path for path in listed if path.name == FOLDS], numbers)
    problems += wrong
    rows = []
    for number, fold in zip(numbers, folds, strict=True):
        try:
            case, kind = _facts(files[number])
        except ValueError as error:
            problems.append(str(error))
            continue
        name = files[number].relative_to(tree).as_posix()
        rows.append((name, name, case, -1, kind, "", fold))
    table = pd.DataFrame(rows, columns=COLUMNS)
    if together:
        table["person"] = [person(case) for case in table["case"]]
    ignored = [
        path.relative_to(tree).as_posix()
        for path in listed
        if path.suffix == ".mat" and not _SLICE.match(path.name) and path.name != FOLDS
    ]
    return Listing(tree, table, problems, notes, ignored, reader=read)


def person(case: str) -> str:
    """Return a patient's name without a last letter: MR024780B and MR024780D are probably one person, scanned again."""
    return re.sub(r"(?<=\d)[A-Za-z]$", "", case)


def require_reader() -> None:
    """Refuse where h5py is missing.

    Raises:
        ValueError: it is.
    """
    if not importlib.util.find_spec("h5py"):
        raise ValueError("data=cheng: needs h5py: pip install 'brain-tumor[types]'")


def read(path: Path, mask_path: Path | None = None) -> Content:  # noqa: ARG001, one file holds both
    """Read a slice: its image in grey, and its mask.

    An int16 image of any range is scaled linearly, from its lowest value, black, to its 99.9th percentile, white.

    Raises:
        ValueError: the file is cut, no MATLAB file, or holds no such slice.
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
    values = image.astype(np.float64) - float(image.min())
    white = np.percentile(values, _BRIGHTEST) or values.max() or 1.0
    scaled: NDArray[np.uint8] = (values / white * 255).clip(0, 255).round().astype(np.uint8)
    return scaled


def _digest(values: NDArray[Any]) -> str:
    """Hash values and shape: files also differ in when they were written."""
    return hashlib.sha256(repr((str(values.dtype), values.shape)).encode() + values.tobytes()).hexdigest()


def _facts(path: Path) -> tuple[str, str]:
    """Return a slice's patient and class."""
    fields = _read_fields(path, only=("PID", "label"))
    return matlab.text(fields["PID"]), _class(path, fields["label"])


def _class(path: Path, value: Any) -> str:
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
    """Return fields of `cjdata`, matrices the way MATLAB shows them.

    Raises:
        ValueError: the file cannot be read, or lacks one.
    """
    found = matlab.read_variable(path, "cjdata", only)
    if missing := [name for name in only if not isinstance(found, dict) or name not in found]:
        raise ValueError(f"{path}: holds no cjdata.{missing[0]}; give the published files, or files of their structure")
    assert isinstance(found, dict)
    return found


def _folds(paths: Sequence[Path], numbers: list[int]) -> tuple[list[int], list[str]]:
    """Return the authors' fold of each file, from 0, and what is wrong with it; -1 where there is no cvind.mat."""
    if not paths:
        return [-1] * len(numbers), []
    path = paths[0]
    try:
        values = np.asarray(matlab.read_variable(path, "cvind", ())).ravel()
        folds = values.astype(int)
    except (ValueError, TypeError) as error:
        return [-1] * len(numbers), [str(error)]
    if len(folds) < max(numbers) or (folds < 1).any():
        return [-1] * len(numbers), [f"{path}: has {len(folds)} folds from 1 on; slices go up to {max(numbers)}"]
    return [int(folds[number - 1]) - 1 for number in numbers], []


def _unpacked(root: Path) -> Path:
    """Return the folder with the .mat files, unpacking zips into it first where there are only these."""
    archives = sorted(path for path in root.glob("*.zip") if not is_hidden(path.name))
    if not archives or any(_SLICE.match(path.name) for path in root.glob("*.mat")):
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
    return [name for name in names if _SLICE.match(name) or name == FOLDS]


def _unpack(archive: Path, folder: Path) -> None:
    """Write the slices of a zip into a folder, under their own names whatever folders it has them in."""
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                name = Path(member.filename).name
                if _SLICE.match(name) or name == FOLDS:
                    (folder / name).write_bytes(opened.read(member))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{archive}: {_CUT} ({error}). Remove it and fetch it again") from error


def compare(listing: Listing) -> list[str]:
    """Hold a listing against what was published; return a line for each difference."""
    table = listing.table
    counts = Counter(table["class"])
    found = [
        f"{name}: {counts[name]} slices, published are {count}"
        for name, count in PUBLISHED.items()
        if counts[name] != count
    ]
    if (patients := table["case"].nunique()) != PATIENTS:
        found.append(f"{patients} patients, published are {PATIENTS}")
    if (table["fold"] < 0).any():
        found.append(f"{FOLDS} is missing, which holds the authors' folds")
    return found


def contradictions(listing: Listing) -> list[str]:
    """Name patients with several classes, a line each."""
    kinds = listing.table.groupby("case")["class"].nunique()
    return [f"{case}: has {count} labels; a patient has one" for case, count in kinds.items() if count > 1]


def together(listing: Listing) -> list[str]:
    """Say in a line how many names differ by one last letter, and how many such people the authors' folds divide."""
    table = listing.table.assign(person=[person(case) for case in listing.table["case"]])
    kinds = table.groupby("person")[["case", "fold"]].nunique()
    if not (kinds["case"] > 1).any():
        return []
    return [
        f"{table['case'].nunique()} names are {len(kinds)} people, if a last letter tells scans and not people apart: "
        f"{int((kinds['case'] > 1).sum())} have several names, and {int((kinds['fold'] > 1).sum())} lie in several of "
        "the authors' folds; data.together=true keeps them on one side of our splits"
    ]
