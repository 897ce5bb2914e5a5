"""Read every file of a listing and report what is there."""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data import targets, twins
from brain_tumor.data.slices import Listing, read


@dataclass
class Inspection:
    """What `inspect` found.

    Attributes:
        facts: title and value, in the order to print.
        notes: what is worth knowing but no fault.
        problems: what must be mended before the data can be trusted.
    """

    facts: dict[str, str]
    notes: list[str]
    problems: list[str]

    def text(self) -> str:
        """Return everything as lines to print."""
        width = max(map(len, self.facts))
        lines = [f"{title:{width}}  {value}" for title, value in self.facts.items()]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"problem: {problem}" for problem in self.problems]
        verdict = f"NOT SOUND: {len(self.problems)} problem(s)" if self.problems else "sound"
        return "\n".join([*lines, verdict])


def inspect(listing: Listing, target: str | None = None) -> Inspection:
    """Read every image and mask of `listing`, and count its slices by a target; None for the first it allows."""
    table = listing.table
    problems = list(listing.problems)
    sizes: Counter[tuple[int, int]] = Counter()
    masked = (target or next(iter(targets.available(table)), "")) == "tumour"
    classes: list[str] = table["class"].tolist()
    found: dict[int, str] = {}
    equal: dict[str, list[int]] = defaultdict(list)
    pictures: dict[str, NDArray[np.uint8]] = {}

    for row, result in enumerate(read(listing, twins.SIZE, "reading")):
        if isinstance(result, ValueError):
            problems.append(str(result))
            continue
        image, mask = result
        equal[image.digest].append(row)
        pictures[image.digest] = twins.small(image.pixels)
        sizes[image.shape] += 1
        found[row] = targets.TUMOUR_CLASSES[mask.positive] if masked and mask else classes[row]

    copies = [rows for rows in equal.values() if len(rows) > 1]
    notes = [f"the same tree stands again in {copy}; it is not counted" for copy in listing.copies]
    for rows in copies:
        names = ", ".join(table["path"].iloc[rows])
        if len(set(table["part"].iloc[rows])) > 1:
            problems.append(f"identical files across train/, val/ and test/: {names}; keep one of them")
        elif len({found[row] for row in rows}) > 1:
            problems.append(f"identical files in different classes: {names}; keep the one whose class is right")
        else:
            notes.append(f"identical files: {names}; they will stay on one side of any split")
    alike = _twins(listing, [rows[0] for rows in equal.values()], list(pictures.values()))
    problems += [line for line, across in alike.items() if across]
    notes += [line for line, across in alike.items() if not across]
    if listing.ignored:
        notes.append(f"{len(listing.ignored)} other file(s) ignored, such as {listing.ignored[0]}")
    counts = Counter(found.values())
    if len(counts) < 2:
        problems.append("slices of one class only; a classifier needs at least two")
    named = targets.TUMOUR_CLASSES if masked else sorted(set(classes))
    cases = table["case"].replace("", np.nan)
    facts = {
        "folder": str(listing.root),
        "cases": str(cases.nunique()) if cases.notna().any() else "unknown",
        "slices": str(len(table)),
        "readable": str(sum(sizes.values())),
        **{f"class '{name}'": str(counts[name]) for name in named},
        "sizes (w x h)": ", ".join(f"{width}x{height}: {count}" for (height, width), count in sizes.most_common(5)),
        "identical files": str(sum(map(len, copies))),
        "re-saved or re-scaled": f"{len(alike)} pairs",
    }
    if cases.notna().any():
        per_case = table.groupby("case").size()
        facts["slices a case"] = f"{per_case.min()} to {per_case.max()}"
    return Inspection(facts, notes, problems)


def _twins(listing: Listing, rows: list[int], pictures: list[NDArray[np.uint8]]) -> dict[str, bool]:
    """Name the pairs that are the same picture in other files, and say of each if it stands across parts."""
    table, lines = listing.table.iloc[rows], {}
    for pair in twins.pairs(np.array(pictures, dtype=np.uint8).reshape(-1, twins.SIZE, twins.SIZE)):
        both = table.iloc[list(pair)]
        across = both["part"].nunique() > 1
        what = "one picture, re-saved or re-scaled" + " across train/, val/ and test/" * across
        lines[f"{what}: {' and '.join(both['path'])}; no split knows that they are the same, keep one"] = across
    return lines
