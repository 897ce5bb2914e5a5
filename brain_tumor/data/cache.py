"""Decode every slice once into memory-mapped uint8 arrays, which all later runs share whatever their target is.

    <cache_dir>/slices/<key>/images.npy     uint8 (N, size, size, 3), channels last as the convolutions want them
    <cache_dir>/slices/<key>/masks.npy      uint8 (N, size, size), 0 or 1; absent for data without masks
    <cache_dir>/slices/<key>/originals.bin  the masks at their files' sizes, one bit per pixel, each from a new byte
    <cache_dir>/slices/<key>/facts.csv      digests, original sizes, and whether a mask has any foreground
    <cache_dir>/slices/<stamp>.key          which key the files with these names, sizes and times had

The key is a hash of the files' contents, so equal data shares one entry wherever it lies. The stamp is a hash of names,
sizes and modification times: it leads to the key without reading 1 GB, and a changed file changes it.
"""

import errno
import hashlib
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray

from brain_tumor.data.crops import Crop
from brain_tumor.data.reading import read
from brain_tumor.datasets.base import Listing
from brain_tumor.io import atomic
from brain_tumor.scans.images import FittedImage, FittedMask, unfit_image

FORMAT = 3  # raised whenever the same files would decode to other arrays
_Fact = tuple[str, str, bool, int, int]  # a slice's values of `FACTS`
_Count = TypeVar("_Count", int, NDArray[np.int64])
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MAKE_ROOM = "Make room there, or choose another cache_dir"
FACTS = ["digest", "mask_digest", "positive", "height", "width"]


