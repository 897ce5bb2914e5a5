"""Choose FLAIR, T1, T1ce and T2 among all that the folder of a study holds, and say for each scan why or why not."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import NamedTuple

from brain_tumor.io import archives, names, walk
from brain_tumor.scans import discovery, recognition
from brain_tumor.scans import sequences as sequences_
from brain_tumor.scans.discovery import Source
from brain_tumor.scans.recognition import Recognised

SEQUENCES = ("flair", "t1", "t1ce", "t2")
_NONE = "none"  # what a user writes for a sequence that is not to be taken
_AFTER = "was acquired after a scan with contrast agent and names none itself: before or after contrast is not known"


@dataclass(frozen=True)
class Entry:
    """A scan of a study.

    Attributes:
        source: its files.
        recognised: what it may be, and why.
        label: its first file in the study's folder, and how many more it has.
        taken: the sequence that it is taken for; "" for none.
    """

    source: Source
    recognised: Recognised
    label: str
    taken: str = ""

    def row(self) -> dict[str, object]:
        """Return it as a row of a table, without anything of a header that identifies a person."""
        return {
            "series": self.source.case,
            "files": self.label,
            "images": sum(map(len, self.source.frames)) or len(self.source.paths),
            "taken for": self.taken,
            "may be": " ".join(self.recognised.possible),
            "reason": self.recognised.reason,
        }


class Study(NamedTuple):
    """A study.

    Attributes:
        name: of its case.
        sources: the scans that the runs see, by sequence.
        entries: all its scans, those that are taken first.
        skipped: other files that a user may miss, by their paths in the folder, each with the reason.
        ignored: how many files are of other types, such as texts.
        problem: why it cannot be predicted, in a line; "" for nothing.
    """

    name: str
    sources: dict[str, Source]
    entries: list[Entry]
    skipped: dict[str, str]
    ignored: int
    problem: str

    def rows(self) -> list[dict[str, object]]:
        """Return all scans and skipped files as rows of a table."""
        empty: dict[str, object] = {"series": "", "files": "", "images": 0, "taken for": "", "may be": ""}
        others = [{**empty, "files": path, "reason": reason} for path, reason in self.skipped.items()]
        return [entry.row() for entry in self.entries] + others

    def lines(self) -> list[str]:
        """Return all scans and skipped files, a line each."""
        return [
            f"{row['taken for'] or ('not taken' if row['may be'] else 'left out'):9} "
            f"{' '.join(filter(None, [str(row['series']), '(' + str(row['files']) + ')']))}: {row['reason']}"
            for row in self.rows()
        ]


@contextmanager
def opened(text: str, output_dir: Path) -> Iterator[Path]:
    """Yield the folder of a study; a zip or tar file is unpacked below the output folder as long as the block runs.

    Raises:
        ValueError: there is no such folder or archive, or it holds results of this program, or is damaged.
    """
    path = Path(text).expanduser()
    walk.refuse_results(path, "study")
    if path.is_dir():
        yield path
    elif archives.is_archive(path):
        with archives.unpacked(path, output_dir / ".unpacked") as folder:
            yield folder
    else:
        raise ValueError(f"study={text}: no such folder, and no zip or tar file")


def find(
    folder: Path, text: str, by_hand: Mapping[str, str | None], needed: Sequence[str], wanted: Sequence[str]
) -> Study:
    """Find the scans of a study, and choose a scan for each sequence.

    Args:
        folder: that holds the study's files.
        text: what the user gave, for messages and the case's name.
        by_hand: scans that the user chose, by sequence: a series' name, a path, or "none"; None for no choice.
        needed: sequences that must be there.
        wanted: sequences that the runs see. Several candidates for one of these are a problem.

    Raises:
        ValueError: the folder holds nothing to read, or a scan that the user chose does not exist.
    """
    known = tuple(dict.fromkeys((*SEQUENCES, *wanted)))
    if unknown := set(by_hand) - set(known):
        raise ValueError(f"sequences.{min(unknown)}: the sequences are {', '.join(known)}")
    found = discovery.discover([str(folder)])
    skipped = {_within(path, folder): reason for path, reason in found.skipped.items()}
    if not found.sources:
        first = "".join(f"; {path}: {reason}" for path, reason in list(skipped.items())[:3])
        raise ValueError(f"study={text}: holds no scan{first}")
    entries = _after_contrast([Entry(source, _recognise(source), _label(source, folder)) for source in found.sources])
    chosen = {name: _choice(name, value, folder, entries) for name, value in by_hand.items() if value}
    taken = {name: source for name, source in chosen.items() if source is not None}
    if twice := [name for name, source in taken.items() if list(taken.values()).count(source) > 1]:
        raise ValueError(f"sequences.{twice[0]}: the same scan as sequences.{twice[1]}")
    problems = []
    for name in known:
        problem, source = ("", chosen[name]) if name in chosen else _automatic(name, entries, taken)
        if source is not None:
            taken[name] = source
        elif (problem and name in wanted) or name in needed:
            problem = problem or f"has no scan for {name}, which the runs need; choose: sequences.{name}=SERIES"
            problems.append(problem if name in needed else f"{problem}, or sequences.{name}={_NONE}")
    entries = _with_choices(entries, {name: taken[name] for name in known if name in taken}, set(chosen), wanted)
    problems += _strangers([entry for entry in entries if entry.taken in wanted], set(chosen))
    problem = f"study={text}: {problems[0]}" if problems else ""
    sources = {name: taken[name] for name in wanted if name in taken}
    return Study(_name(Path(text).expanduser().resolve()), sources, entries, skipped, found.ignored, problem)


def _name(path: Path) -> str:
    return names.safe((path.name if path.is_dir() else names.stem(path).removesuffix(".tar")) or "study")


def _label(source: Source, folder: Path) -> str:
    return str(PurePath(_within(source.paths[0], folder)).parent / source.label) if source.paths else ""


def _within(path: Path, folder: Path) -> str:
    """Return a path relative to the study's folder, as far as it lies in it."""
    return names.printable(str(path.relative_to(folder) if path.is_relative_to(folder) else path))


