"""Decode the slices of a listing into the files of a folder; a decoding that was killed goes on where it was."""

import hashlib
import io
import json
import math
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import pandas as pd
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray

from brain_tumor.data.crops import Crop
from brain_tumor.data.reading import read
from brain_tumor.datasets.base import Listing
from brain_tumor.datasets.regions import BINARY, Regions
from brain_tumor.scans.images import FittedImage, FittedMask

FORMAT = 3  # raised whenever the same files would decode to other arrays
FACTS = ["digest", "mask_digest", "positive", "height", "width"]
_Fact = tuple[str, str, bool, int, int]  # a slice's values of `FACTS`
_Count = TypeVar("_Count", int, NDArray[np.int64])
_PROGRESS = "progress.jsonl"  # the facts of the slices that are decoded so far


def summarise(problems: list[str]) -> str:
    """Return many problems as one line: the first one, and how to see the rest."""
    rest = len(problems) - 1
    return problems[0] + (f" (and {rest} more; `python -m brain_tumor.verify` lists them)" if rest else "")


def decode(listing: Listing, size: int, partial: Path, crop: Crop | None) -> str:
    """Decode into a folder of partial results, then rename it to its key; return the key.

    Raises:
        ValueError: a slice cannot be read. All slices are read first, so that the message counts every such one.
    """
    try:
        facts = _write_arrays(listing, size, partial, crop)
    except Exception:
        # A killed decoding leaves what it has; after another file, or with more room, another one begins.
        shutil.rmtree(partial, ignore_errors=True)
        raise
    content = hashlib.sha256(f"{FORMAT} {size}{key_of(crop)}{key_of_labels(listing)}".encode())
    for digest, mask_digest, *_ in facts:
        content.update(repr((digest, mask_digest)).encode())
    home = partial.parent / content.hexdigest()[:16]
    pd.DataFrame(facts, columns=FACTS).to_csv(partial / "facts.csv", index=False)
    (partial / _PROGRESS).unlink()
    if (home / "facts.csv").exists():
        shutil.rmtree(partial)
    else:
        partial.rename(home)
    return home.name


def _write_arrays(listing: Listing, size: int, folder: Path, crop: Crop | None) -> list[_Fact]:
    """Decode every slice into the files of a folder, after those that it has; return each slice's facts."""
    count, masked = len(listing.table), bool((listing.table["mask"] != "").any())
    depth = listing.regions.depth
    problems: list[str] = []
    folder.mkdir(exist_ok=True)
    facts = _progress(folder)
    ends = sum(packed_size(fact[3] * fact[4]) for fact in facts if fact[1]) * depth
    with ExitStack() as files:
        # Written, not mapped: a full disk kills a process that writes into a map.
        images = _array(files, folder / "images.npy", (count, size, size, listing.channels), len(facts))
        masks = _array(files, folder / "masks.npy", (count if masked else 0, size, size), len(facts) * masked)
        originals = _continued(files, folder / "originals.bin", ends)
        progress = files.enter_context((folder / _PROGRESS).open("a"))
        for _, results in read(listing, size, "decoding", crop, len(facts)):
            if isinstance(results, ValueError):
                problems.append(str(results))
            if isinstance(results, ValueError) or problems:
                continue
            for image, mask in results:
                images.write(image.pixels.tobytes())
                if masked:
                    masks.write((np.zeros((size, size), np.uint8) if mask is None else mask.pixels).tobytes())
                if mask is not None:
                    originals.write(_packed(mask.original, depth))
            if listing.stacks is not None:
                for file in (images, masks, originals):
                    file.flush()
            new = [_fact(image, mask, listing.regions) for image, mask in results]
            progress.write("".join(f"{json.dumps(fact)}\n" for fact in new))
            if listing.stacks is not None:
                progress.flush()
            facts += new
    if problems:
        raise ValueError(summarise(problems))
    if not masked:
        (folder / "masks.npy").unlink()
        (folder / "originals.bin").unlink()
    return facts


def _progress(folder: Path) -> list[_Fact]:
    """Return the facts of the slices that an earlier decoding has written whole; its last line may be cut off."""
    path = folder / _PROGRESS
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]
    path.write_text("".join(f"{line}\n" for line in lines))
    return [tuple(json.loads(line)) for line in lines]


def _packed(mask: NDArray[np.uint8], depth: int) -> bytes:
    """Return a mask's bit planes, the lowest bit first."""
    planes = [(mask >> bit) & 1 for bit in range(depth)]
    return b"".join(np.packbits(plane).tobytes() for plane in planes)


def _fact(image: FittedImage, mask: FittedMask | None, regions: Regions) -> _Fact:
    positive = mask is not None and bool(regions.foreground[mask.original].any())
    return image.digest, mask.digest if mask else "", positive, *image.shape


def _array(files: ExitStack, path: Path, shape: tuple[int, ...], done: int) -> BinaryIO:
    """Open a .npy file, write the header of a uint8 array of this shape, and return it for the array's values.

    Args:
        files: closes it.
        path: of the file.
        shape: of the array.
        done: how many of its first rows are there; anything behind them is cut off.
    """
    header = io.BytesIO()
    write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    file = _continued(files, path, len(header.getvalue()) + done * math.prod(shape[1:]) if done else 0)
    if not done:
        file.write(header.getvalue())
    return file


def _continued(files: ExitStack, path: Path, length: int) -> BinaryIO:
    """Open a file to write behind its first `length` bytes."""
    file: BinaryIO = files.enter_context(path.open("r+b" if path.exists() else "w+b"))
    file.truncate(length)
    file.seek(length)
    return file


def key_of_labels(listing: Listing) -> str:
    """Return what the labels' values are, since files are checked against it; "" for binary masks."""
    labels, ignore = dict(listing.regions.labels), listing.regions.ignore
    return "" if labels == dict(BINARY.labels) and ignore is None else f" labels {sorted(labels.values())} {ignore}"


def key_of(crop: Crop | None) -> str:
    """Return what a crop changes in keys."""
    return "" if crop is None else f" {crop.key}"


def packed_size(pixels: _Count) -> _Count:
    """Return the number of bytes that a mask of so many pixels takes."""
    return (pixels + 7) // 8
