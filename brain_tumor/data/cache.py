"""Decode every slice once into memory-mapped uint8 arrays that all later runs share.

    <cache_dir>/slices/<key>/images.npy   uint8 (N, size, size, 3), channels last as the convolutions want them
    <cache_dir>/slices/<key>/masks.npy    uint8 (N, size, size), 0 or 1; absent for data without masks
    <cache_dir>/slices/<key>/slices.csv   the listing with labels, digests and original sizes
    <cache_dir>/slices/<stamp>.key        which key the files with these names, sizes and times had

The key is made of the files' contents, so equal data shares one entry wherever it lies. The stamp is made of names,
sizes and modification times: it finds the key without reading 1 GB, and a changed file changes it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from brain_tumor.data import folders
from brain_tumor.data.slices import Listing, read

FORMAT = 1  # raised whenever the same files would decode to other pixels


@dataclass(frozen=True)
class Slices:
    """Decoded slices.

    Attributes:
        key: identifies content, order and size; 16 hexadecimal digits.
        table: the listing's rows with `label` filled in, and the columns `digest` (SHA-256 of the image file),
            `height` and `width` (before resizing).
        images: uint8 (N, size, size, 3), memory-mapped.
        masks: uint8 (N, size, size) of 0 and 1, memory-mapped; None for data without masks.
    """

    key: str
    table: pd.DataFrame
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8] | None


def load(listing: Listing, size: int, cache_dir: Path) -> Slices:
    """Return the listing's slices, decoding them first if no earlier run has.

    Raises:
        ValueError: a file is unreadable, unpaired, or does not fit its mask; nothing is cached then.
    """
    if listing.problems:
        raise ValueError(summarise(listing.problems))
    home = cache_dir / "slices"
    home.mkdir(parents=True, exist_ok=True)
    stamp = home / f"{_stamp(listing, size)}.key"
    with FileLock(home / f"{stamp.stem}.lock"):
        if not (stamp.exists() and (home / stamp.read_text() / "slices.csv").exists()):
            _write_atomically(stamp, _decode(listing, size, home))
    return _open(home, stamp.read_text())


def summarise(problems: list[str]) -> str:
    """Put many problems in one line: the first, and how to see the rest."""
    rest = len(problems) - 1
    return problems[0] + (f" (and {rest} more; `python -m brain_tumor.verify` lists them)" if rest else "")


def _decode(listing: Listing, size: int, home: Path) -> str:
    """Decode into a temporary folder, then rename it to its key; return the key."""
    count = len(listing.table)
    with folders.temporary(home, "decoding") as temporary:
        images = open_memmap(temporary / "images.npy", mode="w+", dtype=np.uint8, shape=(count, size, size, 3))
        masks = open_memmap(temporary / "masks.npy", mode="w+", dtype=np.uint8, shape=(count, size, size))
        content = hashlib.sha256(f"{FORMAT} {size} {listing.classes}".encode())
        problems: list[str] = []
        facts: list[tuple[int, str, int, int]] = []
        names = zip(listing.table["path"], listing.table["label"], strict=True)
        for row, ((name, label), result) in enumerate(zip(names, read(listing, size, "decoding"), strict=True)):
            if isinstance(result, ValueError):
                problems.append(str(result))
                continue
            image, mask = result
            images[row] = image.pixels
            if mask is not None:
                masks[row] = mask.pixels
                label = int(mask.positive)
            facts.append((label, image.digest, *image.shape))
            content.update(repr((name, label, image.digest, mask.digest if mask else "")).encode())
        if problems:
            raise ValueError(summarise(problems))
        images.flush()
        masks.flush()
        del images, masks  # Windows renames and removes no file that is mapped
        if not (listing.table["mask"] != "").any():
            (temporary / "masks.npy").unlink()
        table = listing.table.copy()
        table[["label", "digest", "height", "width"]] = pd.DataFrame(facts, index=table.index)
        table.to_csv(temporary / "slices.csv", index=False)
        key = content.hexdigest()[:16]
        if not (home / key).exists():
            temporary.rename(home / key)
        return key


def _open(home: Path, key: str) -> Slices:
    folder = home / key
    text = dict.fromkeys(("path", "mask", "case", "part", "digest"), str)
    table = pd.read_csv(folder / "slices.csv", dtype=text, keep_default_na=False)
    # Copy-on-write: torch wants writable memory, and the file stays as it is.
    masks = np.load(folder / "masks.npy", mmap_mode="c") if (folder / "masks.npy").exists() else None
    return Slices(key, table, np.load(folder / "images.npy", mmap_mode="c"), masks)


def _stamp(listing: Listing, size: int) -> str:
    stamp = hashlib.sha256(f"{FORMAT} {size} {listing.root.resolve()} {listing.classes}".encode())
    columns = (listing.table[name] for name in ("path", "mask", "case", "label", "part"))
    for path, mask, *rest in zip(*columns, strict=True):
        stats = [(listing.root / name).stat() for name in (path, mask) if name]
        stamp.update(repr((path, mask, rest, [(stat.st_size, stat.st_mtime_ns) for stat in stats])).encode())
    return stamp.hexdigest()[:16]


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)
