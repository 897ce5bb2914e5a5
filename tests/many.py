"""Slices without end, drawn as they are read: what a data set of 1,000 volumes does to memory."""

from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.datasets.base import COLUMNS, DataSet, Listing
from brain_tumor.scans.images import Content

SIDE = 128  # pixels
PER_CASE = 40  # slices
_NOISE = np.random.default_rng(0).integers(0, 60, (4 * SIDE, 4 * SIDE, 3), dtype=np.uint8)
_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE]


class Many(DataSet):
    """So many cases of 40 slices each, in whose middle third there is a tumour."""

    name = "many"

    def __init__(self, *, cases: int, cache_dir: str) -> None:
        self.cases, self.cache_dir = cases, Path(cache_dir)

    def listing(self) -> Listing:
        root = self.cache_dir / "many"
        root.mkdir(parents=True, exist_ok=True)
        rows = []
        for number in range(self.cases * PER_CASE):
            path = root / f"{number}.slice"
            path.touch()  # the cache asks for sizes and times
            case, place = divmod(number, PER_CASE)
            rows.append((path.name, path.name, f"case{case}", place, "", "", -1))
        return Listing(root, pd.DataFrame(rows, columns=COLUMNS), reader=_draw)


def _draw(path: Path, mask_path: Path | None) -> Content:  # noqa: ARG001, one draw makes both
    number = int(path.stem)
    case, place = divmod(number, PER_CASE)
    top, left = (case * 37) % (3 * SIDE), (number * 11) % (3 * SIDE)
    image = _NOISE[top : top + SIDE, left : left + SIDE].copy()
    middle = 30 + case % 60
    mask = (_ROWS - middle) ** 2 + (_COLUMNS - 64) ** 2 < (0 if abs(place - 20) > 6 else 15**2)
    image[mask] += 150
    return Content(image, f"image {number}", mask.astype(np.uint8), f"mask {number}")
