"""Put DICOM images together that no series' UID does: by where they lie in space."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from brain_tumor.scans.dicom_header import Header
from brain_tumor.scans.series_parts import Series, by_direction, by_spacing, counted, hashed, made_of, put_together

_STEP = 20.0  # millimetres; slices further apart are not put together by their places
_EVEN = 0.02  # share of a step by which images may be off their places to be put together by these


def by_places(loose: Sequence[list[Header]]) -> list[Series]:
    """Put images together that no UID does; `loose` are images, each with its copies."""
    found = [made_of(images, "", images[0].problem) for images in loose if images[0].problem]
    alone = [images for images in loose if not images[0].problem and not images[0].place]
    fitting = [images for images in loose if not images[0].problem and images[0].place]
    for like in put_together(fitting, lambda own: (own[0].facts, own[0].size, bool(own[0].spacing))):
        firsts = {own[0].path: own for own in like}
        for spacing in by_spacing([own[0] for own in like]):
            for part in by_direction(spacing):
                images = [firsts[own.path] for own in part]
                one = _one_of(images)
                found += one
                alone += [] if one else images
    for near in put_together(alone, lambda own: (own[0].path.absolute().parent, own[0].size)):
        others = counted(len(near) - 1, "other")
        note = [f"one image by itself, though {others} of its folder may belong to it"] if len(near) > 1 else []
        found += [made_of(own, "", "", *note) for own in near]
    return found


def _one_of(images: list[list[Header]]) -> list[Series]:
    """Make one series of images that lie evenly on parallel planes; none where each is by itself."""
    firsts = [own[0] for own in images]
    everyone = [copy for own in images for copy in own]
    if len(images) > 1 and _is_even(firsts):
        note = f"{len(firsts)} images without a common series UID were put together by their geometry"
        identity = sorted(own.series or own.instance or str(own.path.absolute()) for own in firsts)
        return [replace(made_of(everyone, "", "", note), name=hashed((*identity, *firsts[0].size)))]
    if not any(own.series for own in firsts) and _places(firsts) < len(firsts):
        problem = (
            f"{len(firsts)} images without a series UID lie at {counted(_places(firsts), 'place')}: which belong "
            "together is not known; give each series a folder of its own"
        )
        return [made_of(everyone, "", problem)]
    return []


def _is_even(images: Sequence[Header]) -> bool:
    """Return whether images lie on parallel planes, each at its own multiple of one step."""
    normal = np.cross(images[0].direction[:3], images[0].direction[3:])
    places = np.array([own.place for own in images])
    places = places[np.argsort(places @ normal, kind="stable")]
    steps = np.diff(places, axis=0)
    lengths = steps @ normal
    if lengths.min() < 1e-3:
        return False
    step = steps[np.argmin(lengths)]
    times = np.rint(lengths / lengths.min())[:, None]
    off = np.linalg.norm(steps - times * step, axis=1)
    return bool(lengths.min() <= _STEP and (off <= _EVEN * lengths.min() * times[:, 0] + 0.01).all())


def _places(images: Sequence[Header]) -> int:
    return len({tuple(np.round(own.place, 2)) for own in images})
