"""A data set of one's own, as a user would write one: patients' slices, some with a bright spot, drawn at first use."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from brain_tumor.datasets.base import COLUMNS, DataSet, Listing, Remarks

SLICES = 6  # of each patient
SIDE = 48  # pixels


class Spots(DataSet):
    """Slices of so many patients; every other one has a spot.

    Args:
        root: where they are; drawn where they are missing.
        patients: how many.
    """

    name = "spots"
    sequences = ("flair",) * 3
    licence = "CC0 (spots that a test has drawn)"
    target = "class"
    positive = "spotted"

    def __init__(self, *, root: str, patients: int = 8) -> None:
        self.root: Path = Path(root)
        self.patients = patients

    def listing(self) -> Listing:
        rows = []
        for number in range(self.patients * SLICES):
            patient, place = divmod(number, SLICES)
            spotted = bool(number % 2)
            name = f"{patient}/{place}.png"
            if not (self.root / name).exists():
                _draw(self.root / name, number, spotted)
            rows.append((name, "", f"patient{patient}", place, "spotted" if spotted else "clear", "", -1))
        return Listing(self.root, pd.DataFrame(rows, columns=COLUMNS))

    def differences(self, listing: Listing) -> list[str]:
        return [] if len(listing.table) == 48 else [f"{len(listing.table)} slices, published are 48"]

    def remarks(self, listing: Listing) -> Remarks:
        return Remarks([], ["spots are where they are"])


def _draw(path: Path, seed: int, spotted: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    pixels = np.random.default_rng(seed).integers(40, 90, (SIDE, SIDE), dtype=np.uint8)
    if spotted:
        pixels[np.hypot(rows - 20, columns - 25) < 8] = 230
    Image.fromarray(pixels).save(path)
