"""Find the slices of a data set on disk: one row a slice, with its mask, case and class.

A listing is a `pandas.DataFrame` with the columns

    path    the image, relative to the root, with forward slashes
    mask    its mask, likewise; "" where the data has none
    case    the patient's or scan's name; "" where unknown
    slice   the slice's number within its case; -1 where unknown
    class   the name of its class; "" where folders name none
    part    "train", "val" or "test" where the folders say so; "" elsewhere
    fold    the number of its fold where the folders say so; -1 elsewhere
"""

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from brain_tumor.data.images import IMAGE_SUFFIXES, Mask, Picture, read_image, read_mask

COLUMNS = ["path", "mask", "case", "slice", "class", "part", "fold"]
PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_FOLD = re.compile(r"^fold[ _-]?(\d+)$", re.IGNORECASE)
_NUMBERED = re.compile(r"^(?P<stem>.+?)_(?P<number>\d+)(?P<mask>_mask)?$", re.IGNORECASE)


@dataclass
class Listing:
    """The slices under a root.

    Attributes:
        root: the folder that every path in `table` is relative to.
        table: one row a slice (see the module's docstring).
        problems: what is wrong with the files' names and pairing, a line each.
        ignored: files that are neither image nor mask.
        copies: other folders that hold the same tree again, left out.
    """

    root: Path
    table: pd.DataFrame
    problems: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)


def list_kaggle_3m(root: Path) -> Listing:
    """List the LGG Segmentation Dataset: `kaggle_3m/<case>/<case>_<slice>.tif` and `..._mask.tif`.

    `root` is `kaggle_3m` itself or a folder that holds it. The published archive holds the tree twice
    (`kaggle_3m/` and `lgg-mri-segmentation/kaggle_3m/`); the first one found is read, others are named in `copies`.

    Raises:
        ValueError: `root` is missing, or no slice lies under it.
    """
    trees = find_trees(root)
    if not trees:
        raise ValueError(
            f"data.root={root}: no kaggle_3m folder with case folders of .tif slices there. "
            "Point data.root at the unpacked LGG Segmentation Dataset"
        )
    tree, *copies = trees
    rows: list[tuple[str, str, str, int, str, str, int]] = []
    problems: list[str] = []
    ignored: list[str] = []
    for case in sorted(path for path in tree.iterdir() if path.is_dir()):
        images: dict[int, Path] = {}
        masks: dict[int, Path] = {}
        for path in sorted(case.iterdir()):
            match = _NUMBERED.match(path.stem) if path.suffix.lower() in {".tif", ".tiff"} else None
            if match is None:
                ignored.append(path.relative_to(tree).as_posix())
                continue
            side, number = (masks if match["mask"] else images), int(match["number"])
            if number in side:
                problems.append(f"{path}: slice {number} of this case is there twice, also as {side[number].name}")
            side[number] = path
        problems += [f"{images[n]}: image without mask" for n in sorted(images.keys() - masks.keys())]
        problems += [f"{masks[n]}: mask without image" for n in sorted(masks.keys() - images.keys())]
        for number in sorted(images.keys() & masks.keys()):
            image, mask = (side[number].relative_to(tree).as_posix() for side in (images, masks))
            rows.append((image, mask, case.name, number, "", "", -1))
    return Listing(tree, pd.DataFrame(rows, columns=COLUMNS), problems, ignored, copies)


def find_trees(root: Path) -> list[Path]:
    """Return every folder at or under `root` that is laid out like `kaggle_3m`, the shallowest first."""
    _require_folder(root)
    candidates = [root, root / "kaggle_3m", root / "lgg-mri-segmentation" / "kaggle_3m"]
    return [tree for tree in candidates if any(tree.glob("*/*_mask.[tT][iI][fF]"))]


