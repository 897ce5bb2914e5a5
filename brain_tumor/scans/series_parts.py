"""Define series of DICOM images, and divide images by spacing and by direction."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from brain_tumor.scans.dicom_header import Header, angle

T = TypeVar("T")
_SAME_DIRECTION = 0.5  # degrees; what scanners write for one direction differs by hundredths
_SAME_SPACING = 0.01  # share by which equal spacings may differ


@dataclass(frozen=True)
class Series:
    """DICOM images that belong together.

    Attributes:
        name: a hash of their identity.
        paths: their files.
        frames: of each file the numbers of its frames; () for files of one image.
        problem: why they are not read; "" for nothing.
        doubts: warnings about how they were put together.
        whole: whether none of them was left out.
    """

    name: str
    paths: tuple[Path, ...]
    frames: tuple[tuple[int, ...], ...] = ()
    problem: str = ""
    doubts: tuple[str, ...] = ()
    whole: bool = True


def series_of(images: Sequence[Header], extra: str, problem: str = "", *doubts: str) -> Series:
    """Make a series of images that belong together.

    Args:
        images: the headers of one or more images.
        extra: a text that enters the name's hash, to tell parts of one series apart; "" for nothing.
        problem: why the series is not read; "" for nothing.
        doubts: warnings about the series, beside those about its images.
    """
    first = images[0]
    identity = first.series or first.instance or first.path.name
    placed = bool(first.place and first.spacing)
    directions = [tuple(np.round(image.direction, 3).tolist()) for image in images]
    # A single image without a position is named by its path, since other such images may share its identity.
    alone = "" if placed or len(images) > 1 else str(first.path.absolute())
    key: tuple[Any, ...] = (identity, *first.size, min(directions), alone)
    key += (first.volume,) if first.volume else ()
    key += (extra,) if extra else ()
    notes = [*doubts, *(doubt for image in images for doubt in image.doubts)]
    paths, frames = _files(images)
    return Series(hashed(key), paths, frames, problem, tuple(dict.fromkeys(notes)))


def _files(images: Sequence[Header]) -> tuple[tuple[Path, ...], tuple[tuple[int, ...], ...]]:
    """Return the files of images, and of each the frames; () for files of one image."""
    if all(image.frame is None for image in images):
        return tuple(image.path for image in images), ()
    by_path: dict[Path, list[int]] = {}
    for image in images:
        by_path.setdefault(image.path, []).append(image.frame or 0)
    return tuple(by_path), tuple(map(tuple, by_path.values()))


def by_spacing(images: list[Header]) -> list[list[Header]]:
    """Divide images by their spacing; images without one join the others where these share one spacing."""
    parts: list[list[Header]] = []
    for image in images:
        for part in parts:
            if image.spacing and np.allclose(image.spacing, part[0].spacing, rtol=_SAME_SPACING):
                part.append(image)
                break
        else:
            if image.spacing:
                parts.append([image])
    without = [image for image in images if not image.spacing]
    if len(parts) == 1:
        return [images]
    return [*parts, without] if without else parts


def by_direction(images: list[Header]) -> list[list[Header]]:
    """Divide images by their direction, within half a degree; images without a position join the first part."""
    parts: list[list[Header]] = []
    for image in (image for image in images if image.place):
        near = (part for part in parts if angle(image.direction, part[0].direction) <= _SAME_DIRECTION)
        if (part := next(near, None)) is not None:
            part.append(image)
        else:
            parts.append([image])
    without = [image for image in images if not image.place]
    if not parts:
        return [without]
    parts[0] += without
    return parts


def group_by(items: Iterable[T], key: Callable[[T], Any]) -> list[list[T]]:
    """Group items by a key; the groups are in the order of their first items."""
    groups: defaultdict[Any, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return list(groups.values())


def counted(amount: int, noun: str) -> str:
    """Return an amount with its noun, such as "1 image" or "3 images"."""
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"


def hashed(key: object) -> str:
    """Return a name that reveals nothing of its key: "dicom-" and twelve hexadecimal digits."""
    return f"dicom-{hashlib.sha256(repr(key).encode(errors='surrogateescape')).hexdigest()[:12]}"
