"""List slices in the layout of the LGG Segmentation Dataset."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from brain_tumor.datasets import roots
from brain_tumor.datasets.base import COLUMNS, Listing
from brain_tumor.io.walk import is_hidden

_NUMBERED = re.compile(r"^(?P<stem>.+?)_(?P<number>\d+)(?P<mask>_mask)?$", re.IGNORECASE)
_SUFFIXES = frozenset({".tif", ".tiff"})
_Side = dict[int, Path]


def list_slices(root: Path) -> Listing:
    """List `kaggle_3m/<case>/<case>_<slice>.tif` and `..._mask.tif`.

    `root` is `kaggle_3m` itself or a folder that holds it. The published archive holds the tree twice (`kaggle_3m/` and
    `lgg-mri-segmentation/kaggle_3m/`). The first one is read; others are named in `copies`, and must hold the same
    slices.

    Raises:
        ValueError: `root` is missing, is a folder of our results, or holds no slice.
    """
    trees = find_trees(root)
    if not trees:
        raise ValueError(
            f"data.root={root}: no kaggle_3m folder with case folders of .tif slices there. "
            "Point data.root at the unpacked LGG Segmentation Dataset"
        )
    tree, *copies = trees
    files, problems, notes = roots.list_files(tree)
    problems += [
        f"{copy}: holds other slices than {tree}, which would be read alone. Give one of them as data.root"
        for copy in copies
        if _masks(copy) != _masks(tree)
    ]
    rows: list[tuple[str, str, str, int, str, str, int]] = []
    cases: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        case, *rest = path.relative_to(tree).parts
        if len(rest) == 1 and path.suffix.lower() in _SUFFIXES and _NUMBERED.match(path.stem):
            cases[case].append(path)
    for case, paths in sorted(cases.items()):
        images, masks, problems_of_case = _sides(paths)
        problems += problems_of_case
        for number in sorted(images.keys() & masks.keys()):
            image, mask = (side[number].relative_to(tree).as_posix() for side in (images, masks))
            rows.append((image, mask, case, number, "", "", -1))
    listed = {path for paths in cases.values() for path in paths}
    # Files beside the cases describe them, such as data.csv.
    ignored = [
        path.relative_to(tree).as_posix()
        for path in files
        if path not in listed and (path.parent != tree or path.suffix.lower() in _SUFFIXES)
    ]
    return Listing(tree, pd.DataFrame(rows, columns=COLUMNS), problems, notes, ignored, copies)


def _sides(files: Iterable[Path]) -> tuple[_Side, _Side, list[str]]:
    """Return a case's images and masks by their numbers, and what is wrong with them, one line each."""
    images: _Side = {}
    masks: _Side = {}
    problems: list[str] = []
    stems: dict[str, Path] = {}
    for path in files:
        match = _NUMBERED.match(path.stem)
        assert match, "the caller has matched the name"
        stems.setdefault(match["stem"], path)
        side, number = (masks if match["mask"] else images), int(match["number"])
        if number in side:
            problems.append(f"{path}: slice {number} of this case is there twice, also as {side[number].name}")
        side[number] = path
    if len(stems) > 1:
        first, second, *_ = stems.values()
        problems.append(f"{first} and {second.name}: slices of several cases in one folder; give each case its own")
    problems += [f"{images[n]}: image without mask" for n in sorted(images.keys() - masks.keys())]
    problems += [f"{masks[n]}: mask without image" for n in sorted(masks.keys() - images.keys())]
    return images, masks, problems


def find_trees(root: Path) -> list[Path]:
    """Return every folder at or under `root` with the layout of `kaggle_3m`, the shallowest first.

    Raises:
        ValueError: as for `roots.require_folder`.
    """
    roots.require_folder(root)
    candidates = [root, root / "kaggle_3m", root / "lgg-mri-segmentation" / "kaggle_3m"]
    return [tree for tree in candidates if _masks(tree)]


def _masks(tree: Path) -> set[str]:
    """Name the masks in the case folders of a tree."""
    masks = (path.relative_to(tree).parts for path in tree.glob("*/*_mask.[tT][iI][fF]"))
    return {"/".join(parts) for parts in masks if not any(map(is_hidden, parts))}
