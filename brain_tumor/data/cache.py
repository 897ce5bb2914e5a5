"""Decode every slice once into memory-mapped uint8 arrays that all later runs share, whatever they are to tell.

    <cache_dir>/slices/<key>/images.npy     uint8 (N, size, size, 3), channels last as the convolutions want them
    <cache_dir>/slices/<key>/masks.npy      uint8 (N, size, size), 0 or 1; absent for data without masks
    <cache_dir>/slices/<key>/originals.bin  the masks at their files' own sizes, one bit a pixel, each from a new byte
    <cache_dir>/slices/<key>/facts.csv      digests, original sizes, and whether a mask has any foreground
    <cache_dir>/slices/<stamp>.key          which key the files with these names, sizes and times had

The key is made of the files' contents, so equal data shares one entry wherever it lies. The stamp is made of names,
sizes and modification times: it finds the key without reading 1 GB, and a changed file changes it.
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

FORMAT = 3  # raised whenever the same files would decode to other arrays
_Count = TypeVar("_Count", int, NDArray[np.int64])
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MAKE_ROOM = "Make room there, or choose another cache_dir"
FACTS = ["digest", "mask_digest", "positive", "height", "width"]


@dataclass(frozen=True)
class Slices:
    """Decoded slices.

    Attributes:
        key: identifies pixels, order and size; 16 hexadecimal digits.
        facts: one row a slice: `digest` and `mask_digest` (SHA-256 of the files; "" for no mask), `positive` (whether
            the mask has any foreground at its own size), `height` and `width` (before resizing).
        images: uint8 (N, size, size, 3), memory-mapped.
        masks: uint8 (N, size, size) of 0 and 1, memory-mapped; None for data without masks.
    """

    key: str
    facts: pd.DataFrame
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8] | None
    _packed: NDArray[np.uint8] | None

    def original_mask(self, row: int) -> NDArray[np.uint8]:
        """Return a mask at its file's own size: uint8 (height, width) of 0 and 1.

        Raises:
            ValueError: the data has no masks.
        """
        if self._packed is None or not self.facts["mask_digest"].iloc[row]:
            raise ValueError(f"slice {row} of this data has no mask")
        height, width = int(self.facts["height"].iloc[row]), int(self.facts["width"].iloc[row])
        packed = self._packed[self._ends[row] - _packed_size(height * width) : self._ends[row]]
        return np.unpackbits(packed, count=height * width).reshape(height, width)

    def drawn_mask(self, row: int) -> tuple[tuple[int, ...], bytes]:
        """Tell masks apart: a mask's size and pixels; nothing for a slice without one."""
        if not self.facts["mask_digest"].iloc[row]:
            return (), b""
        mask = self.original_mask(row)
        return mask.shape, mask.tobytes()

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """Where each slice's mask ends in `_packed`: int64 (N,)."""
        pixels = self.facts["height"].to_numpy(dtype=np.int64) * self.facts["width"].to_numpy(dtype=np.int64)
        ends: NDArray[np.int64] = np.cumsum(_packed_size(pixels) * (self.facts["mask_digest"] != "").to_numpy())
        return ends


def _packed_size(pixels: _Count) -> _Count:
    """Return how many bytes so many bits take."""
    return (pixels + 7) // 8


def load(listing: Listing, size: int, cache_dir: Path, crop: Crop | None = None) -> Slices:
    """Return the listing's slices, decoding them first if no earlier run has.

    Args:
        listing: the slices.
        size: side of the squares they are fitted into, in pixels.
        cache_dir: where decoded slices are kept.
        crop: what is cut out of every slice; None for all of it.

    Raises:
        ValueError: a file is unreadable, unpaired, or does not fit its mask, or there is no room; nothing is cached
            then.
    """
    if listing.problems:
        raise ValueError(summarise(listing.problems))
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
    """Refuse a disk that is too small for the images and masks; masks at their own sizes come on top of that."""
    masked = bool((listing.table["mask"] != "").any())
    needed, free = len(listing.table) * size * size * (3 + masked), shutil.disk_usage(cache_dir).free
    if needed > free:
        raise ValueError(
            f"cache_dir={cache_dir}: {len(listing.table)} decoded slices take {needed / 1e6:,.1f} MB, and "
            f"{free / 1e6:,.1f} are free there. {_MAKE_ROOM}"
        )


def summarise(problems: list[str]) -> str:
    """Put many problems in one line: the first, and how to see the rest."""
    rest = len(problems) - 1
    return problems[0] + (f" (and {rest} more; `python -m brain_tumor.verify` lists them)" if rest else "")


def _decode(listing: Listing, size: int, home: Path, crop: Crop | None) -> str:
    """Decode into a temporary folder, then rename it to its key; return the key."""
    count, masked = len(listing.table), bool((listing.table["mask"] != "").any())
    with atomic.folder(home, "decoding") as temporary:
        content = hashlib.sha256(f"{FORMAT} {size}{_key_of(crop)}".encode())
        problems: list[str] = []
        facts: list[tuple[str, str, bool, int, int]] = []
        with ExitStack() as files:
            # Written, not mapped: a full disk kills a process that writes into a map.
            images = _array(files, temporary / "images.npy", (count, size, size, 3))
            masks = _array(files, temporary / "masks.npy", (count if masked else 0, size, size))
            originals = files.enter_context((temporary / "originals.bin").open("wb"))
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
                facts.append((image.digest, mask.digest if mask else "", bool(mask and mask.positive), *image.shape))
                content.update(repr(facts[-1][:2]).encode())
        if problems:
            raise ValueError(summarise(problems))
        if not masked:
            (temporary / "masks.npy").unlink()
            (temporary / "originals.bin").unlink()
        pd.DataFrame(facts, columns=FACTS).to_csv(temporary / "facts.csv", index=False)
        key = content.hexdigest()[:16]
        if not (home / key).exists():
            temporary.rename(home / key)
        return key


def _array(files: ExitStack, path: Path, shape: tuple[int, ...]) -> BinaryIO:
    """Open a file for the values of a uint8 array, in order, whose header is written."""
    file = files.enter_context(path.open("wb"))
    write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file


def _open(home: Path, key: str) -> Slices:
    folder = home / key
    facts = pd.read_csv(folder / "facts.csv", dtype={"digest": str, "mask_digest": str}, keep_default_na=False)
    # Copy-on-write: torch wants writable memory, and the file stays as it is.
    images = np.load(folder / "images.npy", mmap_mode="c")
    if not (folder / "masks.npy").exists():
        return Slices(key, facts, images, None, None)
    packed = np.memmap(folder / "originals.bin", dtype=np.uint8, mode="r")
    return Slices(key, facts, images, np.load(folder / "masks.npy", mmap_mode="c"), packed)


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
