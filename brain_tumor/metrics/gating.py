"""Decide which slices lose their masks to a detector, in prediction, in evaluation and in the report alike."""

import numpy as np
from numpy.typing import NDArray


def emptied(
    chances: NDArray[np.float64],
    segmented: NDArray[np.float64],
    threshold: float | NDArray[np.float64],
    keep_from: float | None,
) -> NDArray[np.bool_]:
    """Return the slices that lose their mask, bool (n,).

    Args:
        chances: float64 (n,), the detector's calibrated probabilities of a tumour.
        segmented: float64 (n,), the segmenter's.
        threshold: the detector's probability below which a slice loses its mask; one, or one per slice.
        keep_from: the segmenter's probability from which a slice keeps it all the same; None for never.
    """
    below = chances < threshold
    return below if keep_from is None else below & (segmented < keep_from)
