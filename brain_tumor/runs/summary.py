"""Say in a few lines what a run found."""

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
    """Put a run's score beside the baselines of the same split, and say what they mean."""
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
    if found := record.get("calibration"):
        raw, calibrated = (found["test"][name]["calibration_error"] for name in ("raw", "calibrated"))
        lines.append(
            f"Calibrated on the validation part: temperature {found['temperature']:.2f}, calibration error of the test "
            f"{raw:.3f}, calibrated {calibrated:.3f}"
        )
    if diverged := without_numbers(test):
        lines.append(f"WARNING: {diverged}")
    if record["weights"]["warning"]:
        lines.append(f"WARNING: {record['weights']['warning']}")
    return "\n".join(lines)


def without_numbers(test: Mapping[str, Any]) -> str:
    """Say for how many tested slices the network gave no numbers; "" for none."""
    if not (count := test.get("without_numbers", 0)):  # which older records lack
        return ""
    return (
        f"the network gives no numbers (NaN) for {count} of {test['slices']} slices: it has diverged, and what is "
        "scored there is no answer of its; train it again, with a lower optimizer.lr"
    )


def scores(test: Mapping[str, Any]) -> str:
    """List every score of a test with its interval, a line each."""
    found = records.scores(test)
    width = max(map(len, found))
    lines = [f"{test['slices']} slices, 95 % intervals over {test['resampled']}s"]
    for name, interval in found.items():
        if interval["value"] is None:
            lines.append(f"{name:{width}}  undefined: nothing here to compute it from")
        elif interval["low"] is None:
            lines.append(f"{name:{width}}  {interval['value']:.4f}  without an interval")
        else:
            lines.append(f"{name:{width}}  {interval['value']:.4f}  {interval['low']:.4f} to {interval['high']:.4f}")
    return "\n".join(lines)


def stages(found: Mapping[str, Any]) -> str:
    """Say what a detector in front of a segmenter has changed."""
    names = {"dice": "Dice a volume", "dice_median": "median", "empty_clean": "empty slices clean"}
    lines = [f"{'':20}" + "".join(f"{title:>20}" for title in names.values())]
    for key, title in (
        ("alone", "the segmenter"),
        ("gated", "after the detector"),
        ("gated_by_truth", "after the truth"),
    ):
        values = [found[key][name]["value"] for name in names]
        lines.append(f"{title:20}" + "".join(f"{'undefined' if v is None else f'{v:.3f}':>20}" for v in values))
    lines.append(
        f"(from a probability of {found['threshold']:.3f}, {found['threshold_from']}: "
        f"{found['tumour_slices_lost']} of {found['tumour_slices']} tumour slices lost their mask, "
        f"{found['false_alarms_cleaned']} of {found['false_alarms']} false alarms are gone)"
    )
    return "\n".join(lines)


def explanation(found: Mapping[str, Any]) -> str:
    """Put heat maps beside those that see no pixel."""
    names = {"pointing": "points at it", "energy": "energy inside", "share": "mask's share", "iou": "IoU"}
    slices, rows = found["slices"], dict(found["scores"])
    rows = {f"{found['method']}, {name} ({slices[name]} slices)": scores for name, scores in rows.items()}
    rows |= {name.replace("_", " "): scores for name, scores in found["baselines"].items()}
    width = max(map(len, rows))
    lines = [f"{'':{width}}" + "".join(f"{title:>15}" for title in names.values())]
    for title, scores in rows.items():
        lines.append(f"{title:{width}}" + "".join(f"{scores[name]['value']:15.1%}" for name in names))
    lines.append(f"({found['zero_maps']} maps of zeros count as misses)")
    return "\n".join(lines)


def model_title(record: Record) -> str:
    """Name a run's model and strategy, and with partial fine-tuning what is trained of it."""
    settings = record["hyperparameters"]
    words = [str(settings[name]) for name in ("decoder", "backbone", "strategy") if name in settings]
    trained = f" {settings['trained']}" if "trained" in settings else ""
    return ", ".join(words) + trained or str(record["task"])


def split_title(split: Split) -> str:
    """Say how a run's data was divided."""
    if split["method"] == "folds":
        return f"fold {split['fold']} of {split['folds']} by patient"
    if split["method"] == "cases":
        return "split by named patients"
    return f"split by {split['method']}" if split["fold"] is None else f"given fold {split['fold']}"


def percent(interval: Interval) -> str:
    """Write an interval as percentages."""
    if interval["value"] is None:
        return "undefined"
    limits = "" if interval["low"] is None else f"{interval['low']:.1%} to {interval['high']:.1%}"
    return f"{interval['value']:8.1%}  {limits:15}"


def next_steps(record: Record, folder: object) -> str:
    """Name the commands to try after a run, and before them how to enter the environment that it ran in."""
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
    lines.append(f"  python -m brain_tumor.predict run={folder} input=FILE_OR_FOLDER   # on scans of your own")
    return "\n".join(lines)
