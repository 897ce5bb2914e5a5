"""Make names of cases safe for files on any system, and texts safe to write to any file."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

_MOST_CHARACTERS = 100
_MOST_BYTES = 150  # of a name in UTF-8; file systems allow 255, and suffixes follow
_DIGEST = 8
_NESTED = (".gz", ".bz2", ".xz", ".zst")
# Windows takes these names for devices, with any suffix.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10))}


def stem(path: Path) -> str:
    """Return a file's name without its suffix; of a suffix such as `.nii.gz` both parts are dropped."""
    name = path.name
    for packed in _NESTED:
        if name.lower().endswith(packed):
            name = name[: -len(packed)]
    return name.rpartition(".")[0] or name


def safe(name: str) -> str:
    """Turn a name into one that a file can have on any system; different names stay different.

    Returns:
        The name itself where that is possible. Otherwise its plain characters, cut to 150 bytes with a hash at the end.
    """
    plain = re.sub(r"[^\w.-]", "_", name).strip(".")[:_MOST_CHARACTERS]
    if plain == name and name and len(name.encode()) <= _MOST_BYTES and name.partition(".")[0].lower() not in _DEVICES:
        return name
    short = plain.encode()[: _MOST_BYTES - _DIGEST - 1].decode(errors="ignore")
    return f"{short or 'case'}-{digest(name)}"


def distinct(names: Mapping[Path, str], taken: Sequence[str] = ()) -> dict[Path, str]:
    """Make the names of files different, even on a disk that ignores the case of letters.

    Args:
        names: a name for each file.
        taken: names that are used already.

    Returns:
        A name for each file; where several share one, each gets a hash of its file's path at the end.
    """
    counts = Counter(map(_folded, [*names.values(), *taken]))
    return {
        path: name if counts[_folded(name)] == 1 else f"{name}-{digest(os.path.realpath(path))}"
        for path, name in names.items()
    }


def of_files(paths: Sequence[Path], taken: Sequence[str] = ()) -> dict[Path, str]:
    """Name files by their stems (see `distinct`)."""
    return distinct({path: safe(stem(path)) for path in paths}, taken)


def alike(names: Sequence[str]) -> list[str]:
    """Return the names that are the same for a disk that ignores the case of letters."""
    counts = Counter(map(_folded, names))
    return [name for name in names if counts[_folded(name)] > 1]


def printable(text: str) -> str:
    """Replace bytes of a file's name that are not UTF-8 by \\xNN, so that the text can be written to any file."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def digest(text: str) -> str:
    """Return a hash of a text: eight hexadecimal digits."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGEST]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
