"""What is predicted together, and how it is read into slices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data import scans, volumes
from brain_tumor.data.scans import Source
from brain_tumor.data.volumes import Grid, Volume

SEQUENCES = ("t1", "flair", "t1ce")  # red, green and blue of the LGG slices


@dataclass(frozen=True)
class Case:
    """What is predicted together.

    Attributes:
        name: of the case.
        sources: one unnamed under "", or the sequences of a patient by name.
    """

    name: str
    sources: Mapping[str, Source]

    @property
    def paths(self) -> list[Path]:
        """All its files."""
        return [path for source in self.sources.values() for path in source.paths]


@dataclass
class Slices:
    """A case, read.

    Attributes:
        images: uint8 (n, H, W, 3), as they are looked at.
        millimetres: height and width of a pixel; (1, 1) for a picture, which does not say.
        volume: what it came from; None for a picture.
        grid: likewise.
        warnings: what is doubtful.
    """

    images: NDArray[np.uint8]
    millimetres: tuple[float, float] = (1.0, 1.0)
    volume: Volume | None = None
    grid: Grid | None = None
    warnings: list[str] = field(default_factory=list)


def find(inputs: str | Sequence[str] | None, sequences: Mapping[str, str | None]) -> tuple[list[Case], int]:
    """Find the cases at some inputs, or made of the sequences of each patient.

    Returns:
        The cases, and how many files in folders were passed over.

    Raises:
        ValueError: neither or both are given, or something is not there.
    """
    given = {name: pattern for name, pattern in sequences.items() if pattern}
    if bool(inputs) == bool(given):
        raise ValueError("input: give what to predict, either as input=... or as sequences.flair=... and others")
    if unknown := set(given) - set(SEQUENCES):
        raise ValueError(f"sequences.{min(unknown)}: the sequences are {', '.join(SEQUENCES)}")
    if given:
        return _of_sequences(given), 0
    sources, passed = scans.discover([inputs] if isinstance(inputs, str) else list(inputs or []))
    if not sources:
        raise ValueError(f"input={inputs}: holds nothing to predict")
    return [Case(source.case, {"": source}) for source in sources], passed


def _of_sequences(patterns: Mapping[str, str]) -> list[Case]:
    if "flair" not in patterns:
        raise ValueError("sequences.flair: is needed, since it stands in for others that are missing")
    found: dict[str, dict[str, Source]] = {}
    for name, pattern in patterns.items():
        if pattern.count("*") > 1:
            raise ValueError(f"sequences.{name}={pattern}: give one *, which stands for the patient")
        before, star, after = pattern.partition("*")
        paths = sorted(glob(pattern)) if star else [pattern]
        for path in paths:
            sources, _ = scans.discover([path])
            if len(sources) != 1:
                raise ValueError(f"sequences.{name}={path}: holds {len(sources)} scans; give one")
            case = path[len(before) : len(path) - len(after)] if star else "scan"
            found.setdefault(case, {})[name] = sources[0]
        if not paths:
            raise ValueError(f"sequences.{name}={pattern}: no such file")
    cases = []
    for name, own in sorted(found.items()):
        if "flair" not in own:
            own["flair"] = Source(name, "", (), "has no flair beside its other sequences")
        cases.append(Case(scans.safe(name), own))
    return cases


def read(case: Case, preset: str, mixed: bool) -> Slices:
    """Read a case into slices.

    Args:
        case: to read.
        preset: of intensities (see `volumes.to_bytes`).
        mixed: whether the three channels are to be the sequences; else a volume is shown in grey.

    Raises:
        ValueError: a file cannot be read, or the sequences are not on one grid.
    """
    if "" in case.sources:
        found = case.sources[""].read()
        if isinstance(found, np.ndarray):
            return Slices(found[None])
        doubts = ["one sequence of unknown kind stands in all three channels"] if mixed else []
        return _slices([found] * 3, preset, [*found.warnings, *doubts])
    volumes_ = {}
    for name, source in case.sources.items():
        found = source.read()
        if isinstance(found, np.ndarray):
            raise ValueError(f"sequences.{name}: a picture, not a volume")
        volumes_[name] = found
    flair = volumes_["flair"]
    for name, own in volumes_.items():
        if own.values.shape != flair.values.shape or not np.allclose(own.affine, flair.affine, atol=1e-3):
            raise ValueError(f"sequences.{name}: lies on another grid than flair; register and resample it first")
    missing = [name for name in SEQUENCES if name not in volumes_]
    doubts = [f"{name} is missing and replaced by flair, as in the LGG data" for name in missing]
    doubts += [doubt for own in volumes_.values() for doubt in own.warnings]
    return _slices([volumes_.get(name, flair) for name in SEQUENCES], preset, list(dict.fromkeys(doubts)))


def _slices(channels: Sequence[Volume], preset: str, warnings: list[str]) -> Slices:
    first = channels[0]
    grid = Grid.of(first)
    cut: dict[int, NDArray[np.uint8]] = {}
    for own in channels:
        if id(own) not in cut:
            cut[id(own)] = volumes.to_bytes(grid.slices(own.values), preset)
    images = np.stack([cut[id(own)] for own in channels], -1)
    return Slices(images, grid.millimetres, first, grid, warnings)
