"""Tell whether heads in MRI slices still have their skull and scalp, or are skull-stripped to the brain.

From its outline inwards, a head is bright (the scalp's fat), dark (bone and the fluid under it) and bright again (the
brain), all the way round. A brain alone gets brighter from its outline inwards, and its dark sulci lie here and there,
not all round at one depth. So each slice is divided into sectors and layers of depth, and the dark layer is compared
with the brighter ones outside and inside it. Only ratios within a slice count, which scaling does not change.

Nothing is trained. The numbers below were chosen on every second patient of the LGG data, in the order of their names,
with their skulls and with the skulls removed in several ways. For the other 55 patients the answer is right for all
with their skulls, and for all whose skulls were removed 13 pixels deep or more. Limits: if a skull is removed 9 pixels
deep, some scalp is left, and one head in seven counts as one with a skull. Of 233 patients with axial, coronal and
sagittal slices, all with skulls, 12 count as brains alone. Noise of a quarter of the brain's brightness can look like a
ring of bone.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from brain_tumor.scans.head import outline
from brain_tumor.scans.images import as_rgb

_SIDE = 96  # pixels of the longer side of a resized slice: a skull is two to three of them thick
_FEWEST_PIXELS = 48  # of a slice's shorter side: with fewer, its skull is thinner than a pixel
_SLICES = 9  # of a case that are measured
_MIDDLE = (0.3, 0.7)  # share of the slices: faces lie below it, and slices above run along the skull, not across it
# A slice's contrast is that of the dark layer in most sectors: 0 for none, 1 for black between bright layers. The
# patients used for choosing had .40 or more (.22 in a single sequence), and .17 or less without skulls. The other
# patients had .39 or more (.18 in a single sequence, the next .27), and .20 or less without skulls. A skull-stripped
# patient from elsewhere had .08.
_WITHOUT, _WITH = 0.2, 0.25
_QUANTILE = 0.35  # of the sectors: about two thirds show at least this; faces and cut borders may hide the others
_SECTORS = 12
_LAYERS, _STEP = 20, 0.025  # layers of depth, in radii of a disk of the head's area: about 2 mm
_DEEPEST = 12  # bone lies in one of these layers; ventricles lie below
_LEAST_SIGNAL = 0.12  # of the head, between background (0) and the brightest fiftieth of the slice (1)
_LEAST_RANGE = 12  # grey levels between these two, or a channel shows nothing
_LEAST_HEAD = 0.08  # of a slice: less is a few pixels
_BOX = 0.93  # a head fills less of its bounding box (an ellipse .79); more is background mistaken for a head
_LEAST_ALONE = 0.2  # the same for a single slice: three in four smaller crowns of LGG count as brains alone

_TRAINING_CASES, _TRAINING_SLICES = 30, 6
_MOST = 0.95  # share of the decided cases that must agree


def has_skull(images: NDArray[np.uint8], millimetres: tuple[float, float] = (1.0, 1.0)) -> bool | None:
    """Return whether a head still has its skull and scalp.

    This works for axial slices; for coronal and sagittal ones it decides less often and less well.

    Args:
        images: uint8 (n, H, W, C), one case's slices in order, or a picture; a channel may show any sequence, or none.
        millimetres: height and width of a pixel, of which only the ratio counts.

    Returns:
        True for a head with a skull, False for a brain alone; None where that is not clear: there is no head, the
        picture cuts the head all round, the only slice is near the crown, or the dark layer's contrast lies between
        those of heads and brains.
    """
    if len(images) == 0 or min(images.shape[1:3]) < _FEWEST_PIXELS:
        return None
    step = min(images.shape[1:3]) // 24
    signal = np.array([image[::step, ::step].max(-1).mean() for image in images])
    shown = np.flatnonzero(signal > signal.max() / 4)  # volumes may be half empty
    return _verdict(images, _middle(shown, _SLICES), millimetres)


def training_skull(images: NDArray[np.uint8], rows: NDArray[np.intp], cases: Sequence[str]) -> bool | None:
    """Return whether the heads in a training set had their skulls, from a few slices of a few cases.

    Args:
        images: uint8 (N, size, size, C), in order within each case, possibly on disk: few are read.
        rows: (n,), the training slices' places in `images`.
        cases: n names of cases; every slice with an unknown case, "", counts as one.

    Returns:
        True or False where nearly all decided cases agree; None where they do not, or most cases are undecided.
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
    """Choose at most `most` places, evenly spread over the middle of the slices."""
    first, last = (share * (len(places) - 1) for share in _MIDDLE)
    chosen: NDArray[np.int64] = places[np.unique(np.linspace(first, last, min(len(places), most)).round().astype(int))]
    return chosen


