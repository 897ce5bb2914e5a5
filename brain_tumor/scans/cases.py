"""Find the cases to predict, and read each into slices."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_tumor.io import names
from brain_tumor.scans import alignment, discovery, grids, intensities, numbering, volumes
from brain_tumor.scans import sequences as sequences_
from brain_tumor.scans.alignment import Placement
from brain_tumor.scans.discovery import Source
from brain_tumor.scans.numbering import NamePattern
from brain_tumor.scans.volumes import Grid, Volume

SEQUENCES = sequences_.NAMES
_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


@dataclass(frozen=True)
class Case:
    """What is predicted together: a picture, a volume, or the sequences of a patient.

    Attributes:
        name: the name in tables and files.
        sources: a picture or volume under "", or a patient's volumes by the name of the sequence.
    """

    name: str
    sources: Mapping[str, Source]

    @property
    def paths(self) -> list[Path]:
        """All its files."""
        return [path for source in self.sources.values() for path in source.paths]

    @property
    def is_picture(self) -> bool:
        """Whether it is a single picture and not a volume."""
        return all(source.kind == "image" for source in self.sources.values())

    @property
    def origin(self) -> str:
        """Its first path in a line, or the first path of each sequence: "flair=/in/a.nii.gz; t1=/in/b.nii.gz"."""
        return self._named({name: _path(source) for name, source in self.sources.items()})

    def files(self) -> str:
        """Return the names of its files in a line, for sequences as "flair=a.nii.gz; t1=b.nii.gz"."""
        return self._named({name: source.label for name, source in self.sources.items()})

    def _named(self, texts: Mapping[str, str]) -> str:
        order = [name for name in dict.fromkeys(("", *SEQUENCES, *texts)) if texts.get(name)]
        return "; ".join(f"{name}={texts[name]}" if name else texts[name] for name in order)

    def stamp(self) -> str:
        """Return 16 hexadecimal digits that change with a file's name, size or time, or when a file disappears."""
        facts = [*map(_stamp, self.paths), *(source.frames for source in self.sources.values() if source.frames)]
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


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
    """The slices of a case, as they are read and before they are fitted for a model.

    Attributes:
        images: uint8 (n, H, W, C); those of a volume are axial, front up, the patient's right on the left, unless the
            runs were trained on slices of another plane.
        channels: the sequences in the channels; () where they are not named.
        millimetres: height and width of a pixel; (1, 1) for a picture, whose file does not contain them; NaN for a
            scan whose files do not.
        volume: the volume from which the slices were cut; None for a picture.
        grid: how the slices lie in the volume; None for a picture.
        warnings: what a user should know about them.
        numbers: int64 (n,) the slices' numbers, which may have gaps; None for 0, 1, 2, ...
        placements: where the other sequences lie on their own grids.
    """

    images: NDArray[np.uint8]
    channels: tuple[str, ...] = ()
    millimetres: tuple[float, float] = (1.0, 1.0)
    volume: Volume | None = None
    grid: Grid | None = None
    warnings: list[str] = field(default_factory=list)
    numbers: NDArray[np.int64] | None = None
    placements: Mapping[str, Placement] = field(default_factory=dict)

    @property
    def spacing(self) -> float:
        """The distance from one slice to the next in millimetres; NaN where it is not known."""
        return np.nan if self.grid is None else self.grid.spacing[0]

    def of(self, sequences: tuple[str, ...]) -> NDArray[np.uint8]:
        """Return the images with these sequences in their channels, (n, H, W, C); as they are where none are named.

        Raises:
            ValueError: nothing names the channels, and there are not as many.
        """
        if not self.channels or not sequences or sequences == self.channels:
            if len(sequences or SEQUENCES) != self.images.shape[-1]:
                names = ", ".join(f"sequences.{name}=..." for name in sequences)
                raise ValueError(
                    f"shows {self.images.shape[-1]} channels, and the run sees {len(sequences)}; give {names}"
                )
            return self.images
        if sequences == SEQUENCES and set(self.channels) < set(SEQUENCES):  # others are replaced (see `read`)
            return self.images
        return self.images[..., [self.channels.index(name) for name in sequences]]


class CaseList(NamedTuple):
    """The cases at some inputs.

    Attributes:
        cases: in the order of their names.
        ignored: how many files in folders are of other types, such as texts.
        skipped: files and folders that were left out on purpose and that a user may miss, each with the reason.
    """

    cases: list[Case]
    ignored: int
    skipped: dict[Path, str]


