"""A case as one page for a browser: its slices with outlines and numbers, and nothing from outside."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy.ndimage import binary_erosion

from brain_tumor.results import templates

_OUTLINE = (0, 255, 255)
_NUMBERS = {
    "slices": "slices", "p_max": "largest probability of a tumour", "p_mean": "mean probability of a tumour",
    "volume_ml": "tumour in millilitres", "type": "type",
}  # fmt: skip


def render(
    row: Mapping[str, Any],
    table: pd.DataFrame,
    pictures: Sequence[Image.Image],
    masks: Sequence[Image.Image] | None,
) -> str:
    """Return the page's HTML.

    Args:
        row: the case's, of cases.csv; its source is not shown.
        table: of the slices shown, as in slices.csv.
        pictures: theirs, all of one size.
        masks: theirs, of 0 and 1; None without a segmenter.
    """
    outlines = [None] * len(pictures) if masks is None else [_outline(np.asarray(mask, dtype=bool)) for mask in masks]
    slices = [
        {"image": _encode(picture, "JPEG", quality=88), "outline": outline, "title": _title(line)}
        for picture, outline, line in zip(pictures, outlines, table.to_dict("records"), strict=True)
    ]
    shown = {
        "case": row["case"],
        "numbers": _numbers(row),
        "warnings": row.get("warnings", ""),
        "slices": slices,
        "size": pictures[0].size,
        "bars": _bars(table),
        "start": _start(table),
        "marked": masks is not None,
    }
    return templates.render("results", "case_page.html", shown)


def _numbers(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = {_NUMBERS.get(key, key): value for key, value in row.items() if key in _NUMBERS or key.startswith("type p")}
    return [(name, f"{value:.3g}" if isinstance(value, float) else str(value)) for name, value in found.items()]


def _title(line: Mapping[Any, Any]) -> str:
    """Say in one line what is known of a slice."""
    parts = [f"slice {line['slice']}"]
    if pd.notna(line.get("position_mm")):
        parts.append(f"{line['position_mm']:.1f} mm")
    chances = {key: value for key, value in line.items() if "p(" in str(key) and pd.notna(value)}
    parts += [f"{key} {value:.1%}" for key, value in chances.items() if key != "p(no tumour)"]
    if pd.notna(line.get("area_mm2")):
        parts.append(f"{line['area_mm2']:.0f} mm²")
    elif pd.notna(line.get("area_px")):
        parts.append(f"{line['area_px']:.0f} pixels")
    return ", ".join(parts)


def _bars(table: pd.DataFrame) -> list[float]:
    """Return what is drawn of each slice, from 0 to 1: its share of the largest area, or a probability."""
    values = table["area_px"] if "area_px" in table else table.filter(regex=r"^p\(").iloc[:, -1]
    scaled = values.astype(float) / max(float(values.max()), 1e-12) if "area_px" in table else values.astype(float)
    return [round(value, 3) for value in scaled]


def _start(table: pd.DataFrame) -> int:
    """Return the slice to begin with: the one with most tumour, or the middle one."""
    bars = _bars(table)
    return int(np.argmax(bars)) if max(bars) > 0 else len(bars) // 2


def _outline(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> str | None:
    if not mask.any():
        return None
    edge = mask & ~binary_erosion(mask)
    picture = Image.fromarray(edge.astype(np.uint8))
    picture.putpalette([0, 0, 0, *_OUTLINE])
    return _encode(picture, "PNG", transparency=0)


def _encode(picture: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
