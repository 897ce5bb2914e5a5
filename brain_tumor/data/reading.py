"""Read every slice of a data set: decode it, crop it if asked to, and fit it into a square."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from tqdm import tqdm

from brain_tumor.data.crops import Crop
from brain_tumor.datasets.base import Listing, Stack
from brain_tumor.scans.images import Content, FittedImage, FittedMask, fit_image, fit_mask

_AHEAD = 4  # slices per thread that may be decoded before they are taken
Read = tuple[FittedImage, FittedMask | None]


def read(
    listing: Listing, size: int, title: str, crop: Crop | None = None, start: int = 0
) -> Iterator[tuple[int, list[Read] | ValueError]]:
    """Decode every slice in order, those of a volume together.

    Args:
        listing: the slices.
        size: side of the squares that slices are fitted into, in pixels.
        title: of the progress bar.
        crop: the crop of every slice; None for whole slices.
        start: the row to begin with, where a volume begins.

    Yields:
        The row of a first slice, and the image and mask (None for data without) of this slice and of those that are
        read together with it; or the error that says why they cannot be read.
    """
    names = list(zip(listing.table["path"], listing.table["mask"], strict=True))
    stacks = listing.read_together
    rows = [0]
    for stack in stacks:
        rows.append(rows[-1] + stack.count)

    def read_or_error(stack: Stack, row: int) -> tuple[int, list[Read] | ValueError]:
        try:
            contents = stack.read()
            assert len(contents) == stack.count, "a volume has as many slices as are listed"
            return row, [
                _fit(listing, *names[row + place], content, size, crop) for place, content in enumerate(contents)
            ]
        except ValueError as error:
            return row, error

    workers = os.cpu_count() or 1
    # No more at a time: slices that wait to be written to a slow disk would fill the memory, and so would volumes.
    most = workers * (_AHEAD if listing.stacks is None else 1)
    waiting: deque[Future[tuple[int, list[Read] | ValueError]]] = deque()
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(desc=title, total=len(names), initial=start, unit=" slices", leave=False, disable=None) as bar,
    ):
        for stack, row in zip(stacks, rows, strict=False):
            if row < start:
                continue
            if len(waiting) == most:
                yield _next(waiting, bar)
            waiting.append(pool.submit(read_or_error, stack, row))
        while waiting:
            yield _next(waiting, bar)


def _next(
    waiting: "deque[Future[tuple[int, list[Read] | ValueError]]]", bar: "tqdm[Any]"
) -> tuple[int, list[Read] | ValueError]:
    row, result = waiting.popleft().result()
    bar.update(1 if isinstance(result, ValueError) else len(result))
    return row, result


def _fit(listing: Listing, name: str, mask_name: str, content: Content, size: int, crop: Crop | None) -> Read:
    image, mask = content.image, content.mask
    if image.shape[-1] != listing.channels:
        raise ValueError(f"{listing.root / name}: has {image.shape[-1]} channels, the data set {listing.channels}")
    if mask is not None and mask.shape != image.shape[:2]:
        (mask_height, mask_width), (height, width) = mask.shape, image.shape[:2]
        raise ValueError(
            f"{listing.root / mask_name}: the mask is {mask_width}x{mask_height} pixels, its image {width}x{height}. "
            "Both must have one size"
        )
    if crop is not None:
        image, mask = crop.cut(name, image, mask)
    fitted = fit_image(image, size, content.digest)
    return fitted, None if mask is None else fit_mask(mask, size, content.mask_digest)