def find(
    inputs: str | Sequence[str] | None,
    sequences: Mapping[str, str | None],
    needed: Sequence[str] = ("flair",),
    patient_pattern: str | None = None,
    known: Sequence[str] = SEQUENCES,
) -> CaseList:
    """Find cases, either at some inputs or as the sequences of patients.

    Args:
        inputs: files, folders, patterns or lists (see `inputs.gather`); empty or None for none.
        sequences: paths by the name of the sequence, where * stands for the patient (see `sequences.find`).
        needed: sequences that every patient must have.
        patient_pattern: finds the patient and the slice's number in the names of pictures, which are then the slices
            of one case (see `NamePattern`); None for pictures that are cases of their own.
        known: sequences that the runs know.

    Raises:
        ValueError: neither or both are given, an input does not exist, or there is nothing to predict.
    """
    patterns = {name: pattern for name, pattern in sequences.items() if pattern}
    if bool(inputs) == bool(patterns):
        raise ValueError("input: give what to predict: input=..., study=..., or sequences.flair=... and others")
    if unknown := set(patterns) - set(known):
        raise ValueError(f"sequences.{min(unknown)}: the sequences are {', '.join(known)}")
    if patterns:
        return CaseList([Case(name, sources) for name, sources in sequences_.find(patterns, needed).items()], 0, {})
    discovered = discovery.discover([inputs] if isinstance(inputs, str) else list(inputs or []))
    if not discovered.sources:
        first = list(discovered.skipped.items())[:3]
        reasons = "".join(f"; {names.printable(path.name)}: {text}" for path, text in first)
        raise ValueError(f"input={inputs}: holds nothing to predict{reasons}")
    sources = discovered.sources
    if patient_pattern:
        sources = numbering.stack(sources, NamePattern(patient_pattern, "patient_pattern"))
    cases = [Case(source.case, {"": source}) for source in sources]
    return CaseList(cases, discovered.ignored, discovered.skipped)


def read(
    case: Case,
    preset: str,
    mixed: bool,
    sequences: tuple[str, ...] = SEQUENCES,
    plane: str = "axial",
    register: str = "none",
) -> Slices:
    """Read a case into slices.

    Args:
        case: the case.
        preset: how intensities are scaled (see `volumes.to_bytes`).
        mixed: whether to warn that an unnamed volume stands in all channels, because the model's channels show
            different sequences.
        sequences: those to show (see `sequences.shown`); of others only the placement is read.
        plane: of the slices, one of `volumes.PLANES`.
        register: one of `registration.WAYS`.

    Raises:
        ValueError: a file cannot be read, or the sequences are not on one grid.
    """
    if "" in case.sources:
        content = case.sources[""].read()
        if isinstance(content, np.ndarray):
            numbers = case.sources[""].numbers
            return Slices(content, numbers=np.array(numbers, np.int64)) if numbers else Slices(content[None])
        doubtful = mixed and len(sequences) > 1
        notes = [f"one sequence of unknown kind stands in all {_COUNTS[len(sequences)]} channels"] * doubtful
        return _slices({"": content}, ("",) * len(sequences), preset, notes, plane)
    aligned = alignment.read(case.sources, register)
    by_sequence = {name: volume for name, volume in aligned.volumes.items() if name in sequences}
    channels, notes = sequences_.channels(by_sequence, sequences)
    slices = _slices(by_sequence, channels, preset, [*notes, *aligned.doubts], plane)
    return replace(slices, placements=aligned.placements)


def try_read(
    case: Case,
    preset: str,
    mixed: bool,
    sequences: tuple[str, ...] = SEQUENCES,
    plane: str = "axial",
    register: str = "none",
) -> Slices | str:
    """Read a case into slices (see `read`), or return why it cannot be read."""
    try:
        return read(case, preset, mixed, sequences, plane, register)
    except (MemoryError, RecursionError):
        raise  # a fault of the machine or of this program, not of the file
    except Exception as error:
        # Files come from anywhere, and decoders raise any error: one bad file must not end a long prediction.
        text = names.printable(" ".join(str(error).split()))[:300]
        return text if isinstance(error, ValueError) else f"cannot be read ({type(error).__name__}: {text})"


def _slices(
    by_sequence: Mapping[str, Volume], channels: tuple[str, ...], preset: str, notes: Sequence[str], plane: str
) -> Slices:
    """Cut volumes on one grid into slices, and collect the warnings about them."""
    first = by_sequence.get("flair", by_sequence[channels[0]])
    grid, doubts = grids.cut(first, plane)
    warnings = [*notes, *doubts]
    scaled = {}
    for name, volume in by_sequence.items():
        values, shifted = intensities.lift(volume.values)
        scaled[name] = volumes.grey_levels(volume, grid.slices(values), preset)
        texts = [*volume.warnings, *filter(None, [shifted]), *intensities.doubts(values, preset)]
        warnings += [f"{name}: {text}" if name else text for text in texts]
    images = np.stack([scaled[name] for name in channels], -1)
    named = channels if all(channels) else ()
    return Slices(images, named, grid.millimetres, first, grid, list(dict.fromkeys(warnings)))
