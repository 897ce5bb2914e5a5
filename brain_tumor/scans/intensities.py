"""Shift intensities so that scaling by the maximum works: nothing below 0, and the background at 0."""

import numpy as np
from numpy.typing import NDArray

_FEW = 0.01  # share of the head's voxels that rounding or resampling may have made negative
_FRAME = 0.2  # share of the outermost voxels that must have one value for that to be the background
_LOWEST = 0.1  # percentile of the head that counts as its lowest value, where lower ones are strays
_STRAY = 0.1  # share of the range: values further below that percentile are strays
_GAP = 0.2  # share of the range that may lie between a background and the head's lowest value
_CENTRED = 0.01  # of a standard deviation: how far from 0 the mean of a z-scored volume may lie
_DARKEST = 0.1  # share of the range at which the head's median lies at least, after a shift
_PALE = 0.1  # share of the maximum: a background lies below
_GLARE = 5.0  # how many times brighter the maximum may be than nearly all of a volume
_SAMPLE = 2**21  # number of voxels from which percentiles are computed
_WIDEST = 1e38  # a larger range makes differences that float32 cannot hold
_AIR = -900.0  # Hounsfield units; in CT, air lies below


def lift(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], str]:
    """Shift intensities so that none is negative, as those of z-scored volumes, signed DICOM and CT are.

    A volume without negative values stays as it is. Where only few voxels are negative, these become 0. Otherwise, if
    the outermost voxels share a value, that is the background and becomes 0:

    - If the head's values begin right above the background, all values are shifted by the background.
    - If not (z-scores within a brain mask, whose background stays 0, or padding far below), only the head is shifted,
      so that its lowest values lie just above 0.

    Without such a background the lowest value becomes 0.

    Args:
        values: float32 (I, J, K), a whole volume.

    Returns:
        The values, and a warning that says what was done; "" for nothing.
    """
    count = int((values < 0).sum())
    if not count:
        return values, ""
    if float(values.max()) - float(values.min()) > _WIDEST:
        values = values / np.float32(4)
    background = find_background(values)
    head = values.ravel() if background is None else values[values != background]
    if (background or 0) >= 0 and (head < 0).sum() <= _FEW * head.size:
        return values.clip(min=0), f"{count:,} of {values.size:,} voxels are negative; they are taken for 0"
    if not head.size:
        return np.zeros_like(values), "all its voxels have one negative value"
    return _shift(values, background, head)


def _shift(
    values: NDArray[np.float32], background: float | None, head: NDArray[np.float32]
) -> tuple[NDArray[np.float32], str]:
    """Shift intensities as `lift` describes.

    Args:
        values: float32 (I, J, K), a whole volume.
        background: the value of the background; None for none.
        head: float32 (n,), the values that are not background.
    """
    bottom, middle = (float(value) for value in np.percentile(head, (_LOWEST, 50)))
    low, top = float(head.min()), float(head.max())
    if bottom - low > _STRAY * (top - bottom):
        low = bottom
    what = "has negative intensities, as z-scored volumes do"
    if min(low, low if background is None else background) < _AIR:
        what = "has negative intensities as low as CT's, and the runs have seen MR only"
    if background is None:
        return (values - np.float32(low)).clip(min=0), f"{what}; shifted so that the lowest become 0"
    close = low - background <= _GAP * (top - background)
    if background <= low and (close or _is_centred(values)):
        return (values - np.float32(background)).clip(min=0), f"{what}; shifted so that the background becomes 0"
    inside = values != background
    if low >= 0:
        return np.where(inside, values, np.float32(0)).clip(min=0), f"{what}; its background {background:g} becomes 0"
    zero = min(low, middle - _DARKEST / (1 - _DARKEST) * (top - middle))
    lifted = (values - np.float32(zero)).clip(min=0) + np.float32((top - zero) / 255)
    return np.where(inside, lifted, np.float32(0)), f"{what}; shifted so that the head lies just above the background"


def doubts(values: NDArray[np.float32], preset: str) -> list[str]:
    """Return warnings where scaling makes images unlike those that networks were trained on.

    Args:
        values: float32, a whole volume without negative values.
        preset: how the volume is scaled (see `volumes.to_bytes`).
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return ["all its voxels have one value"]
    if ((values == low) | (values == high)).all():
        return ["has two values only, as a mask has"]
    sample = values.ravel()[:: max(1, values.size // _SAMPLE)]
    notes = []
    if (darkest := float(np.percentile(sample, 1))) > _PALE * high:
        notes.append(f"nothing in it is dark, since its values begin at {darkest:g} of {high:g}: no background of 0")
    lit = sample[sample > 0]
    others = lit[lit < high]
    if not len(others):
        return notes
    most = float(np.percentile(others, 99.5))
    overall = float(np.percentile(lit, 99.5))
    top = high if preset == "maximum" else overall
    if top > _GLARE * most:
        hint = "preset=percentile leaves it out" if overall <= _GLARE * most else "is it padding?"
        notes.append(f"its maximum {high:g} is {high / most:.0f} times as bright as nearly all of it; {hint}")
    return notes


def _is_centred(values: NDArray[np.float32]) -> bool:
    return abs(float(values.mean(dtype=np.float64))) <= _CENTRED * float(values.std(dtype=np.float64))


def find_background(values: NDArray[np.float32]) -> float | None:
    """Return the value that a fifth of the outermost voxels or more share; None where there is none."""
    faces = [np.take(values, (0, -1), axis).ravel() for axis in range(values.ndim) if values.shape[axis] > 2]
    if not faces:
        return None
    levels, counts = np.unique(np.concatenate(faces), return_counts=True)
    return float(levels[counts.argmax()]) if counts.max() >= _FRAME * counts.sum() else None
