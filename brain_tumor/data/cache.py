"""Decode every slice once into memory-mapped uint8 arrays, which all later runs share whatever their target is.

    <cache_dir>/slices/<key>/images.npy     uint8 (N, size, size, C), channels last as the convolutions want them
    <cache_dir>/slices/<key>/masks.npy      uint8 (N, size, size), labels, 0 for none; absent for data without masks
    <cache_dir>/slices/<key>/originals.bin  the masks at their files' sizes, one bit per pixel, each from a new byte;
                                            of several labels as many such bit planes as their values have bits
    <cache_dir>/slices/<key>/facts.csv      digests, original sizes, and whether a mask has any foreground
    <cache_dir>/slices/<stamp>.key          which key the files with these names, sizes and times had
    <cache_dir>/slices/<stamp>.partial/     what a decoding has got so far; a killed one goes on from there

The key is a hash of the files' contents, so equal data shares one entry wherever it lies. The stamp is a hash of names,
sizes and modification times: it leads to the key without reading 1 GB, and a changed file changes it.
"""

import errno
import hashlib
import shutil
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.typing import NDArray

from brain_tumor.data import decoding
from brain_tumor.data.crops import Crop
from brain_tumor.datasets.base import Listing
from brain_tumor.datasets.regions import BINARY, Regions
from brain_tumor.io import atomic
from brain_tumor.scans.images import as_rgb, unfit_image

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MAKE_ROOM = "Make room there, or choose another cache_dir"
_MUCH = 10**9  # bytes; what takes more is said beforehand


