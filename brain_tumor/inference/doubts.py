"""Warn of reasons not to trust a prediction, one per line."""

import math
from collections.abc import Mapping

import numpy as np

from brain_tumor.inference.base import Outputs, Run
from brain_tumor.inference.prediction import BEFORE, Prediction, amount
from brain_tumor.scans import fitted, skull
from brain_tumor.scans.cases import Slices

_LIKE = (0.6, 1.6)  # times the distance of neighbours in training


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


def surroundings(case: Slices, runs: Mapping[str, Run]) -> list[str]:
    """Warn if runs saw whole volumes or neighbouring slices in training, and the case has none, or others."""
    if len(case.images) == 1 and case.volume is None:
        whole = [key for key, run in runs.items() if run.intensities == "volume" or run.neighbours]
        names = " and the ".join(whole)
        return [f"the {names} saw whole volumes in training; here is a single picture alone"] if whole else []
    return [text for key, run in runs.items() if run.neighbours and (text := _neighbours(case, key, run.neighbour_mm))]


def _neighbours(case: Slices, key: str, trained: float | None) -> str:
    """Return how a case's neighbouring slices differ from those of a run's training; "" if they do not."""
    step = fitted.step(case.spacing, trained)
    numbers = np.arange(len(case.images)) if case.numbers is None else case.numbers
    seen = f"the {key} also sees the slices above and below"
    if not np.isin(numbers + step, numbers).any():
        return f"{seen}; here are none, and each slice stands in for them"
    if trained is None:
        return ""
    if math.isnan(case.spacing):
        return f"{seen}; how far apart they are is unknown here, so that the next ones are taken"
    if not _LIKE[0] <= step * case.spacing / trained <= _LIKE[1]:
        return f"{seen}, {trained:g} mm apart in training and {step * case.spacing:g} mm here"
    return ""


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
