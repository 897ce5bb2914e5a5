"""List the files in a data set's folder, and check that it is one and that tables can hold the names."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from brain_tumor.io import walk

_NO_TEXT = "the name is not UTF-8, as names in a zip of another system may be. Rename it"


class Files(NamedTuple):
    """The files below a data set's root.

    Attributes:
        files: all input files, in the order of their paths.
        problems: files that cannot be read, one line each; a data set must not be trained on without them.
        notes: files that were left out on purpose, one line each.
    """

    files: list[Path]
    problems: list[str]
    notes: list[str]


def require_folder(root: Path) -> None:
    """Refuse a data set's root that is no folder, is empty, or holds our results.

    Raises:
        ValueError: the root is such a folder, or its name is not UTF-8.
    """
    if not _is_text(root):
        raise ValueError(f"data.root={printable(root)}: {_NO_TEXT}")
    if not root.is_dir():
        raise ValueError(f"data.root={root}: no such folder. Give the folder that holds the images")
    if not any(root.iterdir()):
        raise ValueError(f"data.root={root}: the folder is empty. Give the folder that holds the images")
    walk.refuse_results(root, "data.root")


def list_files(root: Path) -> Files:
    """List the files of a data set (see `brain_tumor.io.walk`), without those whose names no table can hold."""
    walked = walk.walk(root)
    missing: dict[str, list[Path]] = defaultdict(list)
    notes: list[str] = []
    for path, reason in walked.skipped.items():
        if reason.startswith(("the same folder", "results of")):
            notes.append(f"{printable(path)}: {reason}; it is not counted")
        else:
            missing[reason].append(path)
    missing[_NO_TEXT] = [path for path in walked.files if not _is_text(path)]
    problems = [f"{named(paths)}: {reason}" for reason, paths in missing.items() if paths]
    return Files([path for path in walked.files if _is_text(path)], problems, notes)


def named(paths: Iterable[str | Path]) -> str:
    """Return the first of some paths, and how many more there are."""
    first, *rest = (printable(path) for path in paths)
    return f"{first} (and {len(rest)} more)" if rest else first


def printable(path: str | Path) -> str:
    """Return a path as text, with those bytes escaped that are not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_text(path: Path) -> bool:
    """Return whether a path is UTF-8, so that tables and records can hold it."""
    return not any("\ud800" <= letter <= "\udfff" for letter in str(path))
