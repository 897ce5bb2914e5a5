"""Which files an input stands for: a file, a folder, a pattern, or a list of these."""

import codecs
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

from brain_tumor.io import walk

_MOST_LIST = 2**26  # bytes of a list
_DANGLING = "a link to nothing; fetch what it stands for"
# Of files that lie beside scans; one of these that cannot be opened is no loss.
_TEXTS = {".md", ".json", ".txt", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".html", ".py", ".log", ".bval", ".bvec"}


@dataclass
class Inputs:
    """What inputs stand for.

    Attributes:
        files: each with whether it was named itself.
        lost: what cannot be opened and may be a scan, with the reason.
        skipped: what was left out on purpose, with the reason.
    """

    files: dict[Path, bool] = field(default_factory=dict)
    lost: dict[Path, str] = field(default_factory=dict)
    skipped: dict[Path, str] = field(default_factory=dict)

    def add(self, path: Path, named: bool) -> None:
        """Add a file; one that is found twice counts once."""
        self.files[path] = self.files.get(path, False) or named


def gather(inputs: Sequence[str]) -> Inputs:
    """Find the files of inputs: files, folders, patterns, and lists of these (.txt, one a line).

    A path that exists is taken as it is written; then brackets in it are brackets, and only then a pattern. What a list
    names is looked for from the working folder, then from the list's own. Lists in lists are not read.

    Raises:
        ValueError: an input is not there, is no list, or is a result of ours.
    """
    found = Inputs()
    for text in inputs:
        path = Path(text).expanduser()
        if path.suffix.lower() == ".txt" and _is_file(path):
            walk.refuse_own(path, "input")
            _read_list(path, found)
        elif not _add(text, found):
            raise ValueError(f"input={text}: no such file or folder")
    return found


def _add(text: str, found: Inputs, home: Path | None = None) -> bool:
    """Add what a path or a pattern stands for, from the working folder or from `home`; False where that is nothing."""
    path = Path(text).expanduser()
    for own in [path] if home is None or path.is_absolute() else [path, home / path]:
        if os.path.lexists(own):
            walk.refuse_own(own, "input")
            _add_existing(own, found)
            return True
        if matches := _matches(str(own)):
            for match in matches:
                if reason := _not_meant(match):
                    found.skipped[match] = reason
                else:
                    _add_existing(match, found)
            return True
    return False


def _matches(pattern: str) -> list[Path]:
    """Return what a pattern finds, its brackets taken as brackets where that finds something; no system's files."""
    literal = pattern.replace("[", "[[]")
    found = (literal != pattern and glob(literal, recursive=True)) or glob(pattern, recursive=True)
    above = len(Path(pattern).parts) if "**" not in pattern else Path(pattern).parts.index("**")
    written = set(Path(pattern).parts[:above])
    paths = [Path(own) for own in sorted(found)]
    return [path for path in paths if not any(walk.is_hidden(part) for part in set(path.parts) - written)]


def _not_meant(match: Path) -> str:
    """Return why something that a pattern finds is no input; "" for nothing."""
    folders = [match, *match.parents] if match.is_dir() else match.parents
    return "results of brain_tumor, which are no input" if any(walk.is_own(own) for own in folders) else ""


def _add_existing(path: Path, found: Inputs) -> None:
    if path.is_dir():
        inside = walk.walk(path)
        for own in inside.files:
            found.add(own, False)
        _sort(inside.skipped.items(), found)
    elif path.is_file():
        found.add(path, True)
    elif path.is_symlink():
        found.lost[path] = _DANGLING
    else:
        found.lost[path] = "neither a file nor a folder"


def _sort(skipped: Iterable[tuple[Path, str]], found: Inputs) -> None:
    """Tell what cannot be opened, and so may be a scan, from what is left out on purpose."""
    for path, reason in skipped:
        unread = not path.exists() or not os.access(path, os.R_OK | os.X_OK)
        lost = unread and path.suffix.lower() not in _TEXTS
        (found.lost if lost else found.skipped)[path] = reason


def _read_list(path: Path, found: Inputs) -> None:
    for line in _lines(path):
        own = Path(line).expanduser()
        if own.suffix.lower() == ".txt" and any(map(_is_file, (own, path.parent / own))):
            found.skipped[own] = "a list in a list, which is not read"
        elif not _add(line, found, path.parent):
            found.lost[own] = "no such file or folder"


def _is_file(path: Path) -> bool:
    """Return whether a path is a file; one that no file can have, such as a long pattern, is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _lines(path: Path) -> list[str]:
    """Return a list's lines, in UTF-8 or, as PowerShell writes, UTF-16; bytes of another encoding stay as they are.

    Raises:
        ValueError: it is no text.
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
