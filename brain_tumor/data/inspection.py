"""Read every file of a listing and report what is there."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data import near_duplicates, soundness, targets
from brain_tumor.data.reading import read
from brain_tumor.data.targets import Labels
from brain_tumor.datasets.base import Listing
from brain_tumor.scans.images import FittedMask


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


@dataclass
class _Read:
    """What the readable files of a listing hold.

    Attributes:
        table: their rows: the listing's columns, and those of `soundness`.
        pictures: a small version (n, SIZE, SIZE) of each.
        sizes: counted, as height and width.
        problems: what is wrong with other files, a line each.
    """

    table: pd.DataFrame
    pictures: list[NDArray[np.uint8]] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def inspect(
    listing: Listing, target: str | None = None, positive: str | None = None, min_patients: int = 1
) -> Inspection:
    """Read every image and mask of `listing`, count its slices by a target, and say what training would stumble over.

    Args:
        listing: the slices.
        target: what is to be told of a slice (see `targets.classify`), as training would.
        positive: the class that means a tumour (see `targets.positive_class`).
        min_patients: of a class of patients; those of rarer ones are left out.
    """
    found = _read(listing)
    table = found.table
    notes = listing.notes + [f"the same tree stands again in {copy}; it is not counted" for copy in listing.copies]
    problems = listing.problems + found.problems
    try:
        labels = targets.classify(table, target, listing.patients, min_patients)
        targets.positive_class(labels.classes, target, positive)
    except ValueError as error:
        problems.append(str(error))
        labels = Labels([], np.full(len(table), -1), {})
    names = ["" if label < 0 else labels.classes[label] for label in labels.values]
    alike = soundness.near_copies(table, names, found.pictures)
    present = soundness.classes(table, names) if labels.classes and len(table) else soundness.Findings([], [])
    for more in (present, soundness.copies(table, names), alike):
        notes += more.notes
        problems += more.problems
    notes += soundness.bright_masks(table)
    problems += soundness.shared_patients(table) + soundness.masks_as_images(table)
    if listing.ignored:
        notes.append(f"{len(listing.ignored)} other file(s) ignored, such as {listing.ignored[0]}")
    facts = _facts(listing, found, labels, names)
    facts["re-saved or re-scaled"] = f"{len(alike.notes) + len(alike.problems)} pairs"
    return Inspection(facts, notes, problems)


def _read(listing: Listing) -> _Read:
    found = _Read(pd.DataFrame())
    rows: list[int] = []
    facts: list[tuple[str, str, bool, str, float]] = []
    for row, result in enumerate(read(listing, near_duplicates.SIZE, "reading")):
        if isinstance(result, ValueError):
            found.problems.append(str(result))
            continue
        image, mask = result
        rows.append(row)
        facts.append((image.digest, *_mask_facts(mask)))
        found.pictures.append(near_duplicates.small(image.pixels))
        found.sizes[image.shape] += 1
    columns = ["digest", "mask_digest", "positive", "drawn", "share"]
    read_ = pd.DataFrame(facts, columns=columns).astype({"positive": bool, "share": float})
    found.table = listing.table.iloc[rows].reset_index(drop=True).join(read_)
    return found


def _mask_facts(mask: FittedMask | None) -> tuple[str, bool, str, float]:
    if mask is None:
        return "", False, "", 0.0
    drawn = hashlib.sha256(repr(mask.original.shape).encode() + mask.original.tobytes()).hexdigest()
    return mask.digest, mask.positive, drawn, float(mask.original.mean())


def _facts(listing: Listing, found: _Read, labels: Labels, names: list[str]) -> dict[str, str]:
    table, counts = listing.table, Counter(names)
    cases = table["case"].replace("", np.nan)
    sizes = (f"{width}x{height}: {count}" for (height, width), count in found.sizes.most_common(5))
    facts = {
        "folder": str(listing.root),
        "cases": str(cases.nunique()) if cases.notna().any() else "unknown",
        "slices": str(len(table)),
        "readable": str(len(found.table)),
        **{f"class '{name}'": str(counts[name]) for name in labels.classes},
        **{f"patients left out {why}": str(count) for why, count in labels.left_out.items()},
        "sizes (w x h)": ", ".join(sizes),
        "identical files": str(int(found.table["digest"].duplicated(keep=False).sum())),
    }
    if cases.notna().any():
        per_case = table.groupby("case").size()
        facts["slices a case"] = f"{per_case.min()} to {per_case.max()}"
    return facts
