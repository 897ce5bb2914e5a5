"""Which files below a folder are input: also those behind links, but neither systems' leftovers nor our own results."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

MARK = ".brain_tumor"  # lies in every folder that this program fills with results
# Of Windows, macOS, Synology and file systems; names that begin with a dot are hidden by themselves.
_SYSTEM = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "thumbs.db",
     "desktop.ini"}
)  # fmt: skip


class Walk(NamedTuple):
    """What lies below a folder.

    Attributes:
        files: all files that are input, in the order of their paths.
        skipped: what was left out and may be missed, each with the reason; hidden and system files are not.
    """

    files: list[Path]
    skipped: dict[Path, str]


def walk(root: Path) -> Walk:
    """List every file below a folder.

    Links to files and folders are followed; a folder that is reached in two ways counts once, under its own name where
    it has one below `root`. Hidden names, folders of operating systems and folders of our own results are left out.

    Args:
        root: a folder, whatever it is called.
    """
    files: list[Path] = []
    skipped: dict[Path, str] = {}
    seen = {_identity(root): root}
    waiting: list[Path] = [root]
    linked: list[Path] = []
    while waiting or linked:
        folder = waiting.pop() if waiting else linked.pop(0)
        if folder.is_symlink() and folder != root:
            if (known := seen.setdefault(_identity(folder), folder)) != folder:
                skipped[folder] = f"the same folder as {known}"
                continue
            if is_own(folder):
                skipped[folder] = "results of brain_tumor, which are no input"
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
            elif path.is_dir():
                if is_own(path):
                    skipped[path] = "results of brain_tumor, which are no input"
                else:
                    seen[_identity(path)] = path
                    waiting.append(path)
            elif path.is_file():
                files.append(path)
    return Walk(sorted(files), skipped)


def stamp(root: Path) -> str:
    """Identify the files below a folder by their names, sizes and times: 16 hexadecimal digits."""
    content = hashlib.sha256()
    for path in walk(root).files:
        status = path.stat()
        content.update(repr((path.relative_to(root).as_posix(), status.st_size, status.st_mtime_ns)).encode())
    return content.hexdigest()[:16]


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is hidden, or an operating system's own."""
    return name.startswith(".") or name.casefold() in _SYSTEM


def is_own(folder: Path) -> bool:
    """Return whether a folder holds our own results."""
    return (folder / MARK).exists()


def make_own(folder: Path) -> Path:
    """Make a folder for results, where it is missing, and mark it, so that it is never taken for input.

    A folder that somebody else has filled stays as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if all(path.name.startswith(".") for path in folder.iterdir()):
        (folder / MARK).touch()
    return folder


def refuse_own(path: Path, key: str) -> None:
    """Refuse results as input.

    Args:
        path: a file or folder that was named itself.
        key: the setting that names it.

    Raises:
        ValueError: it is a folder of our own results, or lies in one, however deep.
    """
    if any(is_own(folder) for folder in (path, *path.absolute().parents)):
        raise ValueError(f"{key}={path}: results of brain_tumor, which are no input. Give the data's own folder")


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
