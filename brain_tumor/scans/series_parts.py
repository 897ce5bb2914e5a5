"""Series of DICOM images, and how images are divided that are not of one size, spacing and direction."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from brain_tumor.scans.dicom_header import Header, angle

T = TypeVar("T")
_SAME_DIRECTION = 0.5  # degrees; scanners write one direction with differences of hundredths
_SAME_SPACING = 0.01  # share


@dataclass(frozen=True)
class Series:
    """Images that belong together.

    Attributes:
        name: a hash of their identity.
        paths: their files.
        problem: why they are not read; "" for nothing.
        doubts: what is doubtful about how they were put together.
        whole: whether none of them was left out.
    """

    name: str
    paths: tuple[Path, ...]
    problem: str = ""
    doubts: tuple[str, ...] = ()
    whole: bool = True


def made_of(images: Sequence[Header], extra: str, problem: str = "", *doubts: str) -> Series:
    """Name images that belong together; what is doubtful about one of them is said of all."""
    first = images[0]
    identity = first.series or first.instance or first.path.name
    placed = bool(first.place and first.spacing)
    directions = [tuple(np.round(own.direction, 3).tolist()) for own in images]
    # Without a place in space, a single image is by itself, wherever its like are.
    alone = "" if placed or len(images) > 1 else str(first.path.absolute())
    key: tuple[Any, ...] = (identity, *first.size, min(directions), alone)
    if extra:
        key = (*key, extra)
    notes = [*doubts, *(doubt for own in images for doubt in own.doubts)]
    paths = tuple(own.path for own in images)
    return Series(hashed(key), paths, problem, tuple(dict.fromkeys(notes)))


def by_spacing(images: list[Header]) -> list[list[Header]]:
    """Divide images by their spacing; those without go with the others, where these have one in common."""
    parts: list[list[Header]] = []
    for own in images:
        for part in parts:
            if own.spacing and np.allclose(own.spacing, part[0].spacing, rtol=_SAME_SPACING):
                part.append(own)
                break
        else:
            if own.spacing:
                parts.append([own])
    without = [own for own in images if not own.spacing]
    if len(parts) == 1:
        return [images]
    return [*parts, without] if without else parts


def by_direction(images: list[Header]) -> list[list[Header]]:
    """Divide images by their direction, within a tolerance; those without a place go with the first."""
    parts: list[list[Header]] = []
    for own in (own for own in images if own.place):
        near = (part for part in parts if angle(own.direction, part[0].direction) <= _SAME_DIRECTION)
        if (part := next(near, None)) is not None:
            part.append(own)
        else:
            parts.append([own])
    without = [own for own in images if not own.place]
    if not parts:
        return [without]
    parts[0] += without
    return parts


def put_together(items: Iterable[T], key: Callable[[T], Any]) -> list[list[T]]:
    """Put together what has one key, in the order of the first of each."""
    found: defaultdict[Any, list[T]] = defaultdict(list)
    for own in items:
        found[key(own)].append(own)
    return list(found.values())


def counted(amount: int, noun: str) -> str:
    """Write an amount of something."""
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"


def hashed(key: object) -> str:
    """Return a name that says nothing of what it is made of."""
    return f"dicom-{hashlib.sha256(repr(key).encode(errors='surrogateescape')).hexdigest()[:12]}"
