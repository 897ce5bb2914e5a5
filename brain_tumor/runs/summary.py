"""Summarize a run, or an evaluation of it, in a few lines of text."""

import os
import sys
from collections.abc import Mapping
from typing import Any

from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.runs import record as records
from brain_tumor.runs.record import Record, Split

BASELINE_TITLES = {
    "majority": "always the commonest class",
    "position": "slice position alone",
    "nearest_slice": "nearest training slice of the same patient",
    "same_patient": "what the patient's training slices are",
    "shape": "the tumour's size and shape alone",
    "empty": "no tumour anywhere",
    "mean_mask": "mean mask at the same height",
    "nearest_mask": "mask of the nearest training slice of the same patient",
}


def summary(record: Record) -> str:
    """Return a run's score beside the baselines of the same split, and remarks on how to read them."""
    test, measure = record["test"], record["measure"]
    rows = [(model_title(record), test)]
    rows += [(BASELINE_TITLES.get(name, name), scores) for name, scores in record["baselines"].items()]
    width = max(len(title) for title, _ in rows)
    ranked = "auroc" in test
    lines = [f"{'':{width}}  {measure:8}  95 % interval  {'  AUROC' * ranked}".rstrip()]
    for title, scores in rows:
        area = scores["auroc"]["value"] if "auroc" in scores else None
        shown = "" if area is None else f"  {area:.3f}"
        lines.append(f"{title:{width}}  {percent(scores[measure])}{shown}".rstrip())
    lines.append(
        f"({record['split']['test']['slices']} test slices, intervals over {test['resampled']}s, "
        f"{split_title(record['split'])}, epoch {test['epoch']})"
    )
    if "nearest_slice" in record["baselines"] or record["split"].get("patients_on_both_sides"):
        lines.append(
            "Patients stand on both sides of this split: a test slice's neighbours were in training. "
            "data.split=patient keeps them apart."
        )
    if calibration := record.get("calibration"):
        raw, calibrated = (calibration["test"][name]["calibration_error"] for name in ("raw", "calibrated"))
        lines.append(
            f"Calibrated on the validation part: temperature {calibration['temperature']:.2f}, "
            f"calibration error of the test {raw:.3f}, calibrated {calibrated:.3f}"
        )
    if diverged := without_numbers(test):
        lines.append(f"WARNING: {diverged}")
    if record["weights"]["warning"]:
        lines.append(f"WARNING: {record['weights']['warning']}")
    return "\n".join(lines)


def without_numbers(test: Mapping[str, Any]) -> str:
    """Return a warning if the network gave no numbers for some of the tested slices; else ""."""
    if not (count := test.get("without_numbers", 0)):  # which older records lack
        return ""
    return (
        f"the network gives no numbers (NaN) for {count} of {test['slices']} slices: it has diverged, and the scores "
        "there mean nothing; train it again, with a lower optimizer.lr"
    )


def scores(test: Mapping[str, Any]) -> str:
    """List every score of a test with its interval, one per line."""
    intervals = records.scores(test)
    width = max(map(len, intervals))
    lines = [f"{test['slices']} slices, 95 % intervals over {test['resampled']}s"]
    for name, interval in intervals.items():
        if interval["value"] is None:
            lines.append(f"{name:{width}}  undefined: nothing here to compute it from")
        elif interval["low"] is None:
            lines.append(f"{name:{width}}  {interval['value']:.4f}  without an interval")
        else:
            lines.append(f"{name:{width}}  {interval['value']:.4f}  {interval['low']:.4f} to {interval['high']:.4f}")
    return "\n".join(lines)


