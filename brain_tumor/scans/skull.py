"""Tell whether heads in MRI slices still have their skull and scalp, or are brains alone ("skull-stripped").

From its outline inwards, a head is bright (the scalp's fat), dark (bone and the fluid under it) and bright again (the
brain), all the way round. A brain alone gets brighter from its outline inwards, and its dark sulci are here and there,
not all round at one depth. So each slice is cut into sectors and layers of depth, and the dark layer is held against
the brighter ones outside and inside it. Only ratios within a slice count, which scaling does not change.

Nothing is trained. The numbers below were chosen on every second patient of the LGG data, by name, as they are and
with their skulls removed in several ways. All 55 others are told with their skulls, and all 55 without, removed 13
pixels deep or more. Limits: removed 9 pixels deep, some scalp is left, and one in seven passes for whole. Of 233
patients with axial, coronal and sagittal slices, all with skulls, 12 pass for brains. Noise of a quarter of the brain's
brightness can make a ring of its own.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

_SIDE = 96  # pixels of a slice's longer side, as it is looked at: a skull is two to three of them thick
_FEWEST_PIXELS = 48  # of a slice's shorter side: with fewer, its skull is thinner than a pixel
_SLICES = 9  # of a case that are looked at
_MIDDLE = (0.3, 0.7)  # of its slices: faces lie below, and above, slices run along the skull rather than across it
# A slice's contrast of the dark layer is this in most of its sectors: 0 for none, 1 for black between bright layers.
# The choosing patients had .40 or more, in one sequence alone .22; without skulls .17 or less. The others had .39 or
# more, in one sequence alone .18 (the next .27); without skulls .20 or less. A patient from elsewhere without: .08.
_WITHOUT, _WITH = 0.2, 0.25
_QUANTILE = 0.35  # of the sectors: about two thirds show at least this; faces and cut borders may hide the others
_SECTORS = 12
_LAYERS, _STEP = 20, 0.025  # layers of depth, in radii of a disk of the head's area: about 2 mm
_DEEPEST = 12  # bone lies in one of these layers; ventricles lie below
_LEAST_SIGNAL = 0.12  # of the head, between background (0) and the brightest fiftieth of the slice (1)
_LEAST_RANGE = 12  # grey levels between these two, or a channel shows nothing
_LEAST_HEAD = 0.08  # of a slice: less is a few pixels
_BOX = 0.93  # a head fills less of its bounding box (an ellipse .79); more is a background taken for a head
_LEAST_ALONE = 0.2  # likewise where there is no middle to choose: three in four such crowns of LGG pass for brains

_TRAINING_CASES, _TRAINING_SLICES = 30, 6
_MOST = 0.95  # of the decided cases must agree


def has_skull(images: NDArray[np.uint8], millimetres: tuple[float, float] = (1.0, 1.0)) -> bool | None:
    """Tell whether a head still has its skull and scalp.

    Meant for axial slices: coronal and sagittal ones are told less often and less well.

    Args:
        images: uint8 (n, H, W, 3), one case's slices in order, or a picture; a channel may show any sequence, or none.
        millimetres: height and width of a pixel, of which only the ratio counts.

    Returns:
        True with a skull, False for a brain alone; None where that cannot be told: no head, a head cut by the picture
        all round, a slice near the crown alone, or a dark layer that is too faint for one and too marked for the other.
    """
    if len(images) == 0 or min(images.shape[1:3]) < _FEWEST_PIXELS:
        return None
    step = min(images.shape[1:3]) // 24
    signal = np.array([image[::step, ::step].max(-1).mean() for image in images])
    shown = np.flatnonzero(signal > signal.max() / 4)  # volumes may be half empty
    return _verdict(images, _middle(shown, _SLICES), millimetres)


def training_skull(images: NDArray[np.uint8], rows: NDArray[np.intp], cases: Sequence[str]) -> bool | None:
    """Tell whether the heads of a training had their skulls, from a few slices of a few cases.

    Args:
        images: uint8 (N, size, size, 3), in order within each case, possibly on disk: few are read.
        rows: (n,), the training slices' places in `images`.
        cases: n names; "" for unknown, which is taken for a case of its own.

    Returns:
        True or False where nearly all cases that can be told agree; None where they are mixed or most cannot be told.
    """
    if len(cases) == 0 or min(images.shape[1:3]) < _FEWEST_PIXELS:
        return None
    places: dict[str | int, list[int]] = {}
    for row, case in zip(rows.tolist(), cases, strict=True):
        places.setdefault(case or row, []).append(row)
    known = list(places.values())
    spread = np.linspace(0, len(known) - 1, min(len(known), _TRAINING_CASES)).round().astype(int)
    verdicts = [_verdict(images, _middle(np.array(known[k]), _TRAINING_SLICES), (1.0, 1.0)) for k in spread]
    decided = [verdict for verdict in verdicts if verdict is not None]
    if 2 * len(decided) < len(verdicts):
        return None
    share = float(np.mean(decided))
    return None if 1 - _MOST < share < _MOST else share >= _MOST


def _middle(places: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Choose evenly spread ones of the middle."""
    first, last = (share * (len(places) - 1) for share in _MIDDLE)
    chosen: NDArray[np.int64] = places[np.unique(np.linspace(first, last, min(len(places), most)).round().astype(int))]
    return chosen


