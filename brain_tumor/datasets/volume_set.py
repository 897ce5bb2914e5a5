"""What data sets of volumes share: cases are checked by their headers, and cut into slices when they are decoded."""

import hashlib
import json
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from brain_tumor.datasets import volume_case
from brain_tumor.datasets.base import COLUMNS, DataSet, Listing, Remarks, Stack
from brain_tumor.datasets.regions import Regions
from brain_tumor.datasets.volume_case import Outline, VolumeCase
from brain_tumor.io import atomic
from brain_tumor.scans import volumes
from brain_tumor.scans.volumes import Grid

SLICES = ("all", "tumour")
_ALIKE = 0.1  # share by which the slices' distances may differ between volumes that have one


class Declared(NamedTuple):
    """A data set of volumes, as its folder declares it.

    Attributes:
        sequences: what the channels show.
        regions: what the labels mean.
        cases: all cases whose files are there.
        folds: the fold that tests each case, by its name; {} for none.
        parts: the part of each case, by its name; {} for none.
        problems: what is wrong with names and files, one line each.
        notes: worth knowing, but no fault; one line each.
    """

    sequences: tuple[str, ...]
    regions: Regions
    cases: list[VolumeCase]
    folds: Mapping[str, int]
    parts: Mapping[str, str]
    problems: list[str]
    notes: list[str]


