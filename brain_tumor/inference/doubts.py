"""Warn of reasons not to trust a prediction, one per line."""

import math
from collections.abc import Mapping

from brain_tumor.inference.base import Outputs, Run
from brain_tumor.inference.prediction import BEFORE, Prediction, amount
from brain_tumor.scans import skull
from brain_tumor.scans.cases import Slices


def unlike(outputs: Outputs, trained: str) -> list[str]:
    """Warn of slices that are unlike those that a run was trained on.

    Args:
        outputs: the run's.
        trained: the run's name in the message: "run", "detector", ...
    """
    if outputs.novelty is None or not (count := int((outputs.novelty > 1).sum())):
        return []
    slices = f"{count} of {len(outputs.novelty)} slices are" if len(outputs.novelty) > 1 else "this is"
    return [f"{slices} unlike what the {trained} was trained on"]


def skulls(case: Slices, runs: Mapping[str, Run]) -> list[str]:
    """Warn if a case lacks the skull that the training heads had, or has a skull that they did not have."""
    trained = {key: run.skull for key, run in runs.items() if run.skull is not None}
    skull_shown = skull.has_skull(case.images, case.millimetres) if trained else None
    if skull_shown is None or not (other := [key for key, had in trained.items() if had != skull_shown]):
        return []
    runs_were = f"the {' and the '.join(other)} {'was' if len(other) == 1 else 'were'} trained on"
    text = f"shows a skull, while {runs_were} skull-stripped heads"
    if not skull_shown:
        text = f"looks skull-stripped, while {runs_were} heads with their skulls"
    return [f"{text}: do not trust its masks and probabilities"]


def lonely(case: Slices, runs: Mapping[str, Run]) -> list[str]:
    """Warn if a run sees a whole volume, or neighbouring slices, and the case has none, or none at a known distance."""
    if len(case.images) == 1 and case.volume is None:
        whole = [key for key, run in runs.items() if run.intensities == "volume" or run.neighbours]
        if whole:
            names = " and the ".join(whole)
            return [f"the {names} saw whole volumes in training; of this single picture, nothing but itself is known"]
    seen = {key: run for key, run in runs.items() if run.neighbours}
    if not seen:
        return []
    names = f"the {' and the '.join(seen)} also {'see' if len(seen) > 1 else 'sees'} the slices above and below"
    known = case.grid is not None and math.isfinite(case.grid.spacing[0])
    if known or all(run.neighbour_mm is None for run in seen.values()):
        return []
    return [f"{names}; how far apart they are is unknown here, so that the next ones are taken"]


def overruled(case: Slices, prediction: Prediction) -> list[str]:
    """Warn of masks of the segmenter that the detector has emptied, with the largest probability of either."""
    rows = prediction.emptied
    if not len(rows):
        return []
    assert prediction.detected is not None
    before = prediction.table[BEFORE]
    name, flagged = str(prediction.detected.name).removeprefix("detector "), int((before > 0).sum())
    size, unit = amount(case, float(before.iloc[rows].sum()))
    written = f"{size:.1f} ml" if unit == "ml" else f"{size:.0f} pixels"
    detector, segmenter = prediction.detected.iloc[rows].max(), prediction.chances[prediction.positive].iloc[rows].max()
    masks, largest = f"masks of {len(rows)} of {flagged} marked slices", f"largest {name} there"
    if len(prediction.table) == 1:
        masks, largest = "mask", name
    return [
        f"the detector emptied the {masks}, {written}: its {largest} is {detector:.3f}, the segmenter's {segmenter:.3f}"
    ]
