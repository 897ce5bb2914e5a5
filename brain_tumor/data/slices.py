"""Find the slices of a data set on disk: one row a slice, with its mask, case and class.

A listing is a `pandas.DataFrame` with the columns

    path    the image, relative to the root, with forward slashes
    mask    its mask, likewise; "" where the data has none
    case    the patient's or scan's name; "" where unknown
    slice   the slice's number within its case; -1 where unknown
    class   the name of its class; "" where folders name none
    part    "train", "val" or "test" where the folders say so; "" elsewhere
    fold    the number of its fold where the folders say so; -1 elsewhere

and, where several cases may be one person, `person`, the name that these share.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from brain_tumor.data.images import IMAGE_SUFFIXES, Content, Mask, Picture, fit_image, fit_mask, read_files
from brain_tumor.data.regions import Crop

COLUMNS = ["path", "mask", "case", "slice", "class", "part", "fold"]
PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_FOLD = re.compile(r"^fold[ _-]?(\d+)$", re.IGNORECASE)
_MASK = re.compile(r"_mask$", re.IGNORECASE)
_NUMBERED = re.compile(r"^(?P<stem>.+?)_(?P<number>\d+)(?P<mask>_mask)?$", re.IGNORECASE)
# Reads an image and its mask, if it has one, from their files; ValueError says what is wrong with them.
Reader = Callable[[Path, Path | None], Content]


@dataclass
class Listing:
    """The slices under a root.

    Attributes:
        root: the folder that every path in `table` is relative to.
        table: one row a slice (see the module's docstring).
        problems: what is wrong with the files' names and pairing, a line each.
        ignored: files that are neither image nor mask.
        copies: other folders that hold the same tree again, left out.
        reader: reads a slice's files.
        crop: what is cut out of every slice; None for all of it.
        patients: what is known of patients: a row a case, a column a target, texts; "" for unknown.
    """

    root: Path
    table: pd.DataFrame
    problems: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)
    reader: Reader = read_files
    crop: Crop | None = None
    patients: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def decoding(self) -> str:
        """What files are decoded to besides the size: "" for whole slices."""
        return "" if self.crop is None else f" {self.crop.key}"


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


def list_folder(root: Path, patient_pattern: str | None = None) -> Listing:
    """List a folder of one's own: one subfolder a class, or images with masks, or both.

    Images lie in class folders, or where they have masks also side by side without any; masks are called as their
    images with `_mask` appended, or lie in `masks/` under the images' names while the images lie in `images/`. All
    of that is in `root` itself, or under `train/`, `test/` and perhaps `val/` (or `training/`, `testing/`, `valid/`,
    `validation/`), or under folders of folds (`fold1/`, `fold_2/`, ...).

    Args:
        root: the folder; its classes are named by the subfolders that hold images.
        patient_pattern: regular expression searched in each file name; its group `patient`, or first group, or whole
            match names the patient, its group `slice` the slice's number.

    Raises:
        ValueError: `root` is missing or empty, neither two classes nor masks, train/ without test/, or a bad pattern.
    """
    _require_folder(root)
    pattern = _compile(patient_pattern)
    rows: list[tuple[str, str, str, int, str, str, int]] = []
    problems: list[str] = []
    for base, part, fold in _bases(root):
        for folder, label in _homes(base):
            pairs, unpaired = _pair(folder, base)
            problems += unpaired
            for image, mask in pairs:
                match = pattern.search(image.name) if pattern else None
                if pattern and not match:
                    problems.append(f"{image}: data.patient_pattern={patient_pattern} finds no patient in this name")
                names = [path.relative_to(root).as_posix() if path else "" for path in (image, mask)]
                rows.append((names[0], names[1], *_patient_and_slice(match), label, part, fold))
    classes = sorted({row[4] for row in rows} - {""})
    if len(classes) < 2 and not any(row[1] for row in rows):
        raise ValueError(
            f"data.root={root}: found {len(classes)} class folder(s) with images{_named(classes)}; at least two are "
            f"needed, such as yes/ and no/, or masks (images/ and masks/, or NAME_mask beside NAME), with files ending "
            f"in {' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    taken = {name for row in rows for name in row[:2]}
    ignored = [
        name for p in sorted(root.rglob("*")) if p.is_file() and (name := p.relative_to(root).as_posix()) not in taken
    ]
    return Listing(root, pd.DataFrame(rows, columns=COLUMNS), problems, ignored)


def _bases(root: Path) -> list[tuple[Path, str, int]]:
    """Return every folder that holds a whole layout, with the part and fold that its name says."""
    parts = {path: PARTS[path.name.lower()] for path in _folders(root) if path.name.lower() in PARTS}
    if parts and not {"train", "test"} <= set(parts.values()):
        raise ValueError(
            f"data.root={root}: found {', '.join(path.name for path in parts)}/ without its counterpart. "
            "Give both train/ and test/ (and val/ beside them if you like), or none of them"
        )
    if parts:
        return [(base, part, -1) for base, part in parts.items()]
    folds = {path: int(match[1]) for path in _folders(root) if (match := _FOLD.match(path.name))}
    return [(base, "", fold) for base, fold in folds.items()] or [(root, "", -1)]


def _homes(base: Path) -> list[tuple[Path, str]]:
    """Return every folder of images under a base with its class; "" where images with masks lie side by side."""
    home = base / "images" if _has_mask_folder(base) else base
    named = [(folder, folder.name) for folder in _folders(home) if _images(folder)]
    masked = home != base or any(_MASK.search(path.stem) for path in _images(home))
    return named if named or not masked else [(home, "")]


def _has_mask_folder(base: Path) -> bool:
    return (base / "images").is_dir() and (base / "masks").is_dir()


def _pair(folder: Path, base: Path) -> tuple[list[tuple[Path, Path | None]], list[str]]:
    """Return the images under a folder, each with its mask, and what is wrong with the pairing.

    A folder without any mask has none to miss.
    """
    found = _images(folder)
    if _has_mask_folder(base):
        images, home = found, base / "masks" / folder.relative_to(base / "images")
        masks = _images(home) if home.is_dir() else []
    else:
        home = folder
        masks = [path for path in found if _MASK.search(path.stem)]
        images = [path for path in found if not _MASK.search(path.stem)]
    by_name = {path.relative_to(home).with_name(_MASK.sub("", path.stem)): path for path in masks}
    names = {path: path.relative_to(folder).with_name(path.stem) for path in images}
    problems = [f"{by_name[name]}: mask without image" for name in sorted(by_name.keys() - set(names.values()))]
    if masks or _has_mask_folder(base):
        problems += [f"{path}: image without mask" for path, name in names.items() if name not in by_name]
    return [(path, by_name.get(name)) for path, name in names.items()], problems


def _patient_and_slice(match: re.Match[str] | None) -> tuple[str, int]:
    if match is None:
        return "", -1
    groups = match.groupdict()
    number = groups.get("slice") or "-1"
    try:
        return groups.get("patient") or (match[1] if match.re.groups else match[0]), int(number)
    except ValueError as error:
        raise ValueError(f"data.patient_pattern={match.re.pattern}: slice finds {number!r}, no number") from error


def read(listing: Listing, size: int, title: str) -> Iterator[tuple[Picture, Mask | None] | ValueError]:
    """Decode every slice in order: its image and its mask (None for data without), or what is wrong with them.

    Args:
        listing: the slices.
        size: side of the squares they are fitted into, in pixels.
        title: of the progress bar.
    """

    def one(names: tuple[str, str]) -> tuple[Picture, Mask | None] | ValueError:
        try:
            return _read_slice(listing, *names, size)
        except ValueError as error:
            return error

    pairs = list(zip(listing.table["path"], listing.table["mask"], strict=True))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from tqdm(pool.map(one, pairs), title, len(pairs), unit=" slices", leave=False, disable=None)


def _read_slice(listing: Listing, name: str, mask_name: str, size: int) -> tuple[Picture, Mask | None]:
    path, mask_path = listing.root / name, listing.root / mask_name if mask_name else None
    content = listing.reader(path, mask_path)
    image, mask = content.image, content.mask
    if mask is not None and mask.shape != image.shape[:2]:
        (mask_height, mask_width), (height, width) = mask.shape, image.shape[:2]
        raise ValueError(
            f"{mask_path}: the mask is {mask_width}x{mask_height} pixels, its image {width}x{height}. "
            "Both must have one size"
        )
    if listing.crop is not None:
        image, mask = listing.crop.cut(name, image, mask)
    picture = fit_image(image, size, content.digest)
    return picture, None if mask is None else fit_mask(mask, size, content.mask_digest)


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
