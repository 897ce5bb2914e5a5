"""Find pictures that are the same but for re-saving or re-scaling, among others that look alike.

Neighbouring slices of a patient are nearly the same picture, too. The difference is in how well two small grey versions
correlate: re-saving changes that less than a step to the next slice does. A perceptual hash must agree. The limits were
set on the 3,929 slices of the LGG data, of which no two are the same picture: the nearest two are .0023 apart. 500 of
them were copied; the method found 97 % of the copies re-saved as JPEG of quality 75, 97 % of those scaled to a third,
and 92 % of those that were both.
"""

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 64  # side of the small versions, in pixels
_HASH = 16  # side of the hash, in bits
_BITS = 40  # how many of the hash's 256 bits may differ in a pair
# Distances are 1 - correlation.
_SURE = 0.0017  # up to this distance, two pictures are the same
_LIKELY = 0.006  # up to this one they are, if each is much nearer to the other than to any third
_MUCH = 0.2  # of the distance to the third
_BLOCK = 512  # pictures that are compared with all others at a time


def small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the grey version (SIZE, SIZE) of an image (SIZE, SIZE, 3)."""
    return np.asarray(Image.fromarray(pixels).convert("L"))


def pairs(pictures: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Find pictures that are the same but for re-saving or re-scaling.

    Args:
        pictures: uint8 (n, SIZE, SIZE), grey, no two of them from identical files. A picture of a single grey level has
            no near-duplicate.

    Returns:
        Pairs of places in `pictures`, in order.
    """
    count = len(pictures)
    flat = pictures.reshape(count, SIZE * SIZE).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    nearest = np.full((count, 2), np.inf, dtype=np.float32)
    candidates: list[tuple[int, int, float]] = []
    for start in range(0, count, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, count))
        distances = 1 - flat[rows] @ flat.T
        distances[np.arange(len(rows)), rows] = np.inf
        nearest[rows, : min(2, count)] = np.partition(distances, min(1, count - 1), axis=1)[:, :2]
        for row, other in np.argwhere(distances <= _LIKELY):
            if start + row < other:
                candidates.append((int(start + row), int(other), float(distances[row, other])))
    near = [(a, b) for a, b, distance in candidates if distance <= _SURE or _stands_out(nearest[[a, b]], distance)]
    hashes = {place: imagehash.phash(Image.fromarray(pictures[place]), _HASH) for pair in near for place in pair}
    return [(a, b) for a, b in near if hashes[a] - hashes[b] <= _BITS]


def _stands_out(nearest: NDArray[np.float32], distance: float) -> bool:
    """Return whether no third picture comes near a pair.

    Args:
        nearest: (2, 2), the two smallest distances of each of the pair.
        distance: between the two.
    """
    return bool((nearest[:, 0] >= distance - 1e-6).all() and (distance <= _MUCH * nearest[:, 1]).all())