def _recognise(source: Source) -> Recognised:
    try:
        return recognition.recognise(source)
    except (MemoryError, RecursionError):
        raise  # a fault of the machine or of this program, not of the file
    except Exception as error:
        # Damaged headers raise errors of any type, and one of them must not hide the other scans.
        text = f": {error}" if isinstance(error, ValueError) else ""
        return Recognised((), names.printable(f"its header cannot be read ({type(error).__name__}{text})"))


def _after_contrast(entries: list[Entry]) -> list[Entry]:
    """Doubt T1 scans that name no contrast agent and were acquired after one that does."""
    times: dict[str, float] = {}
    for one in (entry.recognised for entry in entries):
        if one.contrast and one.time is not None:
            times[one.subject] = min(one.time, times.get(one.subject, one.time))
    doubted = []
    for entry in entries:
        one = entry.recognised
        if one.possible == ("t1",) and one.time is not None and one.time > times.get(one.subject, one.time):
            entry = replace(entry, recognised=replace(one, possible=("t1", "t1ce"), reason=f"{one.reason}; {_AFTER}"))
        doubted.append(entry)
    return doubted


def _choice(name: str, value: str, folder: Path, entries: Sequence[Entry]) -> Source | None:
    """Return the scan that a user chose by a series' name or a path, in the study or elsewhere; None for none."""
    if value == _NONE:
        return None
    if named := [entry.source for entry in entries if entry.source.case == value]:
        return named[0]
    path = next((path for path in (Path(value).expanduser(), folder / value) if path.exists()), None)
    if path is None:
        raise ValueError(f"sequences.{name}={value}: no series of the study, and no such file")
    source = sequences_.one_source(name, str(path))
    return next((entry.source for entry in entries if _same(entry.source, source)), source)


def _same(first: Source, second: Source) -> bool:
    """Return whether two scans are made of the same files and frames."""
    files = [[path.resolve() for path in source.paths] for source in (first, second)]
    return files[0] == files[1] and first.frames == second.frames


def _automatic(name: str, entries: Sequence[Entry], taken: Mapping[str, Source]) -> tuple[str, Source | None]:
    """Return the only scan that is recognised as a sequence, or what keeps it from being chosen."""
    free = [entry for entry in entries if entry.source not in taken.values()]
    sure = [entry for entry in free if entry.recognised.possible == (name,)]
    if len(sure) == 1:
        return "", sure[0].source
    candidates = sure or [entry for entry in free if name in entry.recognised.possible]
    if not candidates:
        return "", None
    shown = " or ".join(f"{entry.source.case} ({entry.label})" for entry in candidates)
    may = f"{len(candidates)} scans may be" if len(candidates) > 1 else "one scan may be"
    return f"{may} {name}: {shown}; choose: sequences.{name}=SERIES", None


def _with_choices(
    entries: Sequence[Entry], taken: Mapping[str, Source], by_hand: set[str], wanted: Sequence[str]
) -> list[Entry]:
    """Return the scans, those that are taken first and in the order of the sequences."""
    rest, first = list(entries), []
    for name, source in taken.items():
        outside = Entry(source, Recognised((), "is not in the study's folder"), source.label)
        entry = next((one for one in rest if one.source == source), outside)
        rest = [one for one in rest if one is not entry]
        reason = f"chosen by hand; {entry.recognised.reason}" if name in by_hand else entry.recognised.reason
        reason += "" if name in wanted else "; no run sees it"
        first.append(replace(entry, taken=name, recognised=replace(entry.recognised, reason=reason)))
    return first + rest


def _strangers(entries: Sequence[Entry], by_hand: set[str]) -> list[str]:
    """Return a problem where scans of several patients or studies were put together without the user's word."""
    subjects = {entry.recognised.subject for entry in entries} - {""}
    if len(subjects) < 2 or {entry.taken for entry in entries} <= by_hand:
        return []
    shown = ", ".join(f"{entry.taken}={entry.label}" for entry in entries)
    return [f"its sequences are of {len(subjects)} patients or studies ({shown}); give the folder of one"]
