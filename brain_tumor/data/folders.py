"""List the slices of a folder of one's own, whose layout says classes, masks, parts and folds."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from brain_tumor.data.images import IMAGE_SUFFIXES
from brain_tumor.data.slices import COLUMNS, Listing, require_folder

PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_FOLD = re.compile(r"^fold[ _-]?(\d+)$", re.IGNORECASE)
_MASK = re.compile(r"_mask$", re.IGNORECASE)


def list_slices(root: Path, patient_pattern: str | None = None) -> Listing:
    """List a folder: one subfolder a class, or images with masks, or both.

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
    require_folder(root)
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
