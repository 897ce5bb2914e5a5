"""List the slices of a user's folder, whose layout names classes, masks, parts and folds."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from brain_tumor.datasets import layout, roots
from brain_tumor.datasets.base import COLUMNS, DataSet, Listing
from brain_tumor.datasets.layout import FOLD, PARTS
from brain_tumor.datasets.pairing import is_mask, pair
from brain_tumor.scans.images import IMAGE_SUFFIXES
from brain_tumor.scans.numbering import NamePattern


class Folder(DataSet):
    """A user's folder: one subfolder per class, or images with masks, or both.

    Args:
        root: the folder (see `list_slices`).
        patient_pattern: regular expression that finds the patient in a file name, and with its group `slice` the
            slice's number; None if names hold no patients.
    """

    name = "folder"

    def __init__(self, *, root: str, patient_pattern: str | None = None) -> None:
        self.root: Path = Path(root).expanduser()
        self.patient_pattern = patient_pattern

    def listing(self) -> Listing:
        """List the folder."""
        return list_slices(self.root, self.patient_pattern)


class _Base(NamedTuple):
    """A folder that holds a whole layout, with the part and fold that its name means, and the images below it."""

    folder: Path
    part: str
    fold: int
    images: list[Path]


class _Layout(NamedTuple):
    """The content of a layout.

    Attributes:
        slices: each image's mask, None for none, and its class, "" for none.
        problems: what is wrong with the images, one line each.
        used: the files that belong to the layout.
    """

    slices: dict[Path, tuple[Path | None, str]]
    problems: list[str]
    used: list[Path]


def list_slices(root: Path, patient_pattern: str | None = None) -> Listing:
    """List a folder: one subfolder per class, or images with masks, or both.

    Images lie in class folders; images with masks may also lie side by side without class folders. A mask has its
    image's name with `_mask` appended, or it lies in `masks/` under the name that the image has in `images/`. All that
    is in `root` itself, or under `train/`, `test/` and perhaps `val/` (or `training/`, `testing/`, `valid/`,
    `validation/`), or under folders of folds (`fold1/`, `fold_2/`, ...). Links are followed; hidden files, files of the
    operating system and our results are left out (see `brain_tumor.io.walk`).

    Args:
        root: the folder; the subfolders that hold images name the classes.
        patient_pattern: regular expression searched in each file name. Its group `patient` names the patient; without
            that group its first group other than `slice`, or else the whole match. Its group `slice` is the slice's
            number.

    Raises:
        ValueError: `root` is missing, empty or a folder of our results; it has neither two classes nor masks, or train/
            without test/; or the pattern is bad.
    """
    roots.require_folder(root)
    pattern = NamePattern(patient_pattern, "data.patient_pattern") if patient_pattern else None
    files, problems, notes = roots.list_files(root)
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    rows: list[tuple[str, str, str, int, str, str, int]] = []
    unused = set(images)
    for base in _bases(root, images):
        layout_ = _read_layout(base)
        problems += layout_.problems
        unused -= set(layout_.used)
        for image, (mask, label) in layout_.slices.items():
            case, number = pattern.find(image.name) if pattern else ("", -1)
            if pattern and not case:
                problems.append(f"{image}: data.patient_pattern={patient_pattern} finds no patient in this name")
            names = [path.relative_to(root).as_posix() if path else "" for path in (image, mask)]
            rows.append((names[0], names[1], case, number, label, base.part, base.fold))
    table = pd.DataFrame(rows, columns=COLUMNS)
    classes = sorted(set(table["class"]) - {""})
    if len(classes) < 2 and not (table["mask"] != "").any():
        if problems:  # they may be the reason that there are no more classes
            raise ValueError(problems[0] + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""))
        raise ValueError(
            f"data.root={root}: found {len(classes)} class folder(s) with images{_named(classes)}; at least two are "
            f"needed, such as yes/ and no/, or masks (images/ and masks/, or NAME_mask beside NAME), with files ending "
            f"in {' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    listed = {name for row in rows for name in row[:2]}
    ignored = [name for path in files if (name := path.relative_to(root).as_posix()) not in listed]
    problems += layout.mistakes(table) + layout.unread_formats(root, ignored)
    notes += [f"{roots.named(sorted(unused))}: outside of the layout, not used"] if unused else []
    return Listing(root, table, problems, notes, ignored)


def _bases(root: Path, images: Sequence[Path]) -> list[_Base]:
    """Return every folder that holds a whole layout: those of the parts or of the folds, or else `root` itself."""
    tops = _by_top(root, images)
    parts = {name: PARTS[name.lower()] for name in tops if name.lower() in PARTS}
    if parts and not {"train", "test"} <= set(parts.values()):
        raise ValueError(
            f"data.root={root}: found {', '.join(parts)}/ without its counterpart. "
            "Give both train/ and test/ (and val/ beside them if you like), or none of them"
        )
    if parts:
        return [_Base(root / name, part, -1, tops[name]) for name, part in parts.items()]
    folds = [_Base(root / name, "", int(match[1]), tops[name]) for name in tops if (match := FOLD.match(name))]
    return folds or [_Base(root, "", -1, list(images))]


def _read_layout(base: _Base) -> _Layout:
    """Pair the images of a layout with their masks, and name their classes."""
    tops = _by_top(base.folder, base.images)
    home, masks_home = (_only(base.folder, tops, names) for names in (layout.IMAGES, layout.MASKS))
    if home and masks_home:
        homes = (base.folder / home, base.folder / masks_home)
        pairs, problems = pair(tops[home], tops[masks_home], homes, True)
        return _classified(homes[0], pairs, problems, tops[home] + tops[masks_home])
    pairs, problems = {}, []
    for top, paths in tops.items():
        masks = [path for path in paths if is_mask(path)]
        images = [path for path in paths if not is_mask(path)]
        pairs_below, problems_below = pair(images, masks, (base.folder, base.folder), False)
        pairs |= pairs_below
        problems += problems_below if top or len(tops) == 1 else []
    return _classified(base.folder, pairs, problems, base.images)


def _classified(home: Path, pairs: dict[Path, Path | None], problems: list[str], used: list[Path]) -> _Layout:
    """Name each image's class by its folder below `home`; an image beside class folders has none and is a problem."""
    tops = _by_top(home, pairs)
    beside = tops.pop("", []) if len(tops) > 1 or not any(pairs.values()) else []
    if beside:
        problems.append(f"{roots.named(beside)}: in no class folder. Move it into one, or away")
    return _Layout({path: (pairs[path], top) for top, paths in tops.items() for path in paths}, problems, used)


def _by_top(home: Path, paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Group files by the folder in `home` that they lie in or below; "" for files in `home` itself."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        top, *rest = path.relative_to(home).parts
        groups[top if rest else ""].append(path)
    return dict(sorted(groups.items()))


def _only(folder: Path, tops: dict[str, list[Path]], names: frozenset[str]) -> str:
    """Return the one folder that has one of some names, in upper or lower case; "" for none.

    Raises:
        ValueError: several folders have such a name.
    """
    matches = [name for name in tops if name.lower() in names]
    if len(matches) > 1:
        raise ValueError(
            f"{folder}: holds {'/, '.join(matches)}/, which mean the same. Put their files into one folder"
        )
    return matches[0] if matches else ""


def _named(classes: Sequence[str]) -> str:
    return f" ({', '.join(classes)})" if classes else ""