def list_class_folders(root: Path, patient_pattern: str | None = None) -> Listing:
    """List a folder with one subfolder a class.

    They lie in `root` itself, or under `train/`, `test/` and perhaps `val/` (or `training/`, `testing/`, `valid/`,
    `validation/`), or under folders of folds (`fold1/`, `fold_2/`, ...).

    Args:
        root: the folder; its classes are named by the subfolders that hold images.
        patient_pattern: regular expression searched in each file name; its first group (or whole match) names
            the patient.

    Raises:
        ValueError: `root` is missing or empty, fewer than two classes, train/ without test/, or a bad pattern.
    """
    _require_folder(root)
    pattern = _compile(patient_pattern)
    homes = _homes(root)
    images = {folder: _images(folder) for folder, _, _ in homes}
    classes = sorted({folder.name for folder in images if images[folder]})
    if len(classes) < 2:
        raise ValueError(
            f"data.root={root}: found {len(classes)} class folder(s) with images{_named(classes)}; at least two are "
            f"needed, such as yes/ and no/, with files ending in {' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    rows, problems = [], []
    for folder, part, fold in homes:
        for path in images[folder]:
            match = pattern.search(path.name) if pattern else None
            if pattern and not match:
                problems.append(f"{path}: data.patient_pattern={patient_pattern} finds no patient in this name")
            case = (match[1] if match.re.groups else match[0]) if match else ""
            rows.append((path.relative_to(root).as_posix(), "", case, -1, folder.name, part, fold))
    taken = {row[0] for row in rows}
    ignored = [
        name for p in sorted(root.rglob("*")) if p.is_file() and (name := p.relative_to(root).as_posix()) not in taken
    ]
    return Listing(root, pd.DataFrame(rows, columns=COLUMNS), problems, ignored)


def _homes(root: Path) -> list[tuple[Path, str, int]]:
    """Return every class folder with its part and fold, where it lies in one."""
    parts = {path: PARTS[path.name.lower()] for path in _folders(root) if path.name.lower() in PARTS}
    if parts and not {"train", "test"} <= set(parts.values()):
        raise ValueError(
            f"data.root={root}: found {', '.join(path.name for path in parts)}/ without its counterpart. "
            "Give both train/ and test/ (and val/ beside them if you like), or none of them"
        )
    if parts:
        return [(folder, part, -1) for base, part in parts.items() for folder in _folders(base)]
    folds = {path: int(match[1]) for path in _folders(root) if (match := _FOLD.match(path.name))}
    if folds:
        return [(folder, "", fold) for base, fold in folds.items() for folder in _folders(base)]
    return [(folder, "", -1) for folder in _folders(root)]


def read(listing: Listing, size: int, title: str) -> Iterator[tuple[Picture, Mask | None] | ValueError]:
    """Decode every slice in order: its image and its mask (None for data without), or what is wrong with them.

    Args:
        listing: the slices.
        size: side of the squares they are fitted into, in pixels.
        title: of the progress bar.
    """

    def one(names: tuple[str, str]) -> tuple[Picture, Mask | None] | ValueError:
        try:
            return _read_slice(listing.root / names[0], listing.root / names[1] if names[1] else None, size)
        except ValueError as error:
            return error

    pairs = list(zip(listing.table["path"], listing.table["mask"], strict=True))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from tqdm(pool.map(one, pairs), title, len(pairs), unit=" slices", leave=False, disable=None)


def _read_slice(image: Path, mask: Path | None, size: int) -> tuple[Picture, Mask | None]:
    picture = read_image(image, size)
    if mask is None:
        return picture, None
    outline = read_mask(mask, size)
    if outline.original.shape != picture.shape:
        (mask_height, mask_width), (height, width) = outline.original.shape, picture.shape
        raise ValueError(
            f"{mask}: the mask is {mask_width}x{mask_height} pixels, its image {width}x{height}. "
            "Both must have one size"
        )
    return picture, outline


def _require_folder(root: Path) -> None:
    if not root.is_dir():
        raise ValueError(f"data.root={root}: no such folder. Give the folder that holds the images")
    if not any(root.iterdir()):
        raise ValueError(f"data.root={root}: the folder is empty. Give the folder that holds the images")


def _compile(pattern: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern else None
    except re.error as error:
        raise ValueError(f"data.patient_pattern={pattern}: not a regular expression ({error})") from error


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def _named(classes: Sequence[str]) -> str:
    return f" ({', '.join(classes)})" if classes else ""