class VolumeSet(DataSet):
    """A data set of volumes.

    Args:
        root: its folder.
        regions: labels by the region's name, such as {whole: [1, 2, 3], core: [2, 3]}; None for those that the data
            declares.
        slices: "all", or "tumour" for slices with a label only, in tests, too.
        every: of these, every so many is shown; 1 for all.
        plane: how slices are cut, one of `volumes.PLANES`, by the affine.
        cache_dir: keeps which slices have a tumour.

    Raises:
        ValueError: a value is unknown or out of range.
    """

    scaling = volumes.LEVELS

    def __init__(
        self,
        *,
        root: str,
        regions: dict[str, Any] | None = None,
        slices: str = "all",
        every: int = 1,
        plane: str = "axial",
        cache_dir: str,
    ) -> None:
        for name, value, choices in (("slices", slices, SLICES), ("plane", plane, tuple(volumes.PLANES))):
            if value not in choices:
                raise ValueError(f"data.{name}={value}: choose one of {', '.join(choices)}")
        if every < 1:
            raise ValueError(f"data.every={every}: must be at least 1")
        self.root: Path = Path(root).expanduser()
        self._asked, self._slices, self._every, self.plane = regions, slices, every, plane
        self.whole_volumes = slices == "all"
        self._cache = Path(cache_dir).expanduser() / "volumes"

    @abstractmethod
    def declare(self) -> Declared:
        """Read what the folder declares, and list its files; no volume is opened.

        Raises:
            ValueError: the folder is no such data set.
        """

    def listing(self) -> Listing:
        """List the slices of all cases whose headers are sound.

        Raises:
            ValueError: as for `declare`, or a chosen region names no label.
        """
        _require_nibabel(self.name)
        declared = self.declare()
        self.sequences = declared.sequences
        regions = declared.regions if self._asked is None else declared.regions.choose(self._asked)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            look = partial(volume_case.outline, channels=len(self.sequences), plane=self.plane)
            outlines = list(pool.map(look, declared.cases))
        problems = [*declared.problems, *(line for outline in outlines for line in outline.problems)]
        sound = [pair for pair in zip(declared.cases, outlines, strict=True) if not pair[1].problems]
        self.slice_mm = _distance([outline for _, outline in sound])
        rows, stacks = self._cut(sound, declared, regions, problems)
        table = pd.DataFrame(rows, columns=COLUMNS)
        return Listing(
            self.root, table, problems, list(declared.notes), stacks=stacks, channels=len(self.sequences),
            regions=regions,
        )  # fmt: skip

    def remarks(self, listing: Listing) -> Remarks:
        """Name undeclared labels in cases that other faults keep out of the listing, and cases without any label."""
        listed = set(listing.table["case"])
        problems = []
        for case in self.declare().cases:
            if case.name not in listed and case.label is not None and not case.is_flat:
                try:
                    values = volume_case.label_values(case.label)
                except ValueError:
                    continue  # its header has said so, or its values do when the others are mended
                try:
                    listing.regions.refuse_unknown(values, case.label)
                except ValueError as error:
                    problems.append(str(error))
        return Remarks(problems, [])

    def _cut(
        self, sound: Sequence[tuple[VolumeCase, Outline]], declared: Declared, regions: Regions, problems: list[str]
    ) -> tuple[list[tuple[Any, ...]], list[Stack]]:
        """Return the rows and stacks of cases; what cannot be read to choose slices becomes a problem."""
        rows: list[tuple[Any, ...]] = []
        stacks = []
        chosen = self._choose([case for case, _ in sound], regions) if self._slices == "tumour" else {}
        for case, outline in sound:
            numbers: Any = chosen.get(case.name, range(outline.count))
            if isinstance(numbers, ValueError):
                problems.append(str(numbers))
                continue
            numbers = list(numbers)[:: self._every]
            if not numbers:
                continue
            image, mask = (self._place(path, case) for path in (case.images[0], case.label))
            facts = case.name, declared.parts.get(case.name, ""), declared.folds.get(case.name, -1)
            rows += [
                (f"{image}/{n}", mask and f"{mask}/{n}", facts[0], n, "", facts[1], facts[2]) for n in numbers
            ]  # fmt: skip
            read = partial(volume_case.read, case, self.plane, regions, numbers)
            stacks.append(Stack(case.name, len(numbers), case.files, read))
        return rows, stacks

    def _place(self, path: Path | None, case: VolumeCase) -> str:
        """Return the path below which a case's slices have theirs; "" for a case without labels."""
        if path is None:
            return ""
        folder = path.parent.relative_to(self.root).as_posix()
        name = path.name.partition(".")[0] if path.parent.name == case.name else case.name
        return "/".join([folder, name, *([self.plane] if self.plane != "axial" else [])])

    def _choose(self, cases: Sequence[VolumeCase], regions: Regions) -> dict[str, list[int] | ValueError]:
        """Return the numbers of the slices with a tumour, by case, or why its labels cannot be read.

        They are kept in the cache, so that labels are read once.
        """
        labelled = [case for case in cases if case.label is not None]
        about = repr((str(self.root.resolve()), self.plane, regions.plain()))
        path = self._cache / f"{hashlib.sha256(about.encode()).hexdigest()[:16]}.json"
        known: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}

        def find(case: VolumeCase) -> list[int] | ValueError:
            assert case.label is not None
            stat = case.label.stat()
            stamp = [stat.st_size, stat.st_mtime_ns]
            if known.get(case.name, [None])[0] != stamp:
                try:
                    known[case.name] = [stamp, _tumour_slices(case, self.plane, regions)]
                except ValueError as error:
                    return error
            found: list[int] = known[case.name][1]
            return found

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            chosen = dict(zip([case.name for case in labelled], pool.map(find, labelled), strict=True))
        self._cache.mkdir(parents=True, exist_ok=True)
        with atomic.file(path) as temporary:
            temporary.write_text(json.dumps(known))
        return {**{case.name: [] for case in cases}, **chosen}


def _tumour_slices(case: VolumeCase, plane: str, regions: Regions) -> list[int]:
    """Return the numbers of a case's slices with any region."""
    assert case.label is not None
    if case.is_flat:
        (content,) = volume_case.read(case, plane, regions)
        return [0] if content.mask is not None and regions.tumour[content.mask].any() else []
    volume = volume_case.empty(case.images[0])
    masks = Grid.of(volume, plane).slices(volume_case.labels_on(case.label, volume, regions))
    return [int(number) for number in np.flatnonzero(regions.tumour[masks].any((1, 2)))]


def _distance(outlines: Sequence[Outline]) -> float | None:
    """Return the distance between slices in millimetres, if the volumes have one."""
    known = [outline.slice_mm for outline in outlines if outline.slice_mm is not None]
    if not known or max(known) - min(known) > _ALIKE * min(known):
        return None
    return round(float(np.median(known)), 3)


def _require_nibabel(name: str) -> None:
    """Refuse to go on without nibabel.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import nibabel  # noqa: F401
    except ImportError as error:
        raise ValueError(f"data={name}: needs nibabel: pip install 'brain-tumor[scan]'") from error
