"""Odd inputs with right answers: a head whose lesion is known, and the words of the tables of its disguises.

A disguise is a line in a table (`odd_nifti`, `odd_dicom`, `odd_pictures`, `odd_places`): its name, the number of the
fault that it belongs to (0 for none), how it is written, and what must come of it.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from numpy.typing import NDArray

nib: Any = nibabel  # which has no types
Array = NDArray[Any]
AIR, BRAIN, LESION = 0, 100, 240
# To which sides the axes of a volume may run.
AXES = ["".join(axes) for order in itertools.permutations(("RL", "AP", "SI")) for axes in itertools.product(*order)]


@dataclass(frozen=True)
class Head:
    """A head with a lesion in front on the patient's left, no two of whose turns or mirrors look alike.

    Attributes:
        values: (I, J, K) of `AIR`, `BRAIN` and `LESION`.
        affine: (4, 4), from voxel to millimetres, x to the right, y to the front, z up; None for a picture.
    """

    values: Array
    affine: Array | None

    @cached_property
    def lesion(self) -> Array:
        """Where the lesion is: bool (I, J, K)."""
        return self.values > (BRAIN + LESION) / 2

    @property
    def space(self) -> Array:
        """The affine of a head that has one."""
        assert self.affine is not None, "a picture has no place in space"
        return self.affine

    @property
    def millilitres(self) -> float:
        """Of the lesion."""
        return float(self.lesion.sum() * abs(np.linalg.det(self.space[:3, :3])) / 1000)

    @property
    def centre(self) -> Array:
        """Where the lesion's middle is, in millimetres: (3,)."""
        return np.asarray((self.space @ [*np.argwhere(self.lesion).mean(0), 1])[:3])

    @property
    def heights(self) -> Array:
        """Where the slices' middles are, in millimetres above the origin, from the feet up: (n,)."""
        upright = self.turned("RAS")
        width, depth, count = upright.values.shape
        middles = [[(width - 1) / 2, (depth - 1) / 2, slice_, 1] for slice_ in range(count)]
        return np.asarray(middles @ upright.space[2])

    @cached_property
    def slices(self) -> Array:
        """As they are looked at, from the feet up, front up, the patient's right on the left: uint8 (n, H, W)."""
        return (self.turned("LPS").values.transpose(2, 1, 0) * (255 / LESION)).round().astype(np.uint8)

    @property
    def pixel(self) -> tuple[float, float]:
        """Height and width of a slice's pixel, in millimetres."""
        width, height = np.linalg.norm(self.turned("LPS").space[:3, :2], axis=0)
        return float(height), float(width)

    @property
    def picture(self) -> Array:
        """The lowest slice: uint8 (H, W)."""
        return np.ascontiguousarray(self.slices[0])

    def turned(self, axes: str) -> "Head":
        """Return the same head at the same place, its axes running to other sides, such as "PIR"."""
        affine = np.eye(4) if self.affine is None else self.affine
        change = ornt_transform(nib.io_orientation(affine), axcodes2ornt(axes))  # type: ignore[no-untyped-call]
        moved = apply_orientation(self.values, change)  # type: ignore[no-untyped-call]
        affine = affine @ inv_ornt_aff(change, self.values.shape)  # type: ignore[no-untyped-call]
        return Head(np.ascontiguousarray(moved), affine)

    def nodding(self, angle: float) -> "Head":
        """Return the head, its grid turned by an angle in radians around the axis from ear to ear."""
        turn = np.eye(4)
        turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        return replace(self, affine=turn @ self.space)

    def between(self, first: int, end: int) -> "Head":
        """Return some of the slices of a head whose third axis runs up."""
        affine = self.space.copy()
        affine[:3, 3] += first * affine[:3, 2]
        return Head(self.values[..., first:end], affine)

    def resampled(self, *spacing: float) -> "Head":
        """Return the head on a grid of other voxels, in millimetres, as large as ever."""
        lengths, affine = np.diag(self.space)[:3], self.space.copy()
        counts = np.round(np.array(self.values.shape) * lengths / spacing).tolist()
        places = [(np.arange(n) * new / old).astype(int) for n, new, old in zip(counts, spacing, lengths, strict=True)]
        affine[:3, :3] = np.diag(spacing)
        return Head(self.values[np.ix_(*places)], affine)


def _draw() -> Head:
    i, j, k = np.mgrid[:56, :64, :20]
    values = np.where(((i - 27.5) / 24) ** 2 + ((j - 31.5) / 28) ** 2 + ((k - 9.5) / 9.8) ** 2 < 1, BRAIN, AIR)
    values[((i - 15) / 5) ** 2 + ((j - 43) / 6) ** 2 + ((k - 12) / 3) ** 2 < 1] = LESION
    affine = np.diag([2.5, 2.5, 5.0, 1.0])
    affine[:3, 3] = (-66, -81, -41)
    return Head(values.astype(np.float32), affine)


HEAD = _draw()
SLICE = HEAD.between(12, 13)
PICTURE = replace(SLICE, affine=None)


@dataclass(frozen=True)
class Given:
    """How a disguise is given to `predict`, from the folder that holds its files.

    Attributes:
        input: as of `predict`; the folder by default.
        sequences: as of `predict`, instead of an input.
        head: the right answer, where that is not the head that was handed over.
        output: the folder to write to.
        study: as of `predict`, instead of an input; `sequences` are then chosen by hand.
        settings: others of `predict`.
    """

    input: str | list[str] = "."
    sequences: Mapping[str, str] = field(default_factory=dict)
    head: Head | None = None
    output: str = "../out"
    study: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


Write = Callable[[Path, Head], Given | None]


@dataclass(frozen=True)
class Outcome:
    """What must come of a disguise: one of the five below."""

    kind: str
    words: str = ""


RIGHT = Outcome("right")  # the right answer for every case, and no doubt about it


def right_with(words: str) -> Outcome:
    """Expect these words, a regular expression; whatever is answered is right."""
    return Outcome("right with", words)


def right_or(words: str) -> Outcome:
    """Expect the right answer, or these words: a doubt, or a reason why there is no answer."""
    return Outcome("right or", words)


def warned(words: str) -> Outcome:
    """Expect these words, as a doubt or a reason; what is answered nevertheless may be wrong."""
    return Outcome("warned", words)


def refused(words: str) -> Outcome:
    """Expect no answer, for a reason with these words."""
    return Outcome("refused", words)


@dataclass(frozen=True)
class Disguise:
    """A line of a table.

    Attributes:
        name: what it is called in tests.
        fault: the number of the fault that it belongs to; 0 for none.
        write: writes its files into a folder, which is the input by default.
        expected: what must come of it.
        cases: how many cases there are, where all are to be right.
        head: what it shows.
    """

    name: str
    fault: int
    write: Write
    expected: Outcome = RIGHT
    cases: int = 1
    head: Head = HEAD
