"""List the input files below a folder: through links, but without systems' files and this program's results."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

MARK = ".brain_tumor"  # the file in every folder that this program fills with results
_RESULTS = "results of brain_tumor, which are no input"
# Files of Windows, macOS, Synology and file systems. Names that begin with a dot are hidden anyway.
_SYSTEM = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "thumbs.db",
     "desktop.ini"}
)  # fmt: skip


class Walk(NamedTuple):
    """The files below a folder.

    Attributes:
        files: all input files, in the order of their paths.
        skipped: paths that were left out and that a user may miss, each with the reason; no hidden or system files.
    """

    files: list[Path]
    skipped: dict[Path, str]


def walk(root: Path) -> Walk:
    """List the input files below a folder.

    Links to files and folders are followed. A folder that is reached in two ways counts once, under its real path
    where that lies below `root`. Hidden names, operating systems' folders and this program's results are left out.

    Args:
        root: a folder, which may itself have a hidden name.
    """
    files: list[Path] = []
    skipped: dict[Path, str] = {}
    seen = {_identity(root): root}
    waiting: list[Path] = [root]
    linked: list[Path] = []  # after all others, so that a folder counts under its real path
    while waiting or linked:
        folder = waiting.pop() if waiting else linked.pop(0)
        if folder.is_symlink() and folder != root and (reason := _link_refusal(folder, seen)):
            skipped[folder] = reason
            continue
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            skipped[folder] = f"cannot be opened ({error.strerror})"
            continue
        for entry in entries:
            path = folder / entry.name
            if is_hidden(entry.name):
                continue
            if entry.is_symlink() and not path.exists():
                skipped[path] = "a link to nothing; fetch what it stands for"
            elif entry.is_symlink() and path.is_dir():
                linked.append(path)
            elif path.is_dir() and is_results(path):
                skipped[path] = _RESULTS
            elif path.is_dir():
                seen[_identity(path)] = path
                waiting.append(path)
            elif path.is_file():
                files.append(path)
    return Walk(sorted(files), skipped)


def _link_refusal(folder: Path, seen: dict[tuple[int, int], Path]) -> str:
    """Return why a link to a folder is not followed; "" where it is, and then add the folder to `seen`."""
    if (known := seen.setdefault(_identity(folder), folder)) != folder:
        return f"the same folder as {known}"
    return _RESULTS if is_results(folder) else ""


def stamp(root: Path) -> str:
    """Return 16 hexadecimal digits that change with the name, size or time of any file below a folder."""
    content = hashlib.sha256()
    for path in walk(root).files:
        status = path.stat()
        content.update(repr((path.relative_to(root).as_posix(), status.st_size, status.st_mtime_ns)).encode())
    return content.hexdigest()[:16]


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is hidden or belongs to an operating system."""
    return name.startswith(".") or name.casefold() in _SYSTEM


def is_results(folder: Path) -> bool:
    """Return whether a folder holds results of this program."""
    return (folder / MARK).exists()


def make_results_folder(folder: Path) -> Path:
    """Make a folder for results if it is missing, and mark it, so that it is never read as input.

    A folder that holds other visible files already is not marked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if all(path.name.startswith(".") for path in folder.iterdir()):
        (folder / MARK).touch()
    return folder


def refuse_results(path: Path, key: str) -> None:
    """Refuse this program's results as input.

    Args:
        path: a file or folder that the user has named.
        key: the setting that names it.

    Raises:
        ValueError: it is a folder of results, or lies in one at any depth.
    """
    if any(is_results(folder) for folder in (path, *path.absolute().parents)):
        raise ValueError(f"{key}={path}: {_RESULTS}. Give the folder of the data")


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
