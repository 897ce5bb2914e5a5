"""Read the patient and the slice's number out of the name of a file, and put a patient's pictures together."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from brain_tumor.io import names
from brain_tumor.scans.discovery import Source


class NamePattern:
    """A pattern of the user's that finds the patient in a name, and with its group `slice` the slice's number.

    Args:
        text: a regular expression that is searched in names. Its group `patient` names the patient; without one, the
            first other group does, or the whole match.
        key: of the configuration, for messages.

    Raises:
        ValueError: the pattern is bad, or finds slices only.
    """

    def __init__(self, text: str, key: str) -> None:
        self._key = f"{key}={text}"
        try:
            self._pattern = re.compile(text)
        except re.error as error:
            raise ValueError(f"{self._key}: not a regular expression ({error})") from error
        if self._pattern.groups == 1 and "slice" in self._pattern.groupindex:
            raise ValueError(f"{self._key}: finds a slice, and no patient; add a group (?P<patient>...)")

    def find(self, name: str) -> tuple[str, int]:
        """Return the patient, "" if a name holds none, and the slice's number, -1 if it holds none.

        Raises:
            ValueError: what `slice` finds is no number.
        """
        match = self._pattern.search(name)
        if match is None:
            return "", -1
        groups = match.groupdict()
        number = groups.get("slice") or "-1"
        others = [text for place, text in enumerate(match.groups(), 1) if place != match.re.groupindex.get("slice")]
        try:
            return groups.get("patient") or (others[0] if others else match[0]) or "", int(number)
        except ValueError as error:
            raise ValueError(f"{self._key}: slice finds {number!r}, no number") from error


def stack(sources: Sequence[Source], pattern: NamePattern) -> list[Source]:
    """Put the pictures of each patient together, in the order of their slices.

    Raises:
        ValueError: a picture's name holds no patient or no number, or two are one slice.
    """
    stacks: dict[str, dict[int, Path]] = {}
    for source in sources:
        if source.kind != "image":
            continue
        name = source.paths[0].name
        patient, number = pattern.find(name)
        if not patient or number < 0:
            raise ValueError(
                f"patient_pattern: finds no {'slice' if patient else 'patient'} in {names.printable(name)}"
            )
        if (other := stacks.setdefault(patient, {}).setdefault(number, source.paths[0])) != source.paths[0]:
            raise ValueError(f"patient_pattern: {other} and {source.paths[0]} are both slice {number} of {patient}")
    grouped = [
        Source(names.safe(patient), "stack", tuple(path for _, path in ordered), numbers=tuple(n for n, _ in ordered))
        for patient, slices in stacks.items()
        for ordered in [sorted(slices.items())]
    ]
    cases = [*grouped, *(source for source in sources if source.kind != "image")]
    counts = Counter(source.case.casefold() for source in cases)
    if twice := next((source.case for source in cases if counts[source.case.casefold()] > 1), ""):
        raise ValueError(f"patient_pattern: two cases would be named {twice}; predict them apart")
    return sorted(cases, key=lambda source: source.case)