def two_stage(scores: Mapping[str, Any]) -> str:
    """Return a table of what a detector in front of a segmenter has changed.

    Args:
        scores: as `brain_tumor.evaluation.two_stage_scores.score` returns them, with the threshold and its origin.
    """
    names = {"dice": "Dice per volume", "dice_median": "median", "empty_clean": "empty slices clean"}
    lines = [f"{'':20}" + "".join(f"{title:>20}" for title in names.values())]
    for key, title in (
        ("alone", "the segmenter"),
        ("gated", "after the detector"),
        ("gated_by_truth", "after the truth"),
    ):
        values = [scores[key][name]["value"] for name in names]
        lines.append(f"{title:20}" + "".join(f"{'undefined' if v is None else f'{v:.3f}':>20}" for v in values))
    lines.append(
        f"(from a probability of {scores['threshold']:.3f}, {scores['threshold_from']}: "
        f"{scores['tumour_slices_lost']} of {scores['tumour_slices']} tumour slices lost their mask, "
        f"{scores['false_alarms_cleaned']} of {scores['false_alarms']} false alarms are gone)"
    )
    return "\n".join(lines)


def explanation(record: Mapping[str, Any]) -> str:
    """Return a table of the scores of heat maps, beside those of image-free maps.

    Args:
        record: as `brain_tumor.evaluation.explanation.explain` makes it.
    """
    names = {"pointing": "pointing game", "energy": "energy inside", "share": "mask's share", "iou": "IoU"}
    slices = record["slices"]
    rows = {f"{record['method']}, {name} ({slices[name]} slices)": scores for name, scores in record["scores"].items()}
    rows |= {name.replace("_", " "): scores for name, scores in record["baselines"].items()}
    width = max(map(len, rows))
    lines = [f"{'':{width}}" + "".join(f"{title:>15}" for title in names.values())]
    for title, scores in rows.items():
        lines.append(f"{title:{width}}" + "".join(f"{scores[name]['value']:15.1%}" for name in names))
    lines.append(f"({record['zero_maps']} maps of zeros count as misses)")
    return "\n".join(lines)


def model_title(record: Record) -> str:
    """Return a run's model and strategy; for partial fine-tuning also which blocks are trained."""
    settings = record["hyperparameters"]
    words = [str(settings[name]) for name in ("decoder", "backbone", "strategy") if name in settings]
    trained = f" {settings['trained']}" if "trained" in settings else ""
    return ", ".join(words) + trained or str(record["task"])


def split_title(split: Split) -> str:
    """Return how a run's data was divided."""
    title = _split_title(split)
    if "gap" in split:
        near = "" if split["gap"] == "patient" else f" within {split['gap']} of a tested one"
        title += f", without the patients' other slices{near}"
    if "train_patients" in split:
        title += f", {split['train_patients']} patients drawn to train on"
    return title


def _split_title(split: Split) -> str:
    if split["method"] == "folds":
        return f"fold {split['fold']} of {split['folds']} by patient"
    if split["method"] == "inner folds":
        outer = f"what fold {split['outer_fold']} of {split['outer_folds']} trains on"
        return f"inner fold {split['fold']} of {split['folds']} by patient, of {outer}"
    if split["method"] == "site":
        return f"site {split['site']} left out"
    if split["method"] == "cases":
        return "split by named patients"
    return f"split by {split['method']}" if split["fold"] is None else f"given fold {split['fold']}"


def percent(interval: Interval) -> str:
    """Return a value and its interval as percentages."""
    if interval["value"] is None:
        return "undefined"
    limits = "" if interval["low"] is None else f"{interval['low']:.1%} to {interval['high']:.1%}"
    return f"{interval['value']:8.1%}  {limits:15}"


def next_steps(record: Record, folder: object) -> str:
    """Return the commands to try after a run; first, how to activate the environment that it ran in."""
    lines = ["next:"]
    if sys.prefix != sys.base_prefix and "VIRTUAL_ENV" not in os.environ:
        lines.append(f"  . {os.path.relpath(sys.prefix)}/bin/activate")
    lines.append(f"  tensorboard --logdir {record['config']['output_dir']}")
    if record["data"]["drawn"]:
        lines.append(
            "  python -m brain_tumor.train data=lgg data.split=patient   # the real data; README.md says how to get it"
        )
    else:
        lines.append(f"  python -m brain_tumor.evaluate run={folder}")
    lines.append(f"  python -m brain_tumor.predict run={folder} input=FILE_OR_FOLDER   # on your own scans")
    return "\n".join(lines)
