"""Write a report's blocks as Markdown with figures beside it, as one self-contained HTML page, and as CSV files."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
import pandas as pd
from matplotlib.figure import Figure

# Of the figures: by slice, by patient, and what the paper has.
COLOURS = {"slice": "#1f77b4", "patient": "#d62728", "paper": "#555555"}


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
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{block.name}.png": block.png for block in blocks if isinstance(block, Picture)}
    files |= {f"{block.name}.csv": block.numbers.to_csv().encode() for block in blocks if isinstance(block, Table)}
    files |= {"report.md": markdown(title, blocks).encode(), "report.html": html(title, blocks).encode()}
    listed = folder / "report.files"
    earlier = listed.read_text().splitlines() if listed.exists() else []
    _replace(listed, "\n".join(sorted({*files, *earlier})).encode())
    for name, content in files.items():
        _replace(folder / name, content)
    for name in set(earlier) - set(files):
        (folder / name).unlink(missing_ok=True)
    _replace(listed, "\n".join(sorted(files)).encode())


def markdown(title: str, blocks: Sequence[Block]) -> str:
    """Write blocks as Markdown; figures are files beside it."""
    parts = [f"# {title}"]
    for block in blocks:
        match block:
            case Heading(text):
                parts.append(f"## {text}")
            case Text(text, warning):
                parts.append(f"**{text}**" if warning else text)
            case Picture(name, caption):
                parts.append(f"![{caption}]({name}.png)\n\n{caption}")
            case Table(_, shown, _):
                parts.append(table_markdown(shown))
    return "\n\n".join(parts) + "\n"


def table_markdown(shown: pd.DataFrame) -> str:
    """Write a table of texts as Markdown."""
    rows = [list(shown.columns), ["---"] * len(shown.columns), *shown.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("<", "&lt;")


def html(title: str, blocks: Sequence[Block]) -> str:
    """Write blocks as one HTML page that needs no other file."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(resources.files("brain_tumor.report").joinpath("page.html").read_text())
    shown = []
    for number, block in enumerate(blocks):
        kind = type(block).__name__.lower()
        png = base64.b64encode(block.png).decode() if isinstance(block, Picture) else ""
        shown.append({"kind": kind, "block": block, "png": png, "anchor": f"part-{number}"})
    return template.render(title=title, blocks=shown)


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
