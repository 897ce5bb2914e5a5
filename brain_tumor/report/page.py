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

# Colours in figures of results by slice, by patient, and of the paper.
COLOURS = {"slice": "#1f77b4", "patient": "#d62728", "paper": "#555555"}

Line = Mapping[str, Any]  # a line of a table: values by name
Column = str | Callable[[Line], object]


@dataclass(frozen=True)
class Heading:
    """The title of a section."""

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
        name: name of its CSV file, without the suffix.
        shown: the table on the page: texts only.
        numbers: the table in the CSV file.
    """

    name: str
    shown: pd.DataFrame
    numbers: pd.DataFrame

    @classmethod
    def of(cls, name: str, lines: Sequence[Line], columns: Mapping[str, Column]) -> "Table":
        """Make a table of lines of numbers.

        Args:
            name: name of its CSV file, without the suffix.
            lines: values by name; the CSV file gets all of them. Lines that begin with `experiment` are indexed by it.
            columns: what the page shows, by title: a format for the values of a line, or a function of a line.
        """
        shown = [
            {
                title: column.format_map(line) if isinstance(column, str) else column(line)
                for title, column in columns.items()
            }
            for line in lines
        ]
        numbers = pd.DataFrame(lines)
        indexed = numbers.set_index("experiment") if numbers.columns[0] == "experiment" else numbers
        return cls(name, pd.DataFrame(shown), indexed)


@dataclass(frozen=True)
class Picture:
    """A figure with a caption.

    Attributes:
        name: name of its PNG file, without the suffix.
        caption: a sentence about what it shows.
        png: the file's bytes.
        shows_data: whether it shows slices of the data, which a user may not be allowed to share.
    """

    name: str
    caption: str
    png: bytes
    shows_data: bool = False

    @classmethod
    def of(cls, name: str, caption: str, figure: Figure) -> "Picture":
        """Make a picture of a matplotlib figure."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
        return cls(name, caption, buffer.getvalue())

    @classmethod
    def of_data(cls, name: str, caption: str, path: Path) -> "list[Picture]":
        """Read a picture of slices from a run's folder; [] if it does not exist."""
        return [cls(name, caption, path.read_bytes(), shows_data=True)] if path.exists() else []


Block = Heading | Text | Table | Picture


def write(title: str, blocks: Sequence[Block], folder: Path) -> None:
    """Write report.md, report.html, a PNG per figure and a CSV per table, each complete or not at all.

    Files of an earlier report in the folder that this one does not have are removed; `report.files` lists them.
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
    """Return blocks as Markdown; figures are files beside it."""
    return _render("page.md", title, blocks)


def html(title: str, blocks: Sequence[Block]) -> str:
    """Return blocks as one HTML page that needs no other file."""
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
