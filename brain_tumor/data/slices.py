"""The slices of a data set on disk: one row a slice, with its mask, case and class; and how they are read.

A listing is a `pandas.DataFrame` with the columns

    path    the image, relative to the root, with forward slashes
    mask    its mask, likewise; "" where the data has none
    case    the patient's or scan's name; "" where unknown
    slice   the slice's number within its case; -1 where unknown
    class   the name of its class; "" where folders name none
    part    "train", "val" or "test" where the folders say so; "" elsewhere
    fold    the number of its fold where the folders say so; -1 elsewhere

and, where several cases may be one person, `person`, the name that these share.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from brain_tumor.data.images import Content, Mask, Picture, fit_image, fit_mask, read_files
from brain_tumor.data.regions import Crop

_AHEAD = 4  # slices a thread that may wait for whoever takes them
COLUMNS = ["path", "mask", "case", "slice", "class", "part", "fold"]
# Reads an image and its mask, if it has one, from their files; ValueError says what is wrong with them.
Reader = Callable[[Path, Path | None], Content]


@dataclass
class Listing:
    """The slices under a root.

    Attributes:
        root: the folder that every path in `table` is relative to.
        table: one row a slice (see the module's docstring).
        problems: what is wrong with the files' names and pairing, a line each.
        notes: what is worth knowing but no fault, likewise.
        ignored: files that are neither image nor mask.
        copies: other folders that hold the same tree again, left out.
        reader: reads a slice's files.
        crop: what is cut out of every slice; None for all of it.
        patients: what is known of patients: a row a case, a column a target, texts; "" for unknown.
    """

    root: Path
    table: pd.DataFrame
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)
    reader: Reader = read_files
    crop: Crop | None = None
    patients: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def decoding(self) -> str:
        """What files are decoded to besides the size: "" for whole slices."""
        return "" if self.crop is None else f" {self.crop.key}"


def read(listing: Listing, size: int, title: str) -> Iterator[tuple[Picture, Mask | None] | ValueError]:
    """Decode every slice in order: its image and its mask (None for data without), or what is wrong with them.

    Args:
        listing: the slices.
        size: side of the squares they are fitted into, in pixels.
        title: of the progress bar.
    """

    def one(names: tuple[str, str]) -> tuple[Picture, Mask | None] | ValueError:
        try:
            return _read_slice(listing, *names, size)
        except ValueError as error:
            return error

    pairs = list(zip(listing.table["path"], listing.table["mask"], strict=True))
    workers = os.cpu_count() or 1
    waiting: deque[Future[tuple[Picture, Mask | None] | ValueError]] = deque()
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(desc=title, total=len(pairs), unit=" slices", leave=False, disable=None) as bar,
    ):
        for names in pairs:
            # No more at a time: slices that wait for a slow disk would fill the memory.
            if len(waiting) == _AHEAD * workers:
                yield waiting.popleft().result()
                bar.update()
            waiting.append(pool.submit(one, names))
        while waiting:
            yield waiting.popleft().result()
            bar.update()


def _read_slice(listing: Listing, name: str, mask_name: str, size: int) -> tuple[Picture, Mask | None]:
    path, mask_path = listing.root / name, listing.root / mask_name if mask_name else None
    content = listing.reader(path, mask_path)
    image, mask = content.image, content.mask
    if mask is not None and mask.shape != image.shape[:2]:
        (mask_height, mask_width), (height, width) = mask.shape, image.shape[:2]
        raise ValueError(
            f"{mask_path}: the mask is {mask_width}x{mask_height} pixels, its image {width}x{height}. "
            "Both must have one size"
        )
    if listing.crop is not None:
        image, mask = listing.crop.cut(name, image, mask)
    picture = fit_image(image, size, content.digest)
    return picture, None if mask is None else fit_mask(mask, size, content.mask_digest)
