"""Write masks as one dimension, as the paper explains them (section IV.B), and as run lengths of Kaggle and COCO."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

Mask = NDArray[np.uint8]


def flatten(mask: Mask) -> Mask:
    """Flatten a mask (H, W) to one dimension (H * W,), row after row."""
    return mask.reshape(-1)


def unflatten(pixels: Mask, height: int, width: int) -> Mask:
    """Reshape a flattened mask (height * width,) to (height, width).

    Raises:
        ValueError: it has another number of pixels.
    """
    if pixels.size != height * width:
        raise ValueError(f"{pixels.size} pixels are no mask of {height} x {width}")
    return pixels.reshape(height, width)


def to_kaggle(mask: Mask) -> str:
    """Return a mask's run lengths as Kaggle writes them: "start length start length ...", from 1, column after column.

    Args:
        mask: uint8 (H, W) of 0 and 1.
    """
    lengths = _alternating(mask)
    ends = np.cumsum(lengths)
    pairs = zip(ends[::2] + 1, lengths[1::2], strict=False)
    return " ".join(f"{start} {length}" for start, length in pairs)


def from_kaggle(text: str, height: int, width: int) -> Mask:
    """Return the mask of run lengths in Kaggle's form: uint8 (height, width) of 0 and 1.

    Raises:
        ValueError: the text has no pairs of positive numbers, or its runs overlap or leave the mask.
    """
    try:
        numbers = np.array(text.split(), dtype=np.int64)
    except ValueError as error:
        raise ValueError(f"{text[:40]!r}: run lengths are whole numbers with blanks between them") from error
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    if len(starts) != len(lengths) or (numbers < 1).any():
        raise ValueError(f"{text[:40]!r}: run lengths are pairs of a start, from 1, and a length")
    ends = starts + lengths
    if (starts[1:] < ends[:-1]).any() or (len(ends) and ends[-1] > height * width):
        raise ValueError(f"{text[:40]!r}: runs overlap, or leave a mask of {height} x {width}")
    return _from_edges(starts, ends, height, width)


def to_coco(mask: Mask) -> list[int]:
    """Return a mask's run lengths as COCO has them, uncompressed: of zeros and ones in turn, column after column."""
    return [int(length) for length in _alternating(mask)]


def from_coco(counts: Sequence[int], height: int, width: int) -> Mask:
    """Return the mask of run lengths in COCO's form: uint8 (height, width) of 0 and 1.

    Raises:
        ValueError: a length is negative, or the lengths do not add up to the number of pixels.
    """
    lengths = np.array(counts, dtype=np.int64)
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise ValueError(f"run lengths that add up to {lengths.sum()} are no mask of {height} x {width}")
    ends = np.cumsum(lengths)
    return _from_edges(ends[:-1:2], ends[1::2], height, width)


def write(folder: Path, predictions: pd.DataFrame, table: pd.DataFrame) -> None:
    """Write masks as PNG files of 0 and 255, each under its image's path with `_mask.png` for the suffix.

    Args:
        folder: where to write.
        predictions: one row per mask, with columns `path` and `run_lengths`.
        table: the same rows, with columns `height` and `width` in pixels.
    """
    lines = zip(predictions["path"], predictions["run_lengths"], table["height"], table["width"], strict=True)
    for path, text, height, width in lines:
        target = folder / Path(path).with_name(f"{Path(path).stem}_mask.png")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(from_kaggle(text, height, width) * 255).save(target)


def _alternating(mask: Mask) -> NDArray[np.int64]:
    """Return a mask's run lengths column after column: of zeros and ones in turn, zeros first."""
    pixels = mask.T.reshape(-1).astype(bool)
    changes = np.flatnonzero(np.diff(pixels, prepend=False, append=not pixels[-1] if pixels.size else True))
    lengths: NDArray[np.int64] = np.diff(changes, prepend=0)
    return lengths


def _from_edges(starts: NDArray[np.int64], ends: NDArray[np.int64], height: int, width: int) -> Mask:
    """Return the mask whose runs of ones begin at `starts` and end before `ends`, column after column."""
    steps = np.zeros(height * width + 1, dtype=np.int8)
    np.add.at(steps, starts, 1)
    np.add.at(steps, ends, -1)
    return np.cumsum(steps[:-1]).astype(np.uint8).reshape(width, height).T