def _verdict(images: NDArray[np.uint8], places: NDArray[np.int64], millimetres: tuple[float, float]) -> bool | None:
    """Decide whether the slices at some places show a skull, by their median contrast; None where that is not clear."""
    measured = [measurement for place in places if (measurement := _measure(images[place], millimetres))]
    if not measured or 2 * len(measured) < len(places):
        return None
    areas, contrasts = np.array(measured).T
    if len(places) == 1 and areas[0] < _LEAST_ALONE:
        return None
    contrast = np.median(contrasts[areas >= areas.max() / 2])
    return None if _WITHOUT <= contrast < _WITH else bool(contrast >= _WITH)


def _measure(image: NDArray[np.uint8], millimetres: tuple[float, float]) -> tuple[float, float] | None:
    """Measure the dark layer under a head's outline.

    Args:
        image: uint8 (H, W, C), a slice, of whose channels those are measured that are drawn.
        millimetres: height and width of a pixel.

    Returns:
        The head's share of the slice, and the dark layer's contrast (0 to 1) in the channel that shows it best; None
        where there is no head, or the picture cuts most of its outline.
    """
    signal, least = _signal(image, millimetres)
    head = outline(np.any(signal > least, axis=-1))
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
    """Return a slice's signal above its background, and from which signal on a pixel belongs to the head.

    Returns:
        The signal (h, w, C) of the resized slice with square pixels: 0 for background, 1 for the brightest fiftieth;
        and the least signal of the head (C,). Channels that show nothing are left out.
    """
    height, width = (pixels * length for pixels, length in zip(image.shape[:2], millimetres, strict=True))
    scale = _SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(
        Image.fromarray(as_rgb(image)).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0), np.float64
    )
    signals, least = [], []
    for channel in np.moveaxis(small, -1, 0):
        # The background is the most frequent level: 0, noise, or an even grey as in a few slices of the LGG data.
        levels = (channel / 4).astype(int)
        low = channel[levels == np.bincount(levels.ravel()).argmax()].mean()
        noise = np.sqrt(np.mean((channel[channel <= low] - low) ** 2))
        above = np.percentile(channel, 98) - low
        if above >= _LEAST_RANGE:
            signals.append((channel - low).clip(0) / above)
            least.append(max(_LEAST_SIGNAL, 4 * noise / above))
    return np.stack(signals, -1) if signals else np.zeros((*small.shape[:2], 1)), np.array(least or [1.0])


def _profiles(head: NDArray[np.bool_], signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean signal by depth under the outline, (C, sectors, _LAYERS), for sectors that the picture shows."""
    y, x = np.nonzero(head)
    # Depth is counted from the head's outline only: the picture may cut the head, and its border is no outline.
    depth = ndimage.distance_transform_edt(head)[y, x] - 0.5
    layers = (depth / np.sqrt(len(y) / np.pi) / _STEP).astype(int)
    turns = np.arctan2(y - y.mean(), x - x.mean()) / (2 * np.pi) + 0.5
    near = layers < _LAYERS
    cells = ((turns * _SECTORS).astype(int) % _SECTORS * _LAYERS + layers)[near]
    values, size = signal[y[near], x[near]], _SECTORS * _LAYERS
    count = np.bincount(cells, minlength=size).reshape(_SECTORS, _LAYERS)
    sums = np.stack([np.bincount(cells, channel, size).reshape(count.shape) for channel in values.T])
    # A layer without pixels gets the mean of the next layer outside it.
    means = sums / np.maximum(count, 1)
    filled = np.maximum.accumulate(np.where(count > 0, np.arange(_LAYERS), 0), -1)
    profiles: NDArray[np.float64] = np.take_along_axis(means, filled[None].repeat(len(means), 0), -1)
    return profiles[:, count[:, :4].any(-1)]
