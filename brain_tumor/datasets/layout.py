"""Find mistakes in a folder's layout, by which files are left out or folders are mistaken for classes."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from brain_tumor.datasets import positive, roots
from brain_tumor.scans.images import IMAGE_SUFFIXES

PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
FOLD = re.compile(r"^fold[ _-]?(\d+)$", re.IGNORECASE)
IMAGES = frozenset({"images", "image"})
MASKS = frozenset({"masks", "mask"})
_TRUTHS = frozenset(
    {"label", "labels", "annotation", "annotations", "segmentation", "segmentations", "seg", "gt", "groundtruth"}
)
_PART = re.compile(rf"^({'|'.join(PARTS)})[ _-]?(set|data|images?|imgs?)$", re.IGNORECASE)
_LABEL = "masks?|seg|segmentation|labels?|annotation|gt|roi"
_MASK_NAME = re.compile(rf"^(?:(?P<before>.+)[ ._-](?:{_LABEL})|(?:{_LABEL})[ ._-](?P<after>.+))$", re.IGNORECASE)
_OTHER_FORMATS = (
    ".webp", ".gif", ".jfif", ".jpe", ".jp2", ".heic", ".avif", ".ppm", ".pgm", ".dcm", ".ima", ".nii", ".nii.gz",
    ".mha", ".mhd", ".nrrd", ".mgz", ".npy", ".npz",
)  # fmt: skip


def mistakes(table: pd.DataFrame) -> list[str]:
    """Report folders that look like classes by the layout, but mean something else; one line each.

    Args:
        table: columns `path` and `class` (see `brain_tumor.datasets.base`).
    """
    classes = sorted(set(table["class"]) - {""})
    alike: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        alike[re.sub(r"[\s_]", "", unicodedata.normalize("NFKC", name)).casefold()].append(name)
    problems = [
        f"{'/ and '.join(names)}/: two classes by upper and lower case, blanks or underscores only; give both one name"
        for names in alike.values()
        if len(names) > 1
    ]
    problems += [line for name in classes if (line := _other_meaning(name))]
    for name, inside in _inside(table).items():
        if masks := sorted(folder for folder in inside if folder.lower() in MASKS | _TRUTHS):
            problems.append(f"{name}/: holds {'/, '.join(masks)}/; give masks/{name}/ and images/{name}/ instead")
        elif again := sorted(inside & (set(classes) - {name})):
            problems.append(f"{name}/: holds {'/, '.join(again)}/ again, which are classes beside it. Keep one of both")
        elif parts := sorted(folder for folder in inside if folder.lower() in PARTS or FOLD.match(folder)):
            problems.append(f"{name}/: holds {'/, '.join(parts)}/; turn it round, with the classes inside of these")
        elif len(inside) == 2 and positive.guess(sorted(inside)) and len(classes) > 1:
            names = "/, ".join(sorted(inside))
            problems.append(f"{name}/: holds {names}/, which look like the classes. Give this folder as data.root")
    return problems + _masks_by_other_names(table["path"])


def unread_formats(root: Path, ignored: Iterable[str]) -> list[str]:
    """Report, in one line, image files in the layout's folders whose formats are not read."""
    paths = [root / name for name in ignored if "/" in name and name.lower().endswith(_OTHER_FORMATS)]
    read = " ".join(sorted(IMAGE_SUFFIXES))
    return [f"{roots.named(paths)}: only {read} are read. Convert it, or take it away"] if paths else []


def _other_meaning(name: str) -> str:
    """Return a line that says what a folder's name means instead of a class; "" for a name of a class."""
    plain = re.sub(r"[\s_-]", "", name).casefold()
    if plain in IMAGES | MASKS | _TRUTHS:
        return f"{name}/: no class by its name. Where images have masks, give them in images/ and masks/ side by side"
    if match := _PART.match(name):
        return f"{name}/: no class by its name. Call it {PARTS[match[1].lower()]}/, with the classes inside"
    return ""


def _masks_by_other_names(paths: Iterable[str]) -> list[str]:
    """Report, in one line, images named like masks of other images, but not in the way that `pairing` reads."""
    stems = {path.rpartition(".")[0] for path in paths}
    masks = []
    for stem in sorted(stems):
        folder, slash, name = stem.rpartition("/")
        match = _MASK_NAME.match(name)
        if match and f"{folder}{slash}{match['before'] or match['after']}" in stems:
            masks.append(stem)
    line = "called as the mask of another image there; masks are called NAME_mask"
    return [f"{roots.named(masks)}: {line}"] if masks else []


def _inside(table: pd.DataFrame) -> dict[str, set[str]]:
    """Return the names of the folders directly in each class folder, by class."""
    inside: dict[str, set[str]] = defaultdict(set)
    for path, name in zip(table["path"], table["class"], strict=True):
        folders = path.split("/")[:-1]
        if name and name in folders[:-1]:
            inside[name].add(folders[folders.index(name) + 1])
    return inside
