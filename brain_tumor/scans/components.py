"""Remove small components from masks of volumes."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.uint8]


def keep_large(volume: Mask, share: float = 1.0) -> Mask:
    """Keep the largest 6-connected part of a mask, uint8 (slices, H, W), and parts of at least this share of its size.

    With a share of 1 only the first of the largest parts is kept, with 0 all are.
    """
    labels, count = ndimage.label(volume)
    if count < 2 or not share:
        return volume
    sizes = np.bincount(labels.reshape(-1))
    sizes[0] = 0
    large = sizes >= share * sizes.max()
    if share == 1:
        large = np.arange(len(sizes)) == sizes.argmax()
    large[0] = False
    kept: Mask = large[labels].astype(np.uint8)
    return kept
