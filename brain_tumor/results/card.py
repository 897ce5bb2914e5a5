"""Describe an exported model from its run's record: what it was trained on, how good it is, and what it is not for."""

from collections.abc import Mapping
from typing import Any

from brain_tumor.results import calibration
from brain_tumor.results import record as records
from brain_tumor.results.bootstrap import Interval
from brain_tumor.results.record import Count, Record
from brain_tumor.results.summary import BASELINE_TITLES, model_title, split_title

_LICENCES = {
    "lgg": "CC BY-NC-SA 4.0 (LGG Segmentation Dataset; Buda, Saha, Mazurowski 2019)",
    "cheng": "CC BY 4.0 (tumour types, figshare 1512427; Cheng et al. 2015, 2016)",
    "phantom": "none needed: drawn by a program",
}
_UNKNOWN = "not known: that of the data it was trained on"


def licence(kind: str) -> str:
    """Return the licence of a kind of data."""
    return _LICENCES.get(kind, _UNKNOWN)


def write(record: Record, facts: Mapping[str, Any], checked: Mapping[str, Any], name: str) -> str:
    """Return a card in Markdown.

    Args:
        record: of the run.
        facts: the file's metadata.
        checked: how far file, network and `predict` are apart.
        name: of the file.
    """
    data, split, test = record["data"], record["split"], record["test"]
    lines = [
        f"# {name}",
        "",
        "**Research software. It is not a medical device, it has not been validated for clinical use, and nothing it "
        "says may guide the care of a person.**",
        "",
        f"{model_title(record)}; tells {' and '.join(facts['classes'])} apart in slices of brain MRI"
        + (", and marks the tumour." if record["task"] == "segmentation" else "."),
        "",
        "## In and out",
        "",
        "| | | |",
        "|---|---|---|",
        "| in | `images` | uint8 (N, H, W, 3), any size; " + _channels(facts["sequences"]) + " |",
        f"| out | `probabilities` | float32 (N, C) of {', '.join(facts['classes'])}; {_calibrated(facts)} |",
    ]
    if record["task"] == "segmentation":
        lines += [
            "| out | `pixels` | float32 (N, H, W), each pixel's probability of a tumour |",
            "| out | `mask` | uint8 (N, H, W), 1 where that is .5 or more |",
        ]
    lines += [
        "",
        f"Fitting to {facts['size']} pixels, conversion and normalization are inside. A volume's intensities are "
        f"scaled to 0 ... 255 by its {facts['preset']}. A slice counts as a tumour's from {facts['threshold']:g} on.",
        "",
        "## Trained on",
        "",
        f"Data: {data['kind']} ({data['slices']} slices, {data['patients']} patients; content {data['key']}). "
        f"Licence of the data: {facts['data_licence']}.",
        f"{split_title(split).capitalize()}: training {_count(split['train'])}, validation {_count(split['val'])}, "
        f"test {_count(split['test'])}. Epoch {test['epoch']}, run {record['id']}. Started from weights: "
        f"{record['weights']['source']}.",
        *([f"Warning: {record['weights']['warning']}"] if record["weights"]["warning"] else []),
        "",
        f"## Scores on the test part, 95 % intervals over {test['resampled']}s",
        "",
        "| | value | interval |",
        "|---|---|---|",
        *(_row(title.replace("_", " "), own) for title, own in records.scores(test).items()),
        "",
        f"What sees no pixel, on the same part, in {record['measure'].replace('_', ' ')}:",
        "",
        "| | value | interval |",
        "|---|---|---|",
        *(_row(BASELINE_TITLES.get(key, key), own[record["measure"]]) for key, own in record["baselines"].items()),
        "",
        "## Limits",
        "",
        "- The scores hold for data like the test part: the same scanners, sequences, preparation and kind of patient.",
        "- It cannot say that a picture is no brain MRI: it gives any picture a probability.",
        "- Not tried on children, after surgery or treatment, or on other diseases, unless the data above has them.",
        *(["- Patients stand on both sides of the split: the scores are too high."] if _leaks(record) else []),
        "",
        "## How the file was checked",
        "",
        checks(checked),
        "",
        f"SHA-256 of the run's weights: {facts['weights_sha256']}.",
    ]
    return "\n".join(lines) + "\n"


def checks(checked: Mapping[str, Any]) -> str:
    """Say how far file, network and `predict` are apart.

    Args:
        checked: `network` (batches of 1, 2 and 7 of five sizes, float32), `exact` (predict in float32) and `predict`
            (in the run's own arithmetic), each with the largest difference of `probabilities` and the share of unequal
            `pixels`; the last two with how many verdicts are `turned`, and how far from the threshold the `furthest`.
    """
    network, slices = checked["network"], checked["predict"]["slices"]
    return "\n".join(
        [
            "| file beside | largest difference of a probability | mean | unequal pixels of masks | other verdicts |",
            "|---|---|---|---|---|",
            f"| its network in float32, batches of 1, 2 and 7, five sizes | {network['probabilities']:.1e} | | "
            f"{network['pixels']:.1e} | |",
            *(
                f"| predict {title}, {slices} slices | {own['probabilities']:.1e} | {own['mean']:.1e} | "
                f"{own['pixels']:.1e} | {_verdicts(own)} |"
                for title, own in (
                    ("in float32", checked["exact"]),
                    ("in the run's own arithmetic", checked["predict"]),
                )
            ),
        ]
    )


def _verdicts(own: Mapping[str, Any]) -> str:
    return f"{own['turned']}, up to {own['furthest']:.3f} from the threshold" if own["turned"] else "none"


def _calibrated(facts: Mapping[str, Any]) -> str:
    raw = facts["temperature"] == calibration.RAW
    return "not calibrated" if raw else f"raw; predict calibrates them by a temperature of {facts['temperature']:.2f}"


def _channels(sequences: list[str]) -> str:
    if not sequences:
        return "RGB, or grey three times"
    return f"red, green and blue are {', '.join(sequences)}, each scaled to 0 ... 255 a volume"


def _count(part: Count) -> str:
    return f"{part['slices']} slices of {part['patients']} patients"


def _row(title: str, interval: Interval) -> str:
    if interval["value"] is None:
        return f"| {title} | undefined | |"
    limits = "" if interval["low"] is None else f"{interval['low']:.3f} to {interval['high']:.3f}"
    return f"| {title} | {interval['value']:.3f} | {limits} |"


def _leaks(record: Record) -> bool:
    return "nearest_slice" in record["baselines"] or record["split"]["method"] == "slice"
