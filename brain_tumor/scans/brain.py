"""Find the brain in a volume whose head still has its skull, as one mask in three dimensions.

Bone is dark in every sequence. So in each slice the darkest ring that runs under the head's outline all the way round
is looked for, by dynamic programming over sectors of the head, on intensities averaged over neighbouring slices.
What lies inside the ring and is bright is divided into parts that thin bridges do not join, and the largest part is the
brain, with its gaps closed. Below the skull's base, deep parts of the face stay. This shows what a run does with heads
without skulls; it is no tool for segmenting brains.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from brain_tumor.scans import standardization
from brain_tumor.scans.head import outline

Mask = NDArray[np.bool_]
_HEAD = 20  # grey levels this far above that of air belong to the head
_SECTORS, _LAYERS = 72, 26  # of the ring: directions, and depths under the outline in 224ths of the slice's side
_SCALP = 4  # layers that no ring lies in
_BEND = 0.03  # cost of a ring that lies a layer deeper or less deep in the next sector
_BRIGHT = 0.5  # of the median inside the ring: darker pixels are no brain
_BRIDGE, _GAP = (
    0.018,
    0.04,
)  # half the width of bridges that are cut, and of gaps that are closed, as shares of the side
_CUT = 0.5  # of the largest slice of the head: a volume whose last slice is larger ends below the top
_CROWN = 2  # slices below the top of the head that are scalp and bone


def find(images: NDArray[np.uint8]) -> Mask:
    """Return which pixels of a volume are brain.

    Args:
        images: uint8 (n, H, W, C), axial slices of a head, from the feet upwards.

    Returns:
        bool (n, H, W).
    """
    images = np.maximum(images, air := standardization.air(images)) - air
    signal = _signal(images)
    heads = np.stack([outline(image.max(-1) > _HEAD) for image in images])
    depths = np.stack([np.ceil(ndimage.distance_transform_edt(head)) for head in heads])
    unit = images.shape[1] / 224
    rings = _rings(signal, heads, depths / unit)
    inside = np.stack(
        [head & (depth > unit * _under(ring, head)) for ring, head, depth in zip(rings, heads, depths, strict=True)]
    )
    brain = _largest_part(inside, signal)
    # Where the volume ends below the top of the head, its last slice stands in for what is above.
    areas = heads.sum((1, 2))
    above = heads[-1:] & (areas[-1] > _CUT * areas.max())
    crown: Mask = np.concatenate([heads, *[above] * _CROWN])[_CROWN:]
    return brain & crown


def _signal(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the sequences' mean intensity, float32 (n, H, W) from 0 to 1."""
    top = np.percentile(images.reshape(-1, images.shape[-1]), 99, axis=0).clip(1)
    signal: NDArray[np.float32] = (images / top.astype(np.float32)).clip(0, 1).mean(-1)
    return signal


def _angles(head: Mask) -> NDArray[np.float64]:
    """Return each pixel's direction from the middle of the head, in sectors: (H, W) from 0 to `_SECTORS`."""
    y, x = np.nonzero(head)
    down, across = np.indices(head.shape)
    return np.asarray((np.arctan2(down - y.mean(), across - x.mean()) / (2 * np.pi) + 0.5) * _SECTORS)


def _rings(signal: NDArray[np.float32], heads: Mask, depths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how deep the ring of bone lies in each slice and sector, in layers: (n, _SECTORS)."""
    costs = np.stack([_costs(*parts) for parts in zip(signal, heads, depths, strict=True)])
    seen = np.isfinite(costs)
    costs = _smooth(np.where(seen, costs, 0)) / _smooth(seen.astype(np.float64)).clip(1e-3)
    costs[..., :_SCALP] = 2 * max(1.0, costs.max())
    rings = np.stack([_cheapest_ring(cost) for cost in costs])
    padded = np.pad(rings, ((1, 1), (0, 0)), mode="edge")
    return np.asarray(ndimage.median_filter(padded, size=(3, 5), mode="wrap")[1:-1])


def _costs(signal: NDArray[np.float32], head: Mask, depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean signal of each sector and layer of a slice, (_SECTORS, _LAYERS); NaN where there is no pixel."""
    near = head & (depth <= _LAYERS)
    if not near.any():
        return np.full((_SECTORS, _LAYERS), np.nan)
    sector = _angles(head)[near].astype(int) % _SECTORS
    cell = sector * _LAYERS + (depth[near].astype(int) - 1).clip(0, _LAYERS - 1)
    size = _SECTORS * _LAYERS
    count = np.bincount(cell, minlength=size)
    means = np.where(count > 0, np.bincount(cell, signal[near], size) / count.clip(1), np.nan)
    return means.reshape(_SECTORS, _LAYERS)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over neighbouring slices, sectors and layers."""
    over_slices = ndimage.gaussian_filter1d(values, 1.0, axis=0, mode="nearest")
    smoothed = ndimage.gaussian_filter(over_slices, (0, 1.5, 0.5), mode=("nearest", "wrap", "nearest"))
    return np.asarray(smoothed)


def _cheapest_ring(costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the layer of the cheapest ring in each sector: that of the middle one of three rounds."""
    rounds = np.concatenate([costs] * 3)
    total, steps = rounds[0], []
    for cost in rounds[1:]:
        around = np.pad(total, 1, constant_values=np.inf)
        choices = np.stack([around[:-2] + _BEND, around[1:-1], around[2:] + _BEND])
        steps.append(choices.argmin(0) - 1)
        total = cost + choices.min(0)
    layer = int(total.argmin())
    ring = [layer]
    for step in reversed(steps):
        layer += int(step[layer])
        ring.append(layer)
    return np.array(ring[::-1][_SECTORS : 2 * _SECTORS], dtype=np.float64) + 1


def _under(ring: NDArray[np.float64], head: Mask) -> NDArray[np.float64]:
    """Return for each pixel of a slice, (H, W), the depth under which it lies inside the ring."""
    if not head.any():
        return np.full(head.shape, np.inf)
    places = np.arange(-_SECTORS, 2 * _SECTORS) + 0.5
    return np.interp(_angles(head).ravel(), places, np.tile(ring, 3)).reshape(head.shape) + 1


def _largest_part(inside: Mask, signal: NDArray[np.float32]) -> Mask:
    """Return the largest bright part inside the ring that thin bridges do not join to others, its gaps closed."""
    if not inside.any():
        return inside
    side = inside.shape[1]
    bright = inside & (signal > _BRIGHT * np.median(signal[inside]))
    cores = np.stack([_erode(mask, _BRIDGE * side) for mask in bright])
    parts, count = ndimage.label(cores, structure=np.ones((3, 3, 3)))
    if not count:
        return inside
    largest = parts == 1 + np.bincount(parts.ravel())[1:].argmax()
    grown = (_BRIDGE + _GAP) * side
    closed = [_erode(_dilate(mask, grown), _GAP * side) if mask.any() else mask for mask in largest]
    return np.stack([ndimage.binary_fill_holes(mask) for mask in closed]) & inside


def _erode(mask: Mask, pixels: float) -> Mask:
    return np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1] > pixels)


def _dilate(mask: Mask, pixels: float) -> Mask:
    return np.asarray(ndimage.distance_transform_edt(~mask) <= pixels)
