"""What `predict` writes of a case beside its tables: its mask, a picture, a page to scroll through."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from brain_tumor import atomic
from brain_tumor.data import nifti, volumes
from brain_tumor.data.cases import Case, Slices
from brain_tumor.results import case_page, plots

_SHOWN = 12  # slices in an overlay
_PAGE_PIXELS = 2**24  # of all slices of a page together, which keeps it below some ten megabytes
_PAGE_SIDES = (128, 512)  # smallest and largest side of its slices


def write_mask(folder: Path, case: Case, slices: Slices, masks: NDArray[np.uint8]) -> None:
    """Write a case's masks (n, H, W) on its own grid: NIfTI for a volume, PNG for a picture."""
    if slices.volume is None or slices.grid is None:
        with atomic.file(folder / f"{case.name}_mask.png") as temporary:
            Image.fromarray(masks[0] * 255).save(temporary)
        return
    source = next((case.sources[name] for name in ("", "flair", "t1ce") if name in case.sources), None)
    original = source.paths[0] if source is not None and source.kind == "nifti" else None
    path, volume = folder / f"{case.name}.nii.gz", slices.volume
    nifti.write_mask(path, slices.grid.volume(masks), volume.affine, original, volume.measured)


def write_overlay(path: Path, slices: Slices, table: pd.DataFrame, masks: NDArray[np.uint8] | None) -> None:
    """Write the slices that matter most side by side, with the outlines of their masks.

    Args:
        path: the picture's.
        slices: the case.
        table: of its slices.
        masks: theirs, uint8 (n, H, W); None without a segmenter.
    """
    column = "area_px" if masks is not None else table.filter(regex=r"^p\(").columns[-1]
    chosen = table[column].nlargest(_SHOWN).index.sort_values().to_numpy()
    outlined = [None] * len(chosen) if masks is None else list(masks[chosen])
    chances = table.filter(regex=r"^p\(").iloc[chosen, -1]
    titles = [f"{own}: {chance:.0%}" for own, chance in zip(chosen, chances, strict=True)]
    sheet = plots.contact_sheet(list(slices.images[chosen]), outlined, titles)
    with atomic.file(path) as temporary:
        sheet.save(temporary, format="png", compress_level=1)


def write_page(
    path: Path,
    row: dict[str, Any],
    slices: Slices,
    table: pd.DataFrame,
    masks: NDArray[np.uint8] | None,
) -> None:
    """Write a page of a case's slices, as they are in space, complete or not at all."""
    count = len(slices.images)
    smallest, largest = _PAGE_SIDES
    side = int(np.clip((_PAGE_PIXELS / count) ** 0.5, smallest, largest))
    every = -(-count * side**2 // _PAGE_PIXELS)  # of very many slices, every second, third, ...
    shown = range(0, count, every)
    height, width = volumes.extent(slices.images.shape[1:3], slices.millimetres)
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    pictures = [Image.fromarray(slices.images[own]).resize(size, Image.Resampling.BILINEAR) for own in shown]
    outlines = (
        None if masks is None else [Image.fromarray(masks[own]).resize(size, Image.Resampling.NEAREST) for own in shown]
    )
    page = case_page.render(row, table.iloc[list(shown)], pictures, outlines)
    with atomic.file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
