"""Read every slice of a data set: decode it, crop it if asked to, and fit it into a square."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from tqdm import tqdm

from brain_tumor.data.crops import Crop
from brain_tumor.datasets.base import Listing
from brain_tumor.scans.images import FittedImage, FittedMask, fit_image, fit_mask

_AHEAD = 4  # slices per thread that may be decoded before they are taken


def read(
    listing: Listing, size: int, title: str, crop: Crop | None = None
) -> Iterator[tuple[FittedImage, FittedMask | None] | ValueError]:
    """Decode every slice in order.

    Args:
        listing: the slices.
        size: side of the squares that slices are fitted into, in pixels.
        title: of the progress bar.
        crop: the crop of every slice; None for whole slices.

    Yields:
        Each slice's image and mask (None for data without), or the error that says why it cannot be read.
    """

    def read_or_error(names: tuple[str, str]) -> tuple[FittedImage, FittedMask | None] | ValueError:
        try:
            return _read_slice(listing, *names, size, crop)
        except ValueError as error:
            return error

    pairs = list(zip(listing.table["path"], listing.table["mask"], strict=True))
    workers = os.cpu_count() or 1
    waiting: deque[Future[tuple[FittedImage, FittedMask | None] | ValueError]] = deque()
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(desc=title, total=len(pairs), unit=" slices", leave=False, disable=None) as bar,
    ):
        for names in pairs:
            # No more at a time: slices that wait to be written to a slow disk would fill the memory.
            if len(waiting) == _AHEAD * workers:
                yield waiting.popleft().result()
                bar.update()
            waiting.append(pool.submit(read_or_error, names))
        while waiting:
            yield waiting.popleft().result()
            bar.update()


def _read_slice(
    listing: Listing, name: str, mask_name: str, size: int, crop: Crop | None
) -> tuple[FittedImage, FittedMask | None]:
    path, mask_path = listing.root / name, listing.root / mask_name if mask_name else None
    content = listing.reader(path, mask_path)
    image, mask = content.image, content.mask
    if mask is not None and mask.shape != image.shape[:2]:
        (mask_height, mask_width), (height, width) = mask.shape, image.shape[:2]
        raise ValueError(
            f"{mask_path}: the mask is {mask_width}x{mask_height} pixels, its image {width}x{height}. "
            "Both must have one size"
        )
    if crop is not None:
        image, mask = crop.cut(name, image, mask)
    fitted = fit_image(image, size, content.digest)
    return fitted, None if mask is None else fit_mask(mask, size, content.mask_digest)
