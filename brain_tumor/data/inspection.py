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
from brain_tumor.datasets.regions import Regions
from brain_tumor.scans.images import FittedMask


@dataclass
class Inspection:
    """The result of `inspect`.

    Attributes:
        facts: title and value, in the order to print.
        notes: worth knowing, but no fault; one line each.
        problems: to be mended before the data can be trusted; one line each.
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
class _Content:
    """The content of a listing's readable files.

    Attributes:
        table: one row per readable slice: the listing's columns, and those of `soundness`.
        small: a small version of each, uint8 (SIZE, SIZE).
        sizes: how many slices have each height and width, in pixels.
        problems: why other files cannot be read, one line each.
    """

    table: pd.DataFrame
    small: list[NDArray[np.uint8]] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def inspect(
    listing: Listing, target: str | None = None, positive: str | None = None, min_patients: int = 1
) -> Inspection:
    """Read every image and mask of a listing; report its counts, its notes and the problems that training would meet.

    Args:
        listing: the slices.
        target: what slices are labelled with (see `targets.classify`), as in training.
        positive: the class that means a tumour (see `targets.positive_class`).
        min_patients: a target of patients leaves out classes with fewer.
    """
    content = _read(listing)
    table = content.table
    notes = listing.notes + [f"the same tree stands again in {copy}; it is not counted" for copy in listing.copies]
    problems = listing.problems + content.problems
    try:
        labels = targets.classify(table, target, listing.patients, min_patients)
        targets.positive_class(labels.classes, target, positive)
    except ValueError as error:
        problems.append(str(error))
        labels = Labels([], np.full(len(table), -1), {})
    names = ["" if label < 0 else labels.classes[label] for label in labels.values]
    near = soundness.near_copies(table, names, content.small) if listing.stacks is None else soundness.Findings([], [])
    present = soundness.classes(table, names) if labels.classes and len(table) else soundness.Findings([], [])
    for findings in (present, soundness.copies(table, names), near):
        notes += findings.notes
        problems += findings.problems
    notes += soundness.bright_masks(table)
    if listing.stacks is not None:
        notes += soundness.empty_volumes(table)
    problems += soundness.shared_patients(table) + soundness.masks_as_images(table)
    if listing.ignored:
        notes.append(f"{len(listing.ignored)} other file(s) ignored, such as {listing.ignored[0]}")
    facts = _facts(listing, content, labels, names)
    if listing.stacks is None:
        facts["re-saved or re-scaled"] = f"{len(near.notes) + len(near.problems)} pairs"
    return Inspection(facts, notes, problems)


def _read(listing: Listing) -> _Content:
    content = _Content(pd.DataFrame())
    rows: list[int] = []
    facts: list[tuple[str, str, bool, str, float]] = []
    for first, results in read(listing, near_duplicates.SIZE, "reading"):
        if isinstance(results, ValueError):
            content.problems.append(str(results))
            continue
        for row, (image, mask) in enumerate(results, first):
            rows.append(row)
            facts.append((image.digest, *_mask_facts(mask, listing.regions)))
            # Slices of a volume are a millimetre apart: all of them are near-duplicates, and too many to compare.
            if listing.stacks is None:
                content.small.append(near_duplicates.small(image.pixels))
            content.sizes[image.shape] += 1
    columns = ["digest", "mask_digest", "positive", "drawn", "share"]
    readable = pd.DataFrame(facts, columns=columns).astype({"positive": bool, "share": float})
    content.table = listing.table.iloc[rows].reset_index(drop=True).join(readable)
    return content


def _mask_facts(mask: FittedMask | None, regions: Regions) -> tuple[str, bool, str, float]:
    """Return a mask's values of `mask_digest`, `positive`, `drawn` and `share` (see `soundness`)."""
    if mask is None:
        return "", False, "", 0.0
    # Two files with equal pixels have one mask, so the pixels are hashed, not the file.
    drawn = hashlib.sha256(repr(mask.original.shape).encode() + mask.original.tobytes()).hexdigest()
    foreground = regions.foreground[mask.original]
    return mask.digest, bool(foreground.any()), drawn, float(foreground.mean())


def _facts(listing: Listing, content: _Content, labels: Labels, names: list[str]) -> dict[str, str]:
    table, counts = listing.table, Counter(names)
    cases = table["case"].replace("", np.nan)
    sizes = (f"{width}x{height}: {count}" for (height, width), count in content.sizes.most_common(5))
    facts = {
        "folder": str(listing.root),
        "cases": str(cases.nunique()) if cases.notna().any() else "unknown",
        "slices": str(len(table)),
        "readable": str(len(content.table)),
        **{f"class '{name}'": str(counts[name]) for name in labels.classes},
        **{f"patients left out {why}": str(count) for why, count in labels.left_out.items()},
        "sizes (w x h)": ", ".join(sizes),
        "identical files": str(int(content.table["digest"].duplicated(keep=False).sum())),
    }
    if cases.notna().any():
        per_case = table.groupby("case").size()
        facts["slices a case"] = f"{per_case.min()} to {per_case.max()}"
    return facts
