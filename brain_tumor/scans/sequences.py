"""Find the sequences of each patient among the files of several patterns, and name the patient."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from glob import escape, glob
from pathlib import Path

from brain_tumor.io import names
from brain_tumor.scans import discovery
from brain_tumor.scans.discovery import Source

NAMES = ("t1", "flair", "t1ce")  # red, green and blue of the LGG slices
_NEEDED = {"flair": "since it replaces missing sequences", "t1ce": "since a run predicts from it alone"}
_SEEN = "since the run sees it"
# Words in names of files that do not identify a patient.
_GENERAL = r"(t1|t2|t1w|t2w|flair|t1ce|t1c|t1gd|t1n|t2f|ce|scan|image|volume|dicom|dcm|nii|nifti)"


def shown(runs: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Name the sequences that some runs see: those of the LGG data, or with others all that they see.

    Args:
        runs: what the channels show each run; () where nobody knows.
    """
    seen = dict.fromkeys(name for channels in runs for name in channels)
    return NAMES if set(seen) <= set(NAMES) else tuple(seen)


def needed(runs: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Name the sequences that must be there for some runs; of the LGG data's, FLAIR can replace the others.

    Args:
        runs: what the channels show each run; () where nobody knows.
    """
    runs = list(runs)
    if (seen := shown(runs)) != NAMES:
        return seen
    wanted = {"t1ce" if channels == ("t1ce",) * 3 else "flair" for channels in runs}
    return tuple(name for name in ("flair", "t1ce") if name in wanted)


def channels(present: Iterable[str], seen: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """Return the sequence that each channel shows a run, and notes on those that FLAIR replaces.

    Args:
        present: the patient's sequences.
        seen: what the run sees.
    """
    present = set(present)
    if seen != NAMES:
        return seen, []
    if "flair" not in present:  # then all runs predict from T1ce alone
        return ("t1ce",) * 3, []
    notes = [f"{name} is missing and replaced by flair, as in the LGG data" for name in NAMES if name not in present]
    return tuple(name if name in present else "flair" for name in NAMES), notes


def find(patterns: Mapping[str, str], needed: Sequence[str]) -> dict[str, dict[str, Source]]:
    """Find the sequences of each patient.

    Args:
        patterns: paths by the name of the sequence. A `*` stands for the patient, and several in one path for the same
            text; there are no other wildcards. Paths without a `*` all belong to one patient, who is named after the
            file of FLAIR.
        needed: sequences that every patient must have.

    Returns:
        The sequences by patient and by name. A missing sequence that is needed is a source with that problem.

    Raises:
        ValueError: a needed sequence has no pattern, a pattern is not valid or finds nothing, or a path does not hold
            exactly one scan.
    """
    for name in needed:
        if name not in patterns:
            raise ValueError(f"sequences.{name}: is needed, {_SEEN if len(needed) > 2 else _NEEDED.get(name, _SEEN)}")
    starred = {name for name, pattern in patterns.items() if "*" in pattern}
    if starred and starred != set(patterns):
        unstarred = min(set(patterns) - starred)
        raise ValueError(
            f"sequences.{unstarred}={patterns[unstarred]}: has no *, as others have; write it in all or in none"
        )
    if not starred:
        return {_patient_name(patterns): {name: one_source(name, pattern) for name, pattern in patterns.items()}}
    patients: dict[str, dict[str, Source]] = {}
    for name, pattern in patterns.items():
        for case, path in _matches(name, pattern).items():
            patients.setdefault(case, {})[name] = one_source(name, path)
    for case, sequences in patients.items():
        for sequence in needed:
            if sequence not in sequences:
                sequences[sequence] = Source(case, "", (), f"has no {sequence} beside its other sequences")
    return _with_safe_names(patients)


def _with_safe_names(patients: Mapping[str, dict[str, Source]]) -> dict[str, dict[str, Source]]:
    """Give patients names that are safe for files, and different even on a disk that ignores the case of letters."""
    safe = {case: names.safe(case) for case in patients}
    alike = set(names.alike(list(safe.values())))
    return {
        f"{safe[case]}-{names.digest(case)}" if safe[case] in alike else safe[case]: sequences
        for case, sequences in sorted(patients.items())
    }


def _matches(name: str, pattern: str) -> dict[str, str]:
    """Return the paths that match a pattern, by the text for which its stars stand."""
    if "**" in pattern:
        raise ValueError(f"sequences.{name}={pattern}: ** is no pattern here; a * stands for the patient")
    parts = [re.escape(part) for part in pattern.split("*")]
    any_text, same_text = r"([^/]*)".join(parts), parts[0] + r"(?P<case>[^/]*)" + r"(?P=case)".join(parts[1:])
    paths = {}
    for path in sorted(glob("*".join(escape(part) for part in pattern.split("*")))):
        match = re.fullmatch(same_text, path, re.DOTALL)
        if match is None:
            stars = re.fullmatch(any_text, path, re.DOTALL)
            texts = " and ".join(stars.groups()) if stars else "nothing"
            raise ValueError(
                f"sequences.{name}={pattern}: its * stand for {texts} in {names.printable(path)}; all must stand for "
                "one text, the patient's"
            )
        paths[match["case"]] = path
    if not paths:
        raise ValueError(f"sequences.{name}={pattern}: no such file")
    return paths


def one_source(name: str, path: str) -> Source:
    """Return the one scan at a path.

    Args:
        name: of the sequence, for the message.
        path: a file or a folder.

    Raises:
        ValueError: there is none, or more than one.
    """
    sources = discovery.discover([escape(path) if not os.path.lexists(path) else path]).sources
    if len(sources) != 1:
        labels = "; ".join(names.printable(source.label) for source in sources[:3])
        raise ValueError(f"sequences.{name}={path}: holds {len(sources)} scans{labels and f' ({labels})'}; give one")
    return sources[0]


def _patient_name(patterns: Mapping[str, str]) -> str:
    """Name a patient after the file of FLAIR, T1ce or the first sequence, without words such as "flair".

    Where nothing else is left of the file's name, the patient is named after its nearest folder with a name that is
    more than such a word.
    """
    path = Path(patterns.get("flair") or patterns.get("t1ce") or next(iter(patterns.values()))).absolute()
    for candidate in [path, *path.parents]:
        name = candidate.resolve().name if candidate.name == ".." else candidate.name
        stem = names.stem(candidate) if candidate == path and not candidate.is_dir() else name
        short = re.sub(rf"[ _.-]+{_GENERAL}$", "", stem, flags=re.IGNORECASE)
        if short and not re.fullmatch(_GENERAL, short, re.IGNORECASE):
            return names.safe(short)
    return "scan"