@dataclass(frozen=True)
class DecodedSlices:
    """The decoded slices of a data set: pixels, masks and facts.

    Attributes:
        key: identifies pixels, order and size; 16 hexadecimal digits.
        facts: one row per slice: `digest` and `mask_digest` (SHA-256 of the files; "" for no mask), `positive` (whether
            the mask has any foreground at its file's size), `height` and `width` (in pixels, before resizing).
        images: uint8 (N, size, size, 3), memory-mapped.
        masks: uint8 (N, size, size) of 0 and 1, memory-mapped; None for data without masks.
        folder: holds them in the cache.
    """

    key: str
    facts: pd.DataFrame
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8] | None
    folder: Path
    _packed: NDArray[np.uint8] | None

    def original_mask(self, row: int) -> NDArray[np.uint8]:
        """Return a slice's mask at its file's size: uint8 (height, width) of 0 and 1.

        Raises:
            ValueError: the slice has no mask.
        """
        if self._packed is None or not self.facts["mask_digest"].iloc[row]:
            raise ValueError(f"slice {row} of this data has no mask")
        height, width = int(self.facts["height"].iloc[row]), int(self.facts["width"].iloc[row])
        packed = self._packed[self._ends[row] - _packed_size(height * width) : self._ends[row]]
        return np.unpackbits(packed, count=height * width).reshape(height, width)

    def mask_identity(self, row: int) -> tuple[tuple[int, ...], bytes]:
        """Return the shape and pixels of a slice's mask, which tell masks apart; both empty for a slice without one."""
        if not self.facts["mask_digest"].iloc[row]:
            return (), b""
        mask = self.original_mask(row)
        return mask.shape, mask.tobytes()

    def pixels(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Return fitted slices, uint8 (n, size, size, 3), and their masks (n, size, size), None without masks."""
        return self.images[rows], None if self.masks is None else self.masks[rows]

    def originals(self, rows: NDArray[np.intp]) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
        """Return slices uint8 (H, W, 3), brought back to their files' sizes, and their masks (H, W) as in the files."""
        masks = [self.original_mask(int(row)) for row in rows]
        images = [unfit_image(image, *mask.shape) for image, mask in zip(self.images[rows], masks, strict=True)]
        return images, masks

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """Where each slice's mask ends in `_packed`: int64 (N,)."""
        pixels = self.facts["height"].to_numpy(dtype=np.int64) * self.facts["width"].to_numpy(dtype=np.int64)
        ends: NDArray[np.int64] = np.cumsum(_packed_size(pixels) * (self.facts["mask_digest"] != "").to_numpy())
        return ends


def _packed_size(pixels: _Count) -> _Count:
    """Return the number of bytes that a mask of so many pixels takes."""
    return (pixels + 7) // 8


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
        raise ValueError(summarise(listing.problems))
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
                _require_room(listing, size, cache_dir)
                _write_atomically(stamp, _decode(listing, size, home, crop))
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise ValueError(f"cache_dir={cache_dir}: {error.strerror} while slices were decoded. {_MAKE_ROOM}") from error
    return _open(home, stamp.read_text())


def _require_room(listing: Listing, size: int, cache_dir: Path) -> None:
    """Refuse a disk that is too small for images and fitted masks; the masks at their files' sizes come on top."""
    masked = bool((listing.table["mask"] != "").any())
    needed, free = len(listing.table) * size * size * (3 + masked), shutil.disk_usage(cache_dir).free
    if needed > free:
        raise ValueError(
            f"cache_dir={cache_dir}: {len(listing.table)} decoded slices take {needed / 1e6:,.1f} MB, and "
            f"{free / 1e6:,.1f} are free there. {_MAKE_ROOM}"
        )


def summarise(problems: list[str]) -> str:
    """Return many problems as one line: the first one, and how to see the rest."""
    rest = len(problems) - 1
    return problems[0] + (f" (and {rest} more; `python -m brain_tumor.verify` lists them)" if rest else "")


def _decode(listing: Listing, size: int, home: Path, crop: Crop | None) -> str:
    """Decode into a temporary folder, then rename it to its key; return the key."""
    with atomic.folder(home, "decoding") as temporary:
        facts = _write_arrays(listing, size, temporary, crop)
        pd.DataFrame(facts, columns=FACTS).to_csv(temporary / "facts.csv", index=False)
        content = hashlib.sha256(f"{FORMAT} {size}{_key_of(crop)}".encode())
        for digest, mask_digest, *_ in facts:
            content.update(repr((digest, mask_digest)).encode())
        key = content.hexdigest()[:16]
        if not (home / key).exists():
            temporary.rename(home / key)
        return key


def _write_arrays(listing: Listing, size: int, folder: Path, crop: Crop | None) -> list[_Fact]:
    """Decode every slice into the files of a folder; return each slice's facts.

    Raises:
        ValueError: a slice cannot be read. All slices are read first, so that the message counts every such one.
    """
    count, masked = len(listing.table), bool((listing.table["mask"] != "").any())
    problems: list[str] = []
    facts: list[_Fact] = []
    with ExitStack() as files:
        # Written, not mapped: a full disk kills a process that writes into a map.
        images = _array(files, folder / "images.npy", (count, size, size, 3))
        masks = _array(files, folder / "masks.npy", (count if masked else 0, size, size))
        originals = files.enter_context((folder / "originals.bin").open("wb"))
        for result in read(listing, size, "decoding", crop):
            if isinstance(result, ValueError):
                problems.append(str(result))
            if isinstance(result, ValueError) or problems:
                continue
            image, mask = result
            images.write(image.pixels.tobytes())
            if masked:
                masks.write((np.zeros((size, size), np.uint8) if mask is None else mask.pixels).tobytes())
            if mask is not None:
                originals.write(np.packbits(mask.original).tobytes())
            facts.append(_fact(image, mask))
    if problems:
        raise ValueError(summarise(problems))
    if not masked:
        (folder / "masks.npy").unlink()
        (folder / "originals.bin").unlink()
    return facts


def _fact(image: FittedImage, mask: FittedMask | None) -> _Fact:
    return image.digest, mask.digest if mask else "", bool(mask and mask.positive), *image.shape


def _array(files: ExitStack, path: Path, shape: tuple[int, ...]) -> BinaryIO:
    """Open a .npy file, write the header of a uint8 array of this shape, and return it for the array's values."""
    file = files.enter_context(path.open("wb"))
    write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file


def _open(home: Path, key: str) -> DecodedSlices:
    folder = home / key
    facts = pd.read_csv(folder / "facts.csv", dtype={"digest": str, "mask_digest": str}, keep_default_na=False)
    # Copy-on-write: torch wants writable memory, and the file stays as it is.
    images = np.load(folder / "images.npy", mmap_mode="c")
    if not (folder / "masks.npy").exists():
        return DecodedSlices(key, facts, images, None, folder, None)
    packed = np.memmap(folder / "originals.bin", dtype=np.uint8, mode="r")
    return DecodedSlices(key, facts, images, np.load(folder / "masks.npy", mmap_mode="c"), folder, packed)


def _key_of(crop: Crop | None) -> str:
    return "" if crop is None else f" {crop.key}"


def _stamp(listing: Listing, size: int, crop: Crop | None) -> str:
    stamp = hashlib.sha256(f"{FORMAT} {size} {listing.root.resolve()}{_key_of(crop)}".encode())
    for path, mask in zip(listing.table["path"], listing.table["mask"], strict=True):
        stats = [(listing.root / name).stat() for name in (path, mask) if name]
        stamp.update(repr((path, mask, [(stat.st_size, stat.st_mtime_ns) for stat in stats])).encode())
    return stamp.hexdigest()[:16]


def _write_atomically(path: Path, text: str) -> None:
    with atomic.file(path) as temporary:
        temporary.write_text(text)
