"""Write the files of a case: its mask, an overlay, and a page to scroll through."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.inference import case_page
from brain_tumor.inference.prediction import BEFORE, Prediction
from brain_tumor.io import atomic
from brain_tumor.metrics import plots
from brain_tumor.scans import nifti, volumes
from brain_tumor.scans.cases import Case, Slices
from brain_tumor.scans.discovery import Source
from brain_tumor.scans.images import as_rgb

_SHOWN = 12  # slices in an overlay
_SHEET_SIDE = 1024  # largest side of its slices, in pixels
_TRACE = 0.05  # of the largest mask: a slice with less has a trace of a tumour
_HEAD = 0.25  # of the brightest slice's mean intensity: a slice with more shows a head
_PAGE_PIXELS = 2**24  # of all slices of a page together, so that it stays below some ten megabytes
_PAGE_SIDES = (128, 512)  # smallest and largest side of its slices


def write_masks(folder: Path, case: Case, slices: Slices, masks: NDArray[np.uint8]) -> list[Path]:
    """Write a case's masks (n, H, W) on its own grid, NIfTI for a volume, PNG for each picture; return the files."""
    if slices.volume is None or slices.grid is None:
        numbered = [] if slices.numbers is None else [f"{case.name}_{number}" for number in slices.numbers]
        paths = [folder / f"{name}_mask.png" for name in numbered or [case.name]]
        shown = masks * np.uint8(255) if masks.max(initial=0) <= 1 else masks  # several labels keep their values
        for path, mask in zip(paths, shown, strict=True):
            with atomic.file(path) as temporary:
                Image.fromarray(mask).save(temporary)
        return paths
    path = folder / f"{case.name}.nii.gz"
    source = grid_source(case)
    original = source.paths[0] if source is not None and source.kind == "nifti" else None
    volume = slices.volume
    nifti.write_mask(path, slices.grid.volume(masks), volume.affine, original, volume.measured)
    return [path]


def grid_source(case: Case) -> Source | None:
    """Return the scan whose grid a case's masks have; None for a case without files."""
    return next((case.sources[name] for name in ("", "flair", "t1ce", *case.sources) if name in case.sources), None)


def write_overlay(path: Path, slices: Slices, prediction: Prediction) -> None:
    """Write slices side by side, as they are in space, with the outlines of their masks.

    Args:
        path: the picture's.
        slices: the case.
        prediction: what is predicted of it.
    """
    chosen = choose(slices, prediction)
    height, width = volumes.extent(slices.images.shape[1:3], slices.millimetres)
    scale = min(1.0, _SHEET_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    images = [_resize(image, size) for image in slices.images[chosen]]
    masks = [None if prediction.masks is None else _resize_mask(prediction.masks[row], size) for row in chosen]
    sheet = plots.contact_sheet(images, masks, [_title(prediction, row) for row in chosen])
    with atomic.file(path) as temporary:
        sheet.save(temporary, format="png", compress_level=1)


def choose(slices: Slices, prediction: Prediction) -> NDArray[np.intp]:
    """Choose the slices that an overlay shows, in their order.

    They are spread evenly over the slices with a tumour, or, if there are none, over those whose mask a detector has
    emptied; the slice with the largest tumour is among them. If there is room left, slices with a trace of a tumour
    come next, and then others that show a head.
    """
    flagged = prediction.tumours if len(prediction.tumours) else prediction.emptied
    chosen = np.empty(0, np.intp)
    means = slices.images.mean((1, 2, 3))
    heads = np.flatnonzero(means >= _HEAD * means.max())
    large = flagged
    if len(flagged):
        amounts = _amounts(prediction)[flagged]
        largest, large = flagged[amounts.argmax()], flagged[amounts >= _TRACE * amounts.max()]
        chosen = _spread(large, _SHOWN)
        chosen[np.abs(chosen - largest).argmin()] = largest
    for others in (large, flagged, heads):
        rest = np.setdiff1d(others, chosen)
        chosen = np.union1d(chosen, _spread(rest, _SHOWN - len(chosen)))
    return chosen


def _amounts(prediction: Prediction) -> NDArray[np.float64]:
    """Return the size of the tumour in each slice: the mask's area before a detector, or the probability."""
    if prediction.masks is None:
        return prediction.chances[prediction.shown].to_numpy(dtype=np.float64)
    return prediction.table[BEFORE if BEFORE in prediction.table else "area_px"].to_numpy(dtype=np.float64)


def _spread(rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Return at most `count` of the rows, evenly spread."""
    places = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.intp)
    return rows[places]


def _title(prediction: Prediction, row: np.intp) -> str:
    """Return a slice's title: its number and its probability."""
    chances = prediction.chances.iloc[row]
    chance = chances[prediction.positive] if prediction.positive is not None else chances.max()
    name = "" if prediction.positive is not None else f"{chances.idxmax()} "
    number, emptied = prediction.table["slice"].iloc[row], row in prediction.emptied
    return f"{number}: {name}{chance:.0%}" + ", emptied by the detector" * emptied


def _resize(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a slice (H, W, C), as it is drawn, to a width and height."""
    return np.asarray(Image.fromarray(as_rgb(image)).resize(size, Image.Resampling.BILINEAR))


def _resize_mask(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a mask (H, W) to a width and height; downsizing keeps every flagged pixel."""
    return (np.asarray(Image.fromarray((mask > 0) * np.uint8(255)).resize(size, Image.Resampling.BOX)) > 0).astype(
        np.uint8
    )


def write_page(path: Path, row: dict[str, Any], slices: Slices, prediction: Prediction) -> None:
    """Write a page of a case's slices, as they are in space, complete or not at all.

    Args:
        path: the page's.
        row: the case's, of cases.csv.
        slices: the case.
        prediction: what is predicted of it.
    """
    count = len(slices.images)
    smallest, largest = _PAGE_SIDES
    side = int(np.clip((_PAGE_PIXELS / count) ** 0.5, smallest, largest))
    every = -(-count * side**2 // _PAGE_PIXELS)  # of very many slices, every second, third, ...
    shown = range(0, count, every)
    height, width = volumes.extent(slices.images.shape[1:3], slices.millimetres)
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    pictures = [Image.fromarray(_resize(slices.images[place], size)) for place in shown]
    masks = None if prediction.masks is None else [_resize_mask(prediction.masks[place], size) for place in shown]
    if every > 1:
        row = {**row, "warnings": "; ".join(filter(None, [row["warnings"], f"one of {every} slices is shown"]))}
    page = case_page.render(
        row, prediction.table.iloc[list(shown)], pictures, masks, prediction.shown, prediction.positive
    )
    with atomic.file(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")
