"""Read and write JSON files and tables; a written file is complete or does not exist."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from brain_tumor.io import atomic


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        ValueError: the file cannot be read, or holds no object.
    """
    content = _read(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not a record of brain_tumor; it lacks everything")
    return content


def read_json_list(path: Path) -> list[Any]:
    """Return the list in a JSON file.

    Raises:
        ValueError: the file cannot be read, or holds no list.
    """
    content = _read(path)
    if not isinstance(content, list):
        raise ValueError(f"{path}: holds no list")
    return content


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: damaged or unreadable ({error})") from error


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, complete or not at all; NaN and infinite numbers become null."""
    text = json.dumps(_plain(value), indent=1, allow_nan=False) + "\n"
    with atomic.file(path) as temporary:
        temporary.write_text(text)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without its index, complete or not at all."""
    with atomic.file(path) as temporary:
        table.to_csv(temporary, index=False, encoding="utf-8")


def read_csv(path: Path) -> pd.DataFrame:
    """Read a table of slices: columns of names as text, and all others as numbers, NaN where there is none.

    Raises:
        ValueError: the file is missing or damaged.
    """
    names = dict.fromkeys(("path", "case", "person", "part", "digest", "run_lengths"), str)
    try:
        table = pd.read_csv(path, dtype=names, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: missing or damaged ({error})") from error
    numbers = [name for name in table if name not in names]
    return table.assign(**table[numbers].apply(pd.to_numeric, errors="coerce"))


def columns(classes: Sequence[str]) -> list[str]:
    """Return the names of the columns with the classes' probabilities, as in every table of slices."""
    return [f"p({name})" for name in classes]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
