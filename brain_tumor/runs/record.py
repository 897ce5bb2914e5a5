"""What is known of a finished run: results.json, its schema, and reading it in whatever format it was written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast, get_type_hints, is_typeddict

from brain_tumor.io import tables
from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.metrics.calibration import CalibratedPart
from brain_tumor.runs import upgrades

FORMAT = len(upgrades.STEPS) + 1


class Count(TypedDict):
    """How much a part of the data holds."""

    slices: int
    patients: int
    labels: dict[str, int]


class Data(Count):
    """The data of a run: the data set's name, what identifies names, pixels and labels, and the classes' names.

    `positive` is the class that means a tumour, None where the data does not say; `sequences` what the three channels
    show, [] where nobody knows; `skull` whether the heads in training had theirs, None where that is not known;
    `licence` the data's, "" where it is not known; `drawn` whether a program has drawn it.

    A target of patients adds its name and whom it left out; one that goes by where the tumour is, and a crop, by whose
    masks slices were chosen and cut.
    """

    kind: str
    key: str
    classes: list[str]
    positive: str | None
    sequences: list[str]
    skull: bool | None
    licence: str
    drawn: bool
    target: NotRequired[dict[str, Any]]
    regions: NotRequired[dict[str, Any]]


class Split(TypedDict):
    """How the data was divided (see `brain_tumor.data.split`), and what each part holds."""

    method: str
    seed: int
    folds: int | None
    fold: int | None
    duplicates_dropped: int
    patients_on_both_sides: NotRequired[int]  # older records lack it
    train: Count
    val: Count
    test: Count


class Weights(TypedDict):
    """Where the network started from (see `brain_tumor.models.weights.WeightsOrigin`)."""

    requested: str
    source: str
    detail: str
    missing: list[str]
    overlap: list[str]
    warning: str


class Timing(TypedDict):
    """What a run cost; a run that was cut off counts since it was last taken up."""

    setup_seconds: float
    fit_seconds: float
    test_seconds: float
    epoch_seconds: list[float]
    images_per_second: float
    trained_parameters: int


class Threshold(TypedDict):
    """The calibrated probability of the positive class from which a slice counts as positive, and its `origin`.

    That is "validation part" (sensitivity and specificity together are highest there) or "default".
    """

    value: float
    origin: str


class Calibration(TypedDict):
    """What a record says of it: the temperature, and the parts that it was fitted and tried on."""

    temperature: float
    val: CalibratedPart
    test: CalibratedPart


class Record(TypedDict):
    """A finished run.

    Attributes:
        format: of this schema.
        id: a hash of `config` (see `brain_tumor.runs.run_folder.run_id`).
        task: what was learnt: "classification", ...
        measure: the score that runs of this task are compared by, one of those in `test`.
        config: the resolved configuration.
        hyperparameters: what the run was trained with, as its objects say, defaults included.
        data: what it was trained and tested on.
        split: how that was divided.
        weights: what it started from.
        baselines: the scores of what sees no pixel, by name.
        history: an entry an epoch: its number, from 1, and the curves of each part.
        novelty: how many training slices `predict` holds new ones against, and from which distance they are unlike.
        calibration: of a run with a validation part, what that says of its probabilities.
        threshold: from which probability on a slice counts as positive.
        test: every score as value, low and high; how many `slices`; what the intervals have `resampled`; the `epoch`
            and the name of the `checkpoint` that was scored; and what else the task keeps.
        timing: what it cost.
        versions: of everything that numbers may depend on.
    """

    format: int
    id: str
    task: str
    measure: str
    config: dict[str, Any]
    hyperparameters: dict[str, Any]
    data: Data
    split: Split
    weights: Weights
    baselines: dict[str, dict[str, Interval]]
    history: list[dict[str, Any]]
    novelty: NotRequired[dict[str, float]]
    calibration: NotRequired[Calibration]
    threshold: Threshold
    test: dict[str, Any]
    timing: Timing
    versions: dict[str, str]


def read(folder: Path) -> Record:
    """Return the record of the run in `folder`.

    Raises:
        ValueError: there is no finished run, or its record is damaged.
    """
    path = folder / "results.json"
    if not path.exists():
        raise ValueError(f"{folder}: no finished run there (it has no results.json)")
    return load(path)


def load(path: Path) -> Record:
    """Return the record in a file of any name, in today's format.

    Raises:
        ValueError: it is damaged, of a later format, or no record.
    """
    content = tables.read_json(path)
    found = content.get("format", 1)
    if found not in range(1, FORMAT + 1):
        raise ValueError(f"{path}: of format {found}, which this version does not know; update brain_tumor")
    try:
        upgraded: Any = content
        for upgrade in upgrades.STEPS[found - 1 :]:
            upgraded = upgrade(upgraded)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a record of brain_tumor ({type(error).__name__} at {error})") from error
    if lacking := _lacking(upgraded, Record):
        raise ValueError(f"{path}: not a record of brain_tumor; it lacks {', '.join(lacking)}")
    record: Record = upgraded
    return record


def scores(test: Mapping[str, Any]) -> dict[str, Interval]:
    """Choose the scores with intervals of a record's `test`."""
    return {name: cast("Interval", value) for name, value in test.items() if isinstance(value, dict)}


def final(record: Record) -> float | None:
    """Return the score that a run is compared by; None if it is undefined."""
    value: float | None = record["test"][record["measure"]]["value"]
    return value


def _lacking(value: Any, schema: Any, path: str = "") -> list[str]:
    """Name the keys that `value` lacks of a TypedDict, and of those in it."""
    if not is_typeddict(schema):
        return []
    if not isinstance(value, dict):
        return [path or "everything"]
    lacking = []
    for key, kind in get_type_hints(schema).items():
        if key in schema.__optional_keys__:
            continue
        place = f"{path}.{key}".lstrip(".")
        lacking += _lacking(value[key], kind, place) if key in value else [place]
    return lacking
