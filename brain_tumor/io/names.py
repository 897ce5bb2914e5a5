"""Names of cases, which files can have anywhere, and texts that any file can hold."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

_MOST_CHARACTERS = 100
_MOST_BYTES = 150  # of a name in UTF-8; a file system takes 255, and suffixes come behind
_DIGEST = 8
_NESTED = (".gz", ".bz2", ".xz", ".zst")
# Windows takes these for devices, whatever stands behind a dot.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10))}


def stem(path: Path) -> str:
    """Return a file's name without its suffix, and without the one under `.gz`."""
    name = path.name
    for packed in _NESTED:
        if name.lower().endswith(packed):
            name = name[: -len(packed)]
    return name.rpartition(".")[0] or name


def safe(name: str) -> str:
    """Turn a name into one that a file can have anywhere; unlike names stay unlike.

    Returns:
        The name itself where that is possible; else what is plain of it, cut to 150 bytes, with a hash behind it.
    """
    plain = re.sub(r"[^\w.-]", "_", name).strip(".")[:_MOST_CHARACTERS]
    if plain == name and name and len(name.encode()) <= _MOST_BYTES and name.partition(".")[0].lower() not in _DEVICES:
        return name
    short = plain.encode()[: _MOST_BYTES - _DIGEST - 1].decode(errors="ignore")
    return f"{short or 'case'}-{digest(name)}"


def distinct(names: Mapping[Path, str], taken: Sequence[str] = ()) -> dict[Path, str]:
    """Make the names of files unlike, also where a disk takes capital letters for small ones.

    Args:
        names: of the files.
        taken: names that others have.

    Returns:
        The names; those that several have, with a hash of where each file is.
    """
    counts = Counter(map(_folded, [*names.values(), *taken]))
    return {
        path: name if counts[_folded(name)] == 1 else f"{name}-{digest(os.path.realpath(path))}"
        for path, name in names.items()
    }


def of_files(paths: Sequence[Path], taken: Sequence[str] = ()) -> dict[Path, str]:
    """Name files by their stems, and where several have one, also by a hash of where they are."""
    return distinct({path: safe(stem(path)) for path in paths}, taken)


def alike(names: Sequence[str]) -> list[str]:
    """Return the names that a disk may take for one another."""
    counts = Counter(map(_folded, names))
    return [name for name in names if counts[_folded(name)] > 1]


def printable(text: str) -> str:
    """Write bytes of a file's name that are no UTF-8 as \\xNN, so that any file can hold the text."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def digest(text: str) -> str:
    """Return a short hash of a text."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGEST]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