@dataclass(frozen=True)
class DecodedSlices:
    """The decoded slices of a data set: pixels, masks and facts.

    Attributes:
        key: identifies pixels, order and size; 16 hexadecimal digits.
        facts: one row per slice: `digest` and `mask_digest` (SHA-256 of the files; "" for no mask), `positive` (whether
            the mask has any foreground at its file's size), `height` and `width` (in pixels, before resizing).
        images: uint8 (N, size, size, C), memory-mapped.
        masks: uint8 (N, size, size) of labels, memory-mapped; None for data without masks.
        folder: holds them in the cache.
        regions: what the labels mean.
    """

    key: str
    facts: pd.DataFrame
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8] | None
    folder: Path
    _packed: NDArray[np.uint8] | None
    regions: Regions = BINARY

    def original_mask(self, row: int) -> NDArray[np.uint8]:
        """Return where a slice has any region, at its file's size: uint8 (height, width) of 0 and 1.

        Raises:
            ValueError: the slice has no mask.
        """
        return self.regions.tumour[self.original_labels(row)].astype(np.uint8)

    def original_labels(self, row: int) -> NDArray[np.uint8]:
        """Return a slice's mask at its file's size: uint8 (height, width) of labels.

        Raises:
            ValueError: the slice has no mask.
        """
        if self._packed is None or not self.facts["mask_digest"].iloc[row]:
            raise ValueError(f"slice {row} of this data has no mask")
        height, width = int(self.facts["height"].iloc[row]), int(self.facts["width"].iloc[row])
        depth = self.regions.depth
        plane, end = decoding.packed_size(height * width), depth * self._ends[row]
        packed = self._packed[end - depth * plane : end].reshape(depth, plane)
        bits = np.unpackbits(packed, axis=1, count=height * width)
        labels: NDArray[np.uint8] = (bits << np.arange(depth, dtype=np.uint8)[:, None]).sum(0, dtype=np.uint8)
        return labels.reshape(height, width)

    def mask_identity(self, row: int) -> tuple[tuple[int, ...], bytes]:
        """Return the shape and pixels of a slice's mask, which tell masks apart; both empty for a slice without one."""
        if not self.facts["mask_digest"].iloc[row]:
            return (), b""
        mask = self.original_labels(row)
        return mask.shape, mask.tobytes()

    def pixels(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Return fitted slices as they are drawn, uint8 (n, size, size, 3), and their tumour's masks, None without."""
        masks = None if self.masks is None else self.regions.tumour[self.masks[rows]].astype(np.uint8)
        return as_rgb(self.images[rows]), masks

    def originals(self, rows: NDArray[np.intp]) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
        """Return slices as they are drawn, uint8 (H, W, 3), at their files' sizes, and their tumour's masks (H, W)."""
        masks = [self.original_mask(int(row)) for row in rows]
        images = [unfit_image(image, *mask.shape) for image, mask in zip(as_rgb(self.images[rows]), masks, strict=True)]
        return images, masks

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """Where each slice's mask ends in `_packed`, if it has one bit plane: int64 (N,)."""
        pixels = self.facts["height"].to_numpy(dtype=np.int64) * self.facts["width"].to_numpy(dtype=np.int64)
        ends: NDArray[np.int64] = np.cumsum(decoding.packed_size(pixels) * (self.facts["mask_digest"] != "").to_numpy())
        return ends


def load(listing: Listing, size: int, cache_dir: Path, crop: Crop | None = None) -> DecodedSlices:
    """Return the listing's slices, decoding them first if no earlier run has.

    Args:
        listing: the slices.
        size: side of the squares that slices are fitted into, in pixels.
        cache_dir: the folder of decoded slices.
        crop: the crop of every slice; None for whole slices.

    Raises:
        ValueError: a file is unreadable, unpaired, or does not fit its mask, or the disk has no room. Nothing is
            cached then.
    """
    if listing.problems:
        raise ValueError(decoding.summarise(listing.problems))
    if listing.table.empty:
        raise ValueError(
            f"{listing.root}: no slices are listed there, so that there is nothing to train on or to score"
        )
    home = cache_dir / "slices"
    home.mkdir(parents=True, exist_ok=True)
    stamp = home / f"{_stamp(listing, size, crop)}.key"
    try:
        with FileLock(home / f"{stamp.stem}.lock"):
            if not (stamp.exists() and (home / stamp.read_text() / "facts.csv").exists()):
                partial = stamp.with_suffix(".partial")
                _require_room(listing, size, cache_dir, partial)
                _write_atomically(stamp, decoding.decode(listing, size, partial, crop))
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise ValueError(f"cache_dir={cache_dir}: {error.strerror} while slices were decoded. {_MAKE_ROOM}") from error
    return _open(home, stamp.read_text(), listing.regions)


def _require_room(listing: Listing, size: int, cache_dir: Path, partial: Path) -> None:
    """Say how much a large data set takes, and refuse a disk that is too small for it.

    Volumes' masks at their files' sizes are about as large as fitted ones; those of slices come on top.
    """
    masked = bool((listing.table["mask"] != "").any())
    stacked = listing.stacks is not None
    needed = len(listing.table) * size * size * (listing.channels + masked * (1 + stacked))
    written = sum(path.stat().st_size for path in partial.glob("*")) if partial.is_dir() else 0
    free = shutil.disk_usage(cache_dir).free + written
    if needed > free:
        hint = " Or decode fewer slices: data.slices=tumour, data.every=2" if stacked else ""
        raise ValueError(
            f"cache_dir={cache_dir}: {len(listing.table)} decoded slices take {needed / 1e6:,.1f} MB, and "
            f"{free / 1e6:,.1f} are free there. {_MAKE_ROOM}{hint and '.'}{hint}"
        )
    if needed > _MUCH:
        count = f"{len(listing.stacks or [])} volumes, " if stacked else ""
        more = "; data.slices=tumour or data.every=2 takes less" if stacked else ""
        print(
            f"decoding {count}{len(listing.table):,} slices: {needed / 1e9:.1f} GB in {cache_dir}{more}",
            file=sys.stderr,
        )


def _open(home: Path, key: str, regions: Regions) -> DecodedSlices:
    folder = home / key
    facts = pd.read_csv(folder / "facts.csv", dtype={"digest": str, "mask_digest": str}, keep_default_na=False)
    # Copy-on-write: torch wants writable memory, and the file stays as it is.
    images = np.load(folder / "images.npy", mmap_mode="c")
    if not (folder / "masks.npy").exists():
        return DecodedSlices(key, facts, images, None, folder, None, regions)
    packed = np.memmap(folder / "originals.bin", dtype=np.uint8, mode="r")
    return DecodedSlices(key, facts, images, np.load(folder / "masks.npy", mmap_mode="c"), folder, packed, regions)


def _stamp(listing: Listing, size: int, crop: Crop | None) -> str:
    stamp = hashlib.sha256(f"{decoding.FORMAT} {size} {listing.root.resolve()}{decoding.key_of(crop)}".encode())
    stamp.update(decoding.key_of_labels(listing).encode())
    if listing.stacks is not None:
        for stack in listing.stacks:
            named = [(path.name, path.stat()) for path in stack.files]
            stamp.update(repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in named]).encode())
        stamp.update(listing.table[["path", "mask"]].to_csv(index=False).encode())
        return stamp.hexdigest()[:16]
    for path, mask in zip(listing.table["path"], listing.table["mask"], strict=True):
        stats = [(listing.root / name).stat() for name in (path, mask) if name]
        stamp.update(repr((path, mask, [(stat.st_size, stat.st_mtime_ns) for stat in stats])).encode())
    return stamp.hexdigest()[:16]


def _write_atomically(path: Path, text: str) -> None:
    with atomic.file(path) as temporary:
        temporary.write_text(text)
