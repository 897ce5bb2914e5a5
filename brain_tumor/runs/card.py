"""Write a model card from a run's record: what the model was trained on, how good it is, and what it is not for."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from brain_tumor.io import templates
from brain_tumor.metrics import calibration
from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.runs import record as records
from brain_tumor.runs.record import Count, Record
from brain_tumor.runs.summary import BASELINE_TITLES, model_title, split_title

_UNKNOWN = "unknown; see the source of the training data"


def licence(record: Record) -> str:
    """Return the licence of the data that a run was trained on."""
    return record["data"]["licence"] or _UNKNOWN


class Judged(NamedTuple):
    """What runs of folds say of a final model (see `brain_tumor.inference.fold_runs`).

    Attributes:
        temperature: calibrates the pooled probabilities; 1 if it could not be fitted.
        threshold: the calibrated probability of the positive class with the highest sum of sensitivity and specificity;
            .5 without a positive class.
        scores: of all patients together, with intervals over patients; a classifier's from calibrated probabilities.
        patients, slices, folds: their numbers.
    """

    temperature: float
    threshold: float
    scores: dict[str, Interval]
    patients: int
    slices: int
    folds: int


def write(
    record: Record, facts: Mapping[str, Any], checked: Mapping[str, Any], name: str, judged: Judged | None = None
) -> str:
    """Return the model card of an ONNX file in Markdown.

    Args:
        record: the run's.
        facts: the file's metadata.
        checked: how much file, network and `predict` differ (see `checks`).
        name: the file's.
        judged: what runs of folds say of the model; None to show its own test.
    """
    measure = record["measure"]
    baselines = {BASELINE_TITLES.get(key, key): scores[measure] for key, scores in record["baselines"].items()}
    shown = {
        "name": name,
        "facts": facts,
        "title": model_title(record),
        "segments": record["task"] == "segmentation",
        "channels": _channels(facts["sequences"]),
        "neighbours": _neighbours(facts),
        "calibrated": _calibrated(facts),
        "verdict": _verdict(facts),
        "split_title": split_title(record["split"]).capitalize(),
        "count": _count,
        "scores": records.scores(record["test"] if judged is None else judged.scores),
        "judged": judged,
        "baselines": baselines,
        "leaks": _leaks(record),
        "checks": checks(checked),
    }
    return templates.render("runs", "card.md", {**record, **shown}, interval=_interval) + "\n"


def _neighbours(facts: Mapping[str, Any]) -> str:
    """Return how a file's channels hold the slices around a slice; "" if they hold itself alone."""
    if not facts["neighbours"]:
        return ""
    apart = "the next ones" if facts["neighbour_mm"] is None else f"{facts['neighbour_mm']:g} mm apart"
    return f"; each slice between {facts['neighbours']} below and {facts['neighbours']} above, {apart}"


def checks(checked: Mapping[str, Any]) -> str:
    """Return a table in Markdown of how much an ONNX file, its network and `predict` differ.

    Args:
        checked: the differences of the file from `network` (batches of 1, 2 and 7 of five sizes, float32), from `exact`
            (predict in float32) and from `predict` (in the run's precision). Each has the largest difference of
            `probabilities` and the share of unequal `pixels`; the last two also have how many verdicts are `turned`,
            and the distance of the `furthest` of these from the threshold. A quantized file also has `int8`, its
            differences from the file in float32, which the other three are of.
    """
    network, slices = checked["network"], checked["predict"]["slices"]
    quantized = [_quantized(checked["int8"])] if "int8" in checked else []
    return "\n".join(
        [
            "| compared with | largest difference of a probability | mean | unequal pixels of masks | other verdicts |",
            "|---|---|---|---|---|",
            f"| its network in float32, batches of 1, 2 and 7, five sizes | {network['probabilities']:.1e} | | "
            f"{network['pixels']:.1e} | |",
            *quantized,
            *(
                f"| predict {title}, {slices} slices | {apart['probabilities']:.1e} | {apart['mean']:.1e} | "
                f"{apart['pixels']:.1e} | {_verdicts(apart)} |"
                for title, apart in (("in float32", checked["exact"]), ("in the run's precision", checked["predict"]))
            ),
        ]
    )


def _quantized(apart: Mapping[str, Any]) -> str:
    return (
        f"| int8 beside float32, {apart['slices']} slices in volumes: {apart['volumes']}, Dice of the masks "
        f"{apart['dice']:.4f} | {apart['probabilities']:.1e} | {apart['mean']:.1e} | | {apart['turned']} |"
    )


def _verdicts(apart: Mapping[str, Any]) -> str:
    return f"{apart['turned']}, up to {apart['furthest']:.3f} from the threshold" if apart["turned"] else "none"


def _calibrated(facts: Mapping[str, Any]) -> str:
    raw = facts["temperature"] == calibration.RAW
    return "not calibrated" if raw else f"raw; predict calibrates them by a temperature of {facts['temperature']:.2f}"


def _verdict(facts: Mapping[str, Any]) -> str:
    """Return a sentence on which class is positive, and from which probability on."""
    if facts["positive"] is None:
        return "The data does not say which class means a tumour: none is positive, and the threshold decides nothing."
    text = (
        f"`{facts['positive']}` is positive: a slice counts as that from a calibrated probability of "
        f"{facts['threshold']:g} on (threshold: {facts['threshold_origin']})"
    )
    if facts["temperature"] == calibration.RAW or len(facts["classes"]) != 2 or not 0 < facts["threshold"] < 1:
        return text + "."
    calibrated = np.array([[1 - facts["threshold"], facts["threshold"]]])
    raw = float(calibration.soften(calibrated, 1 / facts["temperature"])[0, 1])
    return f"{text}, which is {raw:.4g} of the raw ones in the file's output."


def _channels(sequences: list[str]) -> str:
    if not sequences:
        return "RGB, or grey in all three"
    return f"the channels are {', '.join(sequences)}, each scaled to 0 ... 255 by volume"


def _count(part: Count) -> str:
    patients = "1 patient" if part["patients"] == 1 else f"{part['patients']} patients"
    return f"{part['slices']} slices of {patients}"


def _interval(score: Interval) -> str:
    """Return the last two columns of a table of scores."""
    if score["value"] is None:
        return "undefined |"
    limits = "" if score["low"] is None else f"{score['low']:.3f} to {score['high']:.3f}"
    return f"{score['value']:.3f} | {limits}"


def _leaks(record: Record) -> bool:
    return "nearest_slice" in record["baselines"] or record["split"]["method"] == "slice"