def _verdict(images: NDArray[np.uint8], places: NDArray[np.int64], millimetres: tuple[float, float]) -> bool | None:
    """Tell it of the slices at some places, by their median."""
    found = [own for place in places if (own := _look(images[place], millimetres))]
    if not found or 2 * len(found) < len(places):
        return None
    areas, contrasts = np.array(found).T
    if len(places) == 1 and areas[0] < _LEAST_ALONE:
        return None
    contrast = np.median(contrasts[areas >= areas.max() / 2])
    return None if _WITHOUT <= contrast < _WITH else bool(contrast >= _WITH)


def _look(image: NDArray[np.uint8], millimetres: tuple[float, float]) -> tuple[float, float] | None:
    """Return the head's share of a slice (H, W, 3), and its dark layer's contrast in the channel that shows it best."""
    signal, least = _signal(image, millimetres)
    head = _largest(np.any(signal > least, axis=-1))
    if head.mean() < _LEAST_HEAD or head.sum() > _BOX * np.prod(np.ptp(np.nonzero(head), axis=1) + 1):
        return None
    profiles = _profiles(head, signal)
    if 2 * profiles.shape[1] < _SECTORS:
        return None
    outside = np.maximum.accumulate(profiles, -1)
    inside = np.maximum.accumulate(profiles[..., ::-1], -1)[..., ::-1]
    bright = np.minimum(outside, inside)
    contrasts = (bright - profiles) / np.maximum(bright, _LEAST_SIGNAL)
    return float(head.mean()), float(np.quantile(contrasts[..., :_DEEPEST].max(-1), _QUANTILE, axis=1).max())


def _signal(
    image: NDArray[np.uint8], millimetres: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a slice's signal above background, small and with square pixels (h, w, C), and the head's least (C,)."""
    height, width = (pixels * length for pixels, length in zip(image.shape[:2], millimetres, strict=True))
    scale = _SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0), np.float64)
    signals, least = [], []
    for channel in np.moveaxis(small, -1, 0):
        # The background is what there is most of: 0, noise, or an even grey as in a few of the LGG data.
        levels = (channel / 4).astype(int)
        low = channel[levels == np.bincount(levels.ravel()).argmax()].mean()
        noise = np.sqrt(np.mean((channel[channel <= low] - low) ** 2))
        above = np.percentile(channel, 98) - low
        if above >= _LEAST_RANGE:
            signals.append((channel - low).clip(0) / above)
            least.append(max(_LEAST_SIGNAL, 4 * noise / above))
    return np.stack(signals, -1) if signals else np.zeros((*small.shape[:2], 1)), np.array(least or [1.0])


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close gaps of a mask, fill its holes, drop what is thin, and keep the largest part."""
    closed = ndimage.binary_closing(np.pad(mask, 4), iterations=3)
    opened = ndimage.binary_opening(ndimage.binary_fill_holes(closed), iterations=3)[4:-4, 4:-4]
    parts, count = ndimage.label(opened)
    kept: NDArray[np.bool_] = parts == 1 + np.bincount(parts.ravel())[1:].argmax() if count else opened
    return kept


def _profiles(head: NDArray[np.bool_], signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean signal by depth under the outline (C, sectors, _LAYERS), of sectors not cut by the picture."""
    y, x = np.nonzero(head)
    # The picture's border is no outline, so that a head may be cut by it.
    depth = ndimage.distance_transform_edt(head)[y, x] - 0.5
    layers = (depth / np.sqrt(len(y) / np.pi) / _STEP).astype(int)
    turns = np.arctan2(y - y.mean(), x - x.mean()) / (2 * np.pi) + 0.5
    near = layers < _LAYERS
    cells = ((turns * _SECTORS).astype(int) % _SECTORS * _LAYERS + layers)[near]
    values, size = signal[y[near], x[near]], _SECTORS * _LAYERS
    count = np.bincount(cells, minlength=size).reshape(_SECTORS, _LAYERS)
    sums = np.stack([np.bincount(cells, own, size).reshape(count.shape) for own in values.T])
    # A layer without a pixel is taken as the one outside it is.
    means = sums / np.maximum(count, 1)
    filled = np.maximum.accumulate(np.where(count > 0, np.arange(_LAYERS), 0), -1)
    profiles: NDArray[np.float64] = np.take_along_axis(means, filled[None].repeat(len(means), 0), -1)
    return profiles[:, count[:, :4].any(-1)]
