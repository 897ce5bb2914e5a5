"""Write what leads from a case's grid to those of its other sequences: transforms, and masks on their own grids."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.scans import nifti, registration
from brain_tumor.scans.cases import Case, Slices

ALL = "all"  # what a user writes for every sequence of a case
Home = Callable[[str], Path]  # makes a folder of results and returns it


def requested(value: Any, task: str, known: Sequence[str]) -> list[str]:
    """Return the sequences of a setting `mask_grids`: names, `ALL`, or none.

    Args:
        value: a name, a list of names, or None.
        task: the run's.
        known: sequences that the cases may have; () where they are not named.

    Raises:
        ValueError: there are no masks, or no such sequence.
    """
    names = [value] if isinstance(value, str) else [str(name) for name in value or ()]
    if names and not known:
        raise ValueError("mask_grids: goes with study=... or sequences.flair=... and others")
    if names and task != "segmentation":
        raise ValueError("mask_grids: the run is a classifier, which makes no masks")
    if unknown := [name for name in names if name not in (*known, ALL)]:
        raise ValueError(f"mask_grids={unknown[0]}: choose among {', '.join(known)}, or {ALL}")
    return names


def missing(case: Case, names: Sequence[str]) -> list[str]:
    """Return a note on every requested sequence that a case lacks."""
    return [f"{name} is missing: no mask on its grid" for name in names if name not in (*case.sources, ALL)]


def write_masks(home: Home, case: Case, slices: Slices, masks: NDArray[np.uint8], names: Sequence[str]) -> list[Path]:
    """Write a case's masks (n, H, W) on the grids of other sequences, masks/SEQUENCE/CASE.nii.gz; return the files."""
    assert slices.volume is not None
    assert slices.grid is not None
    labels, paths = slices.grid.volume(masks), []
    for name, placement in slices.placements.items():
        if name in names or ALL in names:
            source = case.sources[name]
            original = source.paths[0] if source.kind == "nifti" else None
            paths.append(home(f"masks/{name}") / f"{case.name}.nii.gz")
            own = placement.resampled(labels, slices.volume.affine)
            nifti.write_mask(paths[-1], own, placement.affine, original)
    return paths


def write_transforms(home: Home, case: Case, slices: Slices) -> list[Path]:
    """Write the transforms that a registration has found, transforms/SEQUENCE/CASE.tfm; return the files."""
    paths = []
    for name, placement in slices.placements.items():
        if placement.quality is not None:
            paths.append(home(f"transforms/{name}") / f"{case.name}.tfm")
            registration.write(paths[-1], placement.matrix)
    return paths


def figures(slices: Slices) -> dict[str, float]:
    """Return the figures of a case's registrations, for its row in cases.csv."""
    found = {name: one.quality for name, one in slices.placements.items() if one.quality is not None}
    return {
        f"{title}({name})": value
        for name, quality in found.items()
        for title, value in {
            "moved_mm": quality.moved, "edges_agree": quality.agreement, "head_covered": quality.covered,
            "mutual_information_before": quality.before, "mutual_information": quality.after,
        }.items()
    }  # fmt: skip
