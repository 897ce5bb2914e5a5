"""Write a report's blocks as Markdown with figures beside it, as one self-contained HTML page, and as CSV files."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from brain_tumor.io import atomic, templates, walk

# Of the figures: by slice, by patient, and what the paper has.
COLOURS = {"slice": "#1f77b4", "patient": "#d62728", "paper": "#555555"}

Line = Mapping[str, Any]  # of a table
Column = str | Callable[[Line], object]


@dataclass(frozen=True)
class Heading:
    """A section's title."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph; `warning` makes it stand out."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: of its CSV file.
        shown: what the page shows: texts only.
        numbers: what the CSV file holds.
    """

    name: str
    shown: pd.DataFrame
    numbers: pd.DataFrame

    @classmethod
    def of(cls, name: str, lines: Sequence[Line], columns: Mapping[str, Column]) -> "Table":
        """Put lines of numbers in a table.

        Args:
            name: of its CSV file.
            lines: numbers and names, of which the file gets all; those that have an `experiment` begin with it.
            columns: what the page shows of a line, by title: a format of its values, or a function of it.
        """
        shown = [
            {title: own.format_map(line) if isinstance(own, str) else own(line) for title, own in columns.items()}
            for line in lines
        ]
        numbers = pd.DataFrame(lines)
        indexed = numbers.set_index("experiment") if numbers.columns[0] == "experiment" else numbers
        return cls(name, pd.DataFrame(shown), indexed)


@dataclass(frozen=True)
class Picture:
    """A figure with what it shows in words.

    Attributes:
        name: of its PNG file.
        caption: what it shows.
        png: the file's bytes.
        shows_data: it shows slices of the data, which are perhaps not to be passed on.
    """

    name: str
    caption: str
    png: bytes
    shows_data: bool = False

    @classmethod
    def of(cls, name: str, caption: str, figure: Figure) -> "Picture":
        """Draw a figure."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
        return cls(name, caption, buffer.getvalue())

    @classmethod
    def of_data(cls, name: str, caption: str, path: Path) -> "list[Picture]":
        """Take a picture of slices from a run's folder, if it is there."""
        return [cls(name, caption, path.read_bytes(), shows_data=True)] if path.exists() else []


Block = Heading | Text | Table | Picture


def write(title: str, blocks: Sequence[Block], folder: Path) -> None:
    """Write report.md, report.html, and a PNG a figure and a CSV a table, each complete or not at all.

    What an earlier report has left in the folder, and this one has not, is removed: `report.files` names it.
    """
    walk.make_results_folder(folder)
    files = {f"{block.name}.png": block.png for block in blocks if isinstance(block, Picture)}
    files |= {f"{block.name}.csv": block.numbers.to_csv().encode() for block in blocks if isinstance(block, Table)}
    files |= {"report.md": markdown(title, blocks).encode(), "report.html": html(title, blocks).encode()}
    listed = folder / "report.files"
    earlier = listed.read_text().splitlines() if listed.exists() else []
    _write(listed, "\n".join(sorted({*files, *earlier})).encode())
    for name, content in files.items():
        _write(folder / name, content)
    for name in set(earlier) - set(files):
        (folder / name).unlink(missing_ok=True)
    _write(listed, "\n".join(sorted(files)).encode())


def _write(path: Path, content: bytes) -> None:
    with atomic.file(path) as temporary:
        temporary.write_bytes(content)


def markdown(title: str, blocks: Sequence[Block]) -> str:
    """Write blocks as Markdown; figures are files beside it."""
    return _render("page.md", title, blocks)


def html(title: str, blocks: Sequence[Block]) -> str:
    """Write blocks as one HTML page that needs no other file."""
    return _render("page.html", title, blocks)


def _render(template: str, title: str, blocks: Sequence[Block]) -> str:
    return templates.render(
        "report",
        template,
        {"title": title, "blocks": blocks},
        base64=lambda png: base64.b64encode(png).decode(),
        cell=lambda value: str(value).replace("|", "\\|").replace("<", "&lt;"),
        kind=lambda block: type(block).__name__,
    )
