"""Measure a volume's intensities, so that networks see them standardized: clipped, with mean 0 and variance 1.

MRI intensities have no unit, and one bright voxel decides what a scale by the maximum shows of all others. So each
sequence of a volume is clipped at two percentiles of what is not background, and brought to mean 0 and variance 1 over
it. Everything is computed from counts of the 256 grey levels: exactly, and for several outlines of one volume at once.
"""

import numpy as np
from numpy.typing import NDArray

LEVELS = 256
_BACKGROUND = 8  # grey levels up to this far above the level of air are background
_FRAME = 0.5  # share of the outermost pixels that must be about as bright as most of them for these to show air
_LOW, _HIGH = 0.01, 0.995  # shares of the other voxels that are darker than the clipped range begins, and than it ends
_BLANK = (0.0, 255.0, 0.0, 255.0)  # of a volume that is all background: values from 0 to 1


def count(images: NDArray[np.uint8], layers: NDArray[np.uint8] | None = None, depth: int = 1) -> NDArray[np.int64]:
    """Count the grey levels of a volume's slices.

    Args:
        images: uint8 (n, H, W, C).
        layers: uint8 (n, H, W), from 0 to `depth` - 1: the layer that each pixel lies in; None for one layer.
        depth: number of layers.

    Returns:
        int64 (depth, C, 256): how many pixels of each channel have each level, in that layer and all above it.
    """
    counts = np.empty((depth, images.shape[-1], LEVELS), np.int64)
    base = 0 if layers is None else layers.astype(np.intp) * LEVELS
    for channel in range(images.shape[-1]):
        places = base + images[..., channel]
        counts[:, channel] = np.bincount(places.ravel(), minlength=depth * LEVELS).reshape(depth, LEVELS)
    accumulated: NDArray[np.int64] = counts[::-1].cumsum(0)[::-1]
    return accumulated


def measure(images: NDArray[np.uint8], layers: NDArray[np.uint8] | None = None, depth: int = 1) -> NDArray[np.float32]:
    """Measure what a volume's intensities are standardized by, whole and in deeper layers alone.

    Args:
        images: uint8 (n, H, W, C), all its slices.
        layers: see `count`.
        depth: likewise.

    Returns:
        float32 (depth, C, 4), as `statistics` returns it.
    """
    return statistics(count(images, layers, depth), air(images))


def air(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the grey level of air in each sequence of a volume, uint8 (n, H, W, C): uint8 (C,), mostly 0.

    In a few scans air is grey, even brighter than parts of the head: then the outermost pixels show one level.
    """
    rows, columns = images[:, (0, -1)], images[:, :, (0, -1)]
    frame = np.concatenate([side.reshape(-1, images.shape[-1]) for side in (rows, columns)])
    level = np.median(frame, 0)
    even = (np.abs(frame - level) <= _BACKGROUND).mean(0) >= _FRAME
    return np.where(even, level, 0).astype(np.uint8)


def stretch(images: NDArray[np.uint8], measured: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Stretch the levels that are told apart, as `statistics` (..., 3, 4) says, to 0 to 255: images uint8 (..., 3)."""
    low, high = measured[..., 0], measured[..., 1]
    stretched = (images.clip(low, high) - low) * (255 / (high - low).clip(1))
    levels: NDArray[np.uint8] = stretched.round().astype(np.uint8)
    return levels


def statistics(counts: NDArray[np.int64], air: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute what intensities are standardized by.

    Args:
        counts: int64 (..., C, 256), how many pixels have each grey level.
        air: uint8 (C,), the grey level of air.

    Returns:
        float32 (..., C, 4): the lowest and the highest level that are told apart, and mean and standard deviation (at
        least 1) of the levels clipped to these, over what is not background. (0, 255, 0, 255) where all is background.
    """
    levels = np.arange(LEVELS, dtype=np.float64)
    seen = np.where(levels > air[:, None].astype(np.float64) + _BACKGROUND, counts, 0)
    total = seen.sum(-1, keepdims=True)
    shares = seen.cumsum(-1) / np.maximum(total, 1)
    low, high = ((shares >= share).argmax(-1)[..., None].astype(np.float64) for share in (_LOW, _HIGH))
    clipped = levels.clip(low, high)
    mean = (seen * clipped).sum(-1, keepdims=True) / np.maximum(total, 1)
    variance = (seen * (clipped - mean) ** 2).sum(-1, keepdims=True) / np.maximum(total, 1)
    measured = np.concatenate([low, high, mean, np.sqrt(variance).clip(1)], -1)
    return np.where(total > 0, measured, _BLANK).astype(np.float32)
