"""The sequences of patients: which files of several patterns belong to one, and what a patient is called."""

import os
import re
from collections.abc import Mapping, Sequence
from glob import escape, glob
from pathlib import Path

from brain_tumor.io import names
from brain_tumor.scans import discovery
from brain_tumor.scans.discovery import Source

NAMES = ("t1", "flair", "t1ce")  # red, green and blue of the LGG slices
_NEEDED = {"flair": "since it stands in for others that are missing", "t1ce": "which one of the runs sees alone"}
# What files are called that do not say whose they are.
_GENERAL = r"(t1|t2|t1w|t2w|flair|t1ce|t1c|t1gd|t1n|t2f|ce|scan|image|volume|dicom|dcm|nii|nifti)"


def find(patterns: Mapping[str, str], needed: Sequence[str]) -> dict[str, dict[str, Source]]:
    """Find the sequences of each patient.

    Args:
        patterns: paths by the name of the sequence. A `*` is the only pattern, and stands for the patient: several in
            one path must stand for one text. Without any, all paths are one patient's, who is called after the first.
        needed: sequences that no patient may lack.

    Returns:
        The patients' sequences by name; one that is missing though it is needed is a source with that problem.

    Raises:
        ValueError: a pattern finds nothing, is none, or a path holds anything but one scan.
    """
    for name in needed:
        if name not in patterns:
            raise ValueError(f"sequences.{name}: is needed, {_NEEDED[name]}")
    starred = {name for name, pattern in patterns.items() if "*" in pattern}
    if starred and starred != set(patterns):
        bare = min(set(patterns) - starred)
        raise ValueError(f"sequences.{bare}={patterns[bare]}: has no *, as others have; write it in all or in none")
    if not starred:
        return {_called(patterns): {name: _source(name, pattern) for name, pattern in patterns.items()}}
    found: dict[str, dict[str, Source]] = {}
    for name, pattern in patterns.items():
        for case, path in _matches(name, pattern).items():
            found.setdefault(case, {})[name] = _source(name, path)
    for case, own in found.items():
        for sequence in needed:
            if sequence not in own:
                own[sequence] = Source(case, "", (), f"has no {sequence} beside its other sequences")
    return _named(found)


def _named(found: Mapping[str, dict[str, Source]]) -> dict[str, dict[str, Source]]:
    """Give patients names that files can have, unlike also where a disk takes capital letters for small ones."""
    safe = {case: names.safe(case) for case in found}
    alike = set(names.alike(list(safe.values())))
    return {
        f"{safe[case]}-{names.digest(case)}" if safe[case] in alike else safe[case]: own
        for case, own in sorted(found.items())
    }


def _matches(name: str, pattern: str) -> dict[str, str]:
    """Return the paths that a pattern finds by what its stars stand for."""
    if "**" in pattern:
        raise ValueError(f"sequences.{name}={pattern}: ** is no pattern here; a * stands for the patient")
    parts = [re.escape(part) for part in pattern.split("*")]
    any_, same = r"([^/]*)".join(parts), parts[0] + r"(?P<case>[^/]*)" + r"(?P=case)".join(parts[1:])
    found = {}
    for path in sorted(glob("*".join(escape(part) for part in pattern.split("*")))):
        match = re.fullmatch(same, path, re.DOTALL)
        if match is None:
            stars = re.fullmatch(any_, path, re.DOTALL)
            texts = " and ".join(stars.groups()) if stars else "nothing"
            raise ValueError(
                f"sequences.{name}={pattern}: its * stand for {texts} in {names.printable(path)}; all must stand for "
                "one text, the patient's"
            )
        found[match["case"]] = path
    if not found:
        raise ValueError(f"sequences.{name}={pattern}: no such file")
    return found


def _source(name: str, path: str) -> Source:
    """Return the one scan at a path."""
    found = discovery.discover([escape(path) if not os.path.lexists(path) else path])
    sources = found.sources
    if len(sources) != 1:
        held = "; ".join(names.printable(source.label) for source in sources[:3])
        raise ValueError(f"sequences.{name}={path}: holds {len(sources)} scans{held and f' ({held})'}; give one")
    return sources[0]


def _called(patterns: Mapping[str, str]) -> str:
    """Name a patient after the FLAIR or else the first file: without the sequence; or after a folder that says more."""
    path = Path(patterns.get("flair") or patterns.get("t1ce") or next(iter(patterns.values()))).absolute()
    for own in [path, *path.parents]:
        name = own.resolve().name if own.name == ".." else own.name
        stem = names.stem(own) if own == path and not own.is_dir() else name
        short = re.sub(rf"[ _.-]+{_GENERAL}$", "", stem, flags=re.IGNORECASE)
        if short and not re.fullmatch(_GENERAL, short, re.IGNORECASE):
            return names.safe(short)
    return "scan"
