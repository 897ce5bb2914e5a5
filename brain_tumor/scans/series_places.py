"""Group DICOM images without a common series UID by their positions in space."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from brain_tumor.scans.dicom_header import Header
from brain_tumor.scans.series_parts import Series, by_direction, by_spacing, counted, group_by, hashed, series_of

_STEP = 20.0  # millimetres; slices further apart are not grouped by their positions
_EVEN = 0.02  # share of a step by which images may miss an even position and still be grouped


def by_places(loose: Sequence[list[Header]]) -> list[Series]:
    """Group images without a common series UID by their positions in space.

    Args:
        loose: the images, each with its copies.
    """
    refused = [copies for copies in loose if copies[0].problem]
    readable = [copies for copies in loose if not copies[0].problem]
    unplaced = [copies for copies in readable if not copies[0].place]
    joined, single = _join([copies for copies in readable if copies[0].place])
    return [series_of(copies, "", copies[0].problem) for copies in refused] + joined + _alone(unplaced + single)


def _join(placed: list[list[Header]]) -> tuple[list[Series], list[list[Header]]]:
    """Return the series of images that fit together, and the images that fit with no other."""
    joined: list[Series] = []
    single: list[list[Header]] = []
    for alike in group_by(placed, lambda copies: (copies[0].facts, copies[0].size, bool(copies[0].spacing))):
        copies_of = {copies[0].path: copies for copies in alike}
        for spacing in by_spacing([copies[0] for copies in alike]):
            for part in by_direction(spacing):
                images = [copies_of[image.path] for image in part]
                series = _one_series(images)
                joined += series
                single += [] if series else images
    return joined, single


def _alone(images: list[list[Header]]) -> list[Series]:
    """Make a series of each image, with a warning where others of its folder and size may belong to it."""
    series: list[Series] = []
    for near in group_by(images, lambda copies: (copies[0].path.absolute().parent, copies[0].size)):
        others = counted(len(near) - 1, "other")
        note = [f"one image by itself, though {others} of its folder may belong to it"] if len(near) > 1 else []
        series += [series_of(copies, "", "", *note) for copies in near]
    return series


def _one_series(images: list[list[Header]]) -> list[Series]:
    """Make one series of images that lie evenly on parallel planes.

    Returns:
        The series; a series with a problem where images without a UID share positions, since it is not known which
        belong together; [] where each image stays by itself.
    """
    firsts = [copies[0] for copies in images]
    every_copy = [image for copies in images for image in copies]
    if len(images) > 1 and _is_even(firsts):
        note = f"{len(firsts)} images without a common series UID were put together by their geometry"
        identity = sorted(image.series or image.instance or str(image.path.absolute()) for image in firsts)
        return [replace(series_of(every_copy, "", "", note), name=hashed((*identity, *firsts[0].size)))]
    if not any(image.series for image in firsts) and _count_places(firsts) < len(firsts):
        problem = (
            f"{len(firsts)} images without a series UID lie at {counted(_count_places(firsts), 'place')}, so "
            "that it is not known which belong together; put each series into another folder"
        )
        return [series_of(every_copy, "", problem)]
    return []


def _is_even(images: Sequence[Header]) -> bool:
    """Return whether images lie on parallel planes, all at different multiples of one step."""
    normal = np.cross(images[0].direction[:3], images[0].direction[3:])
    places = np.array([image.place for image in images])
    places = places[np.argsort(places @ normal, kind="stable")]
    steps = np.diff(places, axis=0)
    lengths = steps @ normal
    if lengths.min() < 1e-3:
        return False
    step = steps[np.argmin(lengths)]
    times = np.rint(lengths / lengths.min())[:, None]
    off = np.linalg.norm(steps - times * step, axis=1)
    return bool(lengths.min() <= _STEP and (off <= _EVEN * lengths.min() * times[:, 0] + 0.01).all())


def _count_places(images: Sequence[Header]) -> int:
    return len({tuple(np.round(image.place, 2)) for image in images})
