"""Render a case as one HTML page: its slices with outlines and numbers; the page loads no other file."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion

from brain_tumor.io import templates

_OUTLINE = (0, 255, 255)
_NUMBERS = {
    "slices": "slices", "p_max": "largest probability of {positive}", "p_mean": "mean probability of {positive}",
    "class": "most probable class", "slices_by_class": "slices by class", "volume_ml": "{positive} in millilitres",
    "detector_p_max": "largest probability by the detector",
    "emptied_slices": "slices whose mask the detector emptied", "emptied_ml": "emptied millilitres",
    "emptied_px": "emptied pixels", "type": "type",
    "diameter_mm": "longest diameter in a slice, mm", "diameter_px": "longest diameter in a slice, pixels",
    "across_mm": "longest diameter across it, mm", "across_px": "longest diameter across it, pixels",
    "diameter_slice": "their slice", "components": "components",
    "side_approximate": "side of the midline (approximate)", "flagged_share": "share of slices with {positive}",
    "intervals": "intervals", "masks_dice": "Dice with the given mask", "masks_ml": "the given mask in millilitres",
    "masks_difference_ml": "ours less the given, millilitres", "masks_px": "the given mask in pixels",
    "masks_difference_px": "ours less the given, pixels", "masks_lesions": "the given mask's components",
    "masks_lesions_hit": "of these touched by ours", "masks_false_components": "components of ours that touch none",
}  # fmt: skip


def render(
    row: Mapping[str, Any],
    table: pd.DataFrame,
    pictures: Sequence[Image.Image],
    masks: Sequence[NDArray[np.uint8]] | None,
    drawn: str,
    positive: str | None,
) -> str:
    """Return the page's HTML.

    Args:
        row: the case's row of cases.csv; its source is not shown.
        table: of the slices to show, as in slices.csv.
        pictures: of these slices, all of one size.
        masks: of these slices, uint8 (H, W) of 0 and 1; None without a segmenter.
        drawn: the class whose probability is drawn along the slices.
        positive: the class that means a tumour; None if the data does not say.
    """
    outlines = [None] * len(pictures) if masks is None else [_outline(mask.astype(bool)) for mask in masks]
    slices = [
        {"image": _encode(picture, "JPEG", quality=88), "outline": outline, "title": _title(line, positive)}
        for picture, outline, line in zip(pictures, outlines, table.to_dict("records"), strict=True)
    ]
    shown = {
        "case": row["case"],
        "numbers": _numbers(row, positive),
        "warnings": row.get("warnings", ""),
        "slices": slices,
        "size": pictures[0].size,
        "bars": _bars(table, drawn),
        "start": _start(table, drawn),
        "has_masks": masks is not None,
        "drawn": drawn,
    }
    return templates.render("inference", "case_page.html", shown)


def _numbers(row: Mapping[str, Any], positive: str | None) -> list[tuple[str, str]]:
    """Return the titles and values of the table beside the slices."""
    titles = {
        **{key: f"mean {key}" for key in row if key.startswith("p(")},
        **{key: key for key in row if key.startswith("type p(")},
        **{key: title.replace("{positive}", str(positive)) for key, title in _NUMBERS.items()},
    }
    return [(titles[key], _shown(value, row, key)) for key, value in row.items() if key in titles]


def _shown(value: Any, row: Mapping[str, Any], key: str) -> str:
    """Return a number of the table, with its interval where it has one."""
    if not isinstance(value, float):
        return "" if value is None else str(value)
    low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
    return f"{value:.3g}" if low is None or high is None else f"{value:.3g} ({low:.3g} to {high:.3g})"


def _title(line: Mapping[Any, Any], positive: str | None) -> str:
    """Return a slice's title: its place, its probabilities (only the positive one if there is one), its mask's area."""
    parts = [f"slice {line['slice']}"]
    if pd.notna(line.get("position_mm")):
        parts.append(f"{line['position_mm']:.1f} mm")
    chances = [str(key) for key in line if str(key).startswith("p(")]
    shown = [f"p({positive})"] if positive is not None and len(chances) == 2 else chances
    others = [str(key) for key in line if str(key).startswith(("detector p(", "type p("))]
    parts += [f"{key} {line[key]:.1%}" for key in [*shown, *others] if pd.notna(line[key])]
    if pd.notna(line.get("area_mm2")):
        parts.append(f"{line['area_mm2']:.0f} mm²")
    elif pd.notna(line.get("area_px")):
        parts.append(f"{line['area_px']:.0f} pixels")
    return ", ".join(parts)


def _bars(table: pd.DataFrame, drawn: str) -> list[float]:
    """Return the bar of each slice, from 0 to 1: its share of the largest area, or a class's probability."""
    values = table["area_px"] if "area_px" in table else table[f"p({drawn})"]
    scaled = values.astype(float) / max(float(values.max()), 1e-12) if "area_px" in table else values.astype(float)
    return [round(value, 3) for value in scaled]


def _start(table: pd.DataFrame, drawn: str) -> int:
    """Return the slice to show first: the one with the highest bar, or the middle one if there are none."""
    bars = _bars(table, drawn)
    return int(np.argmax(bars)) if max(bars) > 0 else len(bars) // 2


def _outline(mask: NDArray[np.bool_]) -> str | None:
    """Return the outline of a mask (H, W) as a transparent picture; None for an empty mask."""
    if not mask.any():
        return None
    edge = mask & ~binary_erosion(mask)
    picture = Image.fromarray(edge.astype(np.uint8))
    picture.putpalette([0, 0, 0, *_OUTLINE])
    return _encode(picture, "PNG", transparency=0)


def _encode(picture: Image.Image, format_: str, **options: Any) -> str:
    """Return a picture as a data URL."""
    buffer = io.BytesIO()
    picture.save(buffer, format_, **options)
    return f"data:image/{format_.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
