"""Find the files that an input names: a file, a folder, a pattern, or a list of these."""

import codecs
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

from brain_tumor.io import walk

_MOST_LIST = 2**26  # bytes of a list
_DANGLING = "a link to nothing; fetch what it stands for"
# Suffixes of texts that often lie beside scans: no scan is lost where one of these cannot be opened.
_TEXTS = {".md", ".json", ".txt", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".html", ".py", ".log", ".bval", ".bvec"}


@dataclass
class Inputs:
    """The files that inputs name.

    Attributes:
        files: each file, with whether the user named the file itself and not only its folder.
        lost: paths that cannot be opened and may be scans, each with the reason.
        skipped: paths that were left out on purpose, each with the reason.
    """

    files: dict[Path, bool] = field(default_factory=dict)
    lost: dict[Path, str] = field(default_factory=dict)
    skipped: dict[Path, str] = field(default_factory=dict)

    def add(self, path: Path, named: bool) -> None:
        """Add a file; one that is added twice counts once."""
        self.files[path] = self.files.get(path, False) or named


def gather(inputs: Sequence[str]) -> Inputs:
    """Find the files that inputs name: files, folders, patterns, and lists of these (.txt, one per line).

    A text is taken as a path if that exists, then as a pattern whose brackets are plain characters, then as a pattern
    with brackets. Paths in a list are relative to the working folder or else to the list's folder. Lists in lists are
    not read.

    Raises:
        ValueError: an input does not exist, is no readable list, or is a result of this program.
    """
    gathered = Inputs()
    for text in inputs:
        path = Path(text).expanduser()
        if path.suffix.lower() == ".txt" and _is_file(path):
            walk.refuse_results(path, "input")
            _read_list(path, gathered)
        elif not _add(text, gathered):
            raise ValueError(f"input={text}: no such file or folder")
    return gathered


def _add(text: str, gathered: Inputs, list_folder: Path | None = None) -> bool:
    """Add the files of a path or a pattern, relative to the working folder or else to the folder of the list.

    Returns:
        Whether there is any.
    """
    path = Path(text).expanduser()
    for candidate in [path] if list_folder is None or path.is_absolute() else [path, list_folder / path]:
        if os.path.lexists(candidate):
            walk.refuse_results(candidate, "input")
            _add_existing(candidate, gathered)
            return True
        if matches := _matches(str(candidate)):
            for match in matches:
                if reason := _refusal(match):
                    gathered.skipped[match] = reason
                else:
                    _add_existing(match, gathered)
            return True
    return False


def _matches(pattern: str) -> list[Path]:
    """Return the paths that match a pattern, without hidden ones that the pattern does not name.

    Brackets are plain characters where that matches anything, and sets of characters otherwise.
    """
    literal = pattern.replace("[", "[[]")
    texts = (literal != pattern and glob(literal, recursive=True)) or glob(pattern, recursive=True)
    above = len(Path(pattern).parts) if "**" not in pattern else Path(pattern).parts.index("**")
    written = set(Path(pattern).parts[:above])
    paths = [Path(text) for text in sorted(texts)]
    return [path for path in paths if not any(walk.is_hidden(part) for part in set(path.parts) - written)]


def _refusal(match: Path) -> str:
    """Return why a path that matches a pattern is no input; "" where it is one."""
    folders = [match, *match.parents] if match.is_dir() else match.parents
    return "results of brain_tumor, which are no input" if any(walk.is_results(folder) for folder in folders) else ""


def _add_existing(path: Path, gathered: Inputs) -> None:
    if path.is_dir():
        inside = walk.walk(path)
        for file in inside.files:
            gathered.add(file, False)
        _sort(inside.skipped.items(), gathered)
    elif path.is_file():
        gathered.add(path, True)
    elif path.is_symlink():
        gathered.lost[path] = _DANGLING
    else:
        gathered.lost[path] = "neither a file nor a folder"


def _sort(skipped: Iterable[tuple[Path, str]], gathered: Inputs) -> None:
    """Sort skipped paths: one that cannot be opened may be a scan and is lost, the others are left out on purpose."""
    for path, reason in skipped:
        unread = not path.exists() or not os.access(path, os.R_OK | os.X_OK)
        is_lost = unread and path.suffix.lower() not in _TEXTS
        (gathered.lost if is_lost else gathered.skipped)[path] = reason


def _read_list(path: Path, gathered: Inputs) -> None:
    for line in _lines(path):
        entry = Path(line).expanduser()
        if entry.suffix.lower() == ".txt" and any(map(_is_file, (entry, path.parent / entry))):
            gathered.skipped[entry] = "a list in a list, which is not read"
        elif not _add(line, gathered, path.parent):
            gathered.lost[entry] = "no such file or folder"


def _is_file(path: Path) -> bool:
    """Return whether a path is a file; a text that is no possible path, such as a long pattern, is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _lines(path: Path) -> list[str]:
    """Return the lines of a list in UTF-8 or, as PowerShell writes it, UTF-16.

    Bytes of another encoding stay as they are, since names of files may hold any bytes.

    Raises:
        ValueError: the file is no text, or larger than a list can be.
    """
    with path.open("rb") as file:
        content = file.read(_MOST_LIST + 1)
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = content.decode("utf-16")
        else:
            text = os.fsdecode(content.removeprefix(codecs.BOM_UTF8))
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or len(content) > _MOST_LIST:
        raise ValueError(f"input={path}: a list is a text file with a path a line")
    return [line.strip() for line in text.splitlines() if line.strip()]
