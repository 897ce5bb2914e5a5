"""What is predicted together, and how it is read into slices."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_tumor.io import names
from brain_tumor.scans import discovery, grids, intensities, volumes
from brain_tumor.scans import sequences as sequences_
from brain_tumor.scans.discovery import Source
from brain_tumor.scans.volumes import Grid, Volume

SEQUENCES = sequences_.NAMES


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
        """Say in a line where it came from: its first path, and of sequences which is which."""
        return self._named({name: _path(source) for name, source in self.sources.items()})

    def files(self) -> str:
        """Name its files in a line, and of sequences which is which: "flair=a.nii.gz; t1=b.nii.gz"."""
        return self._named({name: source.label for name, source in self.sources.items()})

    def _named(self, texts: Mapping[str, str]) -> str:
        order = [name for name in ("", *SEQUENCES) if texts.get(name)]
        return "; ".join(f"{name}={texts[name]}" if name else texts[name] for name in order)

    def stamp(self) -> str:
        """Identify its files by name, size and time; one that is not there any more is marked so."""
        return hashlib.sha256(repr([_stamp(path) for path in self.paths]).encode()).hexdigest()[:16]


def _path(source: Source) -> str:
    """Return a source's first path, and how many more it has."""
    more = f" and {len(source.paths) - 1} more" if len(source.paths) > 1 else ""
    return names.printable(str(source.paths[0])) + more if source.paths else ""


def _stamp(path: Path) -> tuple[str, int, int] | tuple[str, None]:
    name = names.printable(str(path))
    try:
        status = path.stat()
    except OSError:
        return name, None
    return name, status.st_size, status.st_mtime_ns


@dataclass
class Slices:
    """A case, read.

    Attributes:
        images: uint8 (n, H, W, 3), as they are looked at.
        channels: the sequences in their channels; () where nobody has named them.
        millimetres: height and width of a pixel; (1, 1) for a picture, which does not say; NaN for a scan that does
            not.
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


def needed(shown: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Name the sequences that must be there for some runs; others can be replaced by FLAIR.

    Args:
        shown: what the three channels show each run; () where nobody knows.
    """
    wanted = {"t1ce" if channels == ("t1ce",) * 3 else "flair" for channels in shown}
    return tuple(name for name in ("flair", "t1ce") if name in wanted)


class Found(NamedTuple):
    """What is to be predicted.

    Attributes:
        cases: in the order of their names.
        passed: how many files in folders are of other kinds, and were passed over.
        skipped: files and folders that may be missed and were left out on purpose, each with the reason.
    """

    cases: list[Case]
    passed: int
    skipped: dict[Path, str]


def find(
    inputs: str | Sequence[str] | None,
    sequences: Mapping[str, str | None],
    needed: Sequence[str] = ("flair",),
) -> Found:
    """Find the cases at some inputs, or made of the sequences of each patient.

    Args:
        inputs: files, folders, patterns or lists (see `inputs.gather`).
        sequences: paths by the name of the sequence, where * stands for the patient (see `sequences.find`).
        needed: sequences that no patient may lack.

    Raises:
        ValueError: neither or both are given, or something is not there.
    """
    given = {name: pattern for name, pattern in sequences.items() if pattern}
    if bool(inputs) == bool(given):
        raise ValueError("input: give what to predict, either as input=... or as sequences.flair=... and others")
    if unknown := set(given) - set(SEQUENCES):
        raise ValueError(f"sequences.{min(unknown)}: the sequences are {', '.join(SEQUENCES)}")
    if given:
        return Found([Case(name, own) for name, own in sequences_.find(given, needed).items()], 0, {})
    found = discovery.discover([inputs] if isinstance(inputs, str) else list(inputs or []))
    if not found.sources:
        reasons = "".join(f"; {names.printable(path.name)}: {text}" for path, text in list(found.skipped.items())[:3])
        raise ValueError(f"input={inputs}: holds nothing to predict{reasons}")
    return Found([Case(source.case, {"": source}) for source in found.sources], found.passed, found.skipped)


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
        return _slices({"": found}, ("",) * 3, preset, doubts)
    own = _on_one_grid(case)
    if "flair" not in own:  # no run sees anything but T1ce
        return _slices(own, ("t1ce",) * 3, preset, [])
    missing = [name for name in SEQUENCES if name not in own]
    doubts = [f"{name} is missing and replaced by flair, as in the LGG data" for name in missing]
    channels = tuple(name if name in own else "flair" for name in SEQUENCES)
    return _slices(own, channels, preset, doubts)


def try_read(case: Case, preset: str, mixed: bool) -> Slices | str:
    """Read a case; a string says why that cannot be done."""
    try:
        return read(case, preset, mixed)
    except (MemoryError, RecursionError):
        raise  # a fault of the machine's or ours, not of the file
    except Exception as error:
        # Files come from anywhere, and decoders raise what they like: one bad file must not end a night's work.
        text = names.printable(" ".join(str(error).split()))[:300]
        return text if isinstance(error, ValueError) else f"cannot be read ({type(error).__name__}: {text})"


def _on_one_grid(case: Case) -> dict[str, Volume]:
    """Read a case's sequences, which must lie on one grid; their axes may run as they like."""
    found = {}
    for name, source in case.sources.items():
        try:
            own = source.read()
        except ValueError as error:
            label = f" ({source.label})" if source.paths and source.label not in str(error) else ""
            raise ValueError(f"sequences.{name}{label}: {error}") from error
        if isinstance(own, np.ndarray):
            raise ValueError(f"sequences.{name}: a picture, not a volume")
        found[name] = own
    main = "flair" if "flair" in found else "t1ce"
    for name, own in found.items():
        moved = own if name == main else grids.onto(own, found[main])
        if moved is None:
            why = "" if own.measured and found[main].measured else ", as far as is known"
            raise ValueError(f"sequences.{name}: lies on another grid than {main}{why}; register and resample it first")
        found[name] = moved
    return found


def _slices(own: Mapping[str, Volume], channels: tuple[str, ...], preset: str, doubts: Sequence[str]) -> Slices:
    """Cut volumes on one grid into slices, and collect what is doubtful about them."""
    first = own.get("flair", own[channels[0]])
    grid = Grid.of(first)
    grids.refuse_thin(grid)
    warnings = [*doubts, *grids.doubts(first, grid)]
    cut = {}
    for name, volume in own.items():
        values, shifted = intensities.lift(volume.values)
        cut[name] = volumes.to_bytes(grid.slices(values), preset)
        said = [*volume.warnings, *filter(None, [shifted]), *intensities.doubts(values, preset)]
        warnings += [f"{name}: {text}" if name else text for text in said]
    images = np.stack([cut[name] for name in channels], -1)
    return Slices(
        images, channels if all(channels) else (), grid.millimetres, first, grid, list(dict.fromkeys(warnings))
    )
