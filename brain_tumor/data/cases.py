"""What is predicted together, and how it is read into slices."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data import scans, volumes
from brain_tumor.data.scans import Source
from brain_tumor.data.volumes import Grid, Volume

SEQUENCES = ("t1", "flair", "t1ce")  # red, green and blue of the LGG slices
# What the images of each kind of data show in their channels; of another kind, nobody knows.
_SHOWN: dict[str, tuple[str, ...]] = {"lgg": SEQUENCES, "phantom": SEQUENCES, "cheng": ("t1ce",) * 3}
_NEEDED = {"flair": "since it stands in for others that are missing", "t1ce": "which one of the runs sees alone"}


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

    @property
    def is_picture(self) -> bool:
        """Whether it is one slice as a picture, not a volume."""
        return all(source.kind == "image" for source in self.sources.values())

    @property
    def origin(self) -> str:
        """Say in a line where it came from."""
        paths = self.paths
        return str(paths[0]) + (f" and {len(paths) - 1} more" if len(paths) > 1 else "") if paths else ""

    def stamp(self) -> str:
        """Identify its files by name, size and time."""
        stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in self.paths]
        return hashlib.sha256(repr(stats).encode()).hexdigest()[:16]


@dataclass
class Slices:
    """A case, read.

    Attributes:
        images: uint8 (n, H, W, 3), as they are looked at.
        channels: the sequences in their channels; () where nobody has named them.
        millimetres: height and width of a pixel; (1, 1) for a picture, which does not say.
        volume: what it came from; None for a picture.
        grid: likewise.
        warnings: what is doubtful.
    """

    images: NDArray[np.uint8]
    channels: tuple[str, ...] = ()
    millimetres: tuple[float, float] = (1.0, 1.0)
    volume: Volume | None = None
    grid: Grid | None = None
    warnings: list[str] = field(default_factory=list)

    def of(self, sequences: tuple[str, ...]) -> NDArray[np.uint8]:
        """Return the images with these sequences in their channels, as far as sequences are named: (n, H, W, 3)."""
        if not self.channels or not sequences or sequences == SEQUENCES:
            return self.images
        return self.images[..., [self.channels.index(name) for name in sequences]]


def shown(kind: str) -> tuple[str, ...]:
    """Name the sequences in the channels of a kind of data; () where nobody knows."""
    return _SHOWN.get(kind, ())


def needed(kinds: Iterable[str]) -> tuple[str, ...]:
    """Name the sequences that must be there for runs on these kinds of data; others can be replaced by FLAIR."""
    wanted = {"t1ce" if shown(kind) == ("t1ce",) * 3 else "flair" for kind in kinds}
    return tuple(name for name in ("flair", "t1ce") if name in wanted)


def find(
    inputs: str | Sequence[str] | None,
    sequences: Mapping[str, str | None],
    needed: Sequence[str] = ("flair",),
) -> tuple[list[Case], int]:
    """Find the cases at some inputs, or made of the sequences of each patient.

    Args:
        inputs: files, folders, patterns or lists.
        sequences: likewise by the name of the sequence, with at most one *.
        needed: sequences that no patient may lack.

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
        return _of_sequences(given, needed), 0
    sources, passed = scans.discover([inputs] if isinstance(inputs, str) else list(inputs or []))
    if not sources:
        raise ValueError(f"input={inputs}: holds nothing to predict")
    return [Case(source.case, {"": source}) for source in sources], passed


def _of_sequences(patterns: Mapping[str, str], needed: Sequence[str]) -> list[Case]:
    for name in needed:
        if name not in patterns:
            raise ValueError(f"sequences.{name}: is needed, {_NEEDED[name]}")
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
        for sequence in needed:
            if sequence not in own:
                own[sequence] = Source(name, "", (), f"has no {sequence} beside its other sequences")
        cases.append(Case(scans.safe(name), own))
    return cases


def read(case: Case, preset: str, mixed: bool) -> Slices:
    """Read a case into slices.

    Args:
        case: to read.
        preset: of intensities (see `volumes.to_bytes`).
        mixed: whether an unnamed volume's doubt is worth a warning, since the channels should be sequences.

    Raises:
        ValueError: a file cannot be read, or the sequences are not on one grid.
    """
    if "" in case.sources:
        found = case.sources[""].read()
        if isinstance(found, np.ndarray):
            return Slices(found[None])
        doubts = ["one sequence of unknown kind stands in all three channels"] if mixed else []
        return _slices({"": found}, ("",) * 3, preset, [*found.warnings, *doubts])
    own = _on_one_grid(case)
    if "flair" not in own:  # no run sees anything but T1ce
        return _slices(own, ("t1ce",) * 3, preset, own["t1ce"].warnings)
    missing = [name for name in SEQUENCES if name not in own]
    doubts = [f"{name} is missing and replaced by flair, as in the LGG data" for name in missing]
    doubts += [doubt for volume in own.values() for doubt in volume.warnings]
    channels = tuple(name if name in own else "flair" for name in SEQUENCES)
    return _slices(own, channels, preset, list(dict.fromkeys(doubts)))


def try_read(case: Case, preset: str, mixed: bool) -> Slices | str:
    """Read a case; a string says why that cannot be done."""
    try:
        return read(case, preset, mixed)
    except Exception as error:
        # Files come from anywhere, and decoders raise what they like: one bad file must not end a night's work.
        text = " ".join(str(error).split())[:300]
        return text if isinstance(error, ValueError) else f"cannot be read ({type(error).__name__}: {text})"


def _on_one_grid(case: Case) -> dict[str, Volume]:
    """Read a case's sequences, which must lie on one grid."""
    found = {}
    for name, source in case.sources.items():
        own = source.read()
        if isinstance(own, np.ndarray):
            raise ValueError(f"sequences.{name}: a picture, not a volume")
        found[name] = own
    main = "flair" if "flair" in found else "t1ce"
    for name, own in found.items():
        same = own.values.shape == found[main].values.shape
        if not same or not np.allclose(own.affine, found[main].affine, atol=1e-3):
            raise ValueError(f"sequences.{name}: lies on another grid than {main}; register and resample it first")
    return found


def _slices(own: Mapping[str, Volume], channels: tuple[str, ...], preset: str, warnings: list[str]) -> Slices:
    first = own.get("flair", own[channels[0]])
    grid = Grid.of(first)
    cut = {name: volumes.to_bytes(grid.slices(own[name].values), preset) for name in dict.fromkeys(channels)}
    images = np.stack([cut[name] for name in channels], -1)
    return Slices(images, channels if all(channels) else (), grid.millimetres, first, grid, warnings)
