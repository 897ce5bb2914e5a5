"""The record of a finished run: the schema of results.json, and how to read it in any format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast, get_type_hints, is_typeddict

from brain_tumor.io import tables
from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.metrics.calibration import CalibratedPart
from brain_tumor.runs import upgrades

FORMAT = len(upgrades.STEPS) + 1


class Count(TypedDict):
    """The size of a part of the data: slices, patients, and slices by label."""

    slices: int
    patients: int
    labels: dict[str, int]


class Data(Count):
    """The data of a run.

    Attributes:
        kind: the data set's name.
        key: identifies names, pixels and labels.
        classes: the classes' names.
        positive: the class that means a tumour; None if the data does not say.
        sequences: what the channels show; [] for three that show unknown ones.
        skull: whether the training slices show the skull; None if unknown.
        licence: the data's; "" if unknown.
        drawn: whether a program has drawn the data.
        neighbours: how many slices on each side are shown with a slice, `count`, and how far apart they are, `mm`.
        target: the name of a target that labels patients, and which patients it left out; the seed of random labels.
        missing: by patient, the sequences that FLAIR stands in for; data without FLAIR, and older records, lack it.
        regions: which masks were used to choose and crop slices.
        volumes: how intensities of volumes were scaled (see `brain_tumor.scans.volumes.grey_levels`), and the plane
            that they were cut in; data of pictures lacks it.
        mask_labels: the labels and regions of masks (see `brain_tumor.datasets.regions.Regions.plain`); binary ones
            lack it.
    """

    kind: str
    key: str
    classes: list[str]
    positive: str | None
    sequences: list[str]
    skull: bool | None
    licence: str
    drawn: bool
    neighbours: NotRequired[dict[str, Any]]
    target: NotRequired[dict[str, Any]]
    missing: NotRequired[dict[str, list[str]]]
    regions: NotRequired[dict[str, Any]]
    volumes: NotRequired[dict[str, str]]
    mask_labels: NotRequired[dict[str, Any]]


class Split(TypedDict):
    """How the data was divided (see `brain_tumor.data.split`), and what each part holds."""

    method: str
    seed: int
    folds: int | None
    fold: int | None
    outer_folds: NotRequired[int]  # with inner folds, `folds` and `fold` are theirs
    outer_fold: NotRequired[int]
    duplicates_dropped: int
    patients_on_both_sides: NotRequired[int]  # older records lack it
    site: NotRequired[str]  # the tested one, and the number of patients of each
    sites: NotRequired[dict[str, int]]
    gap: NotRequired[int | str]  # around tested slices, in slices; "patient" for all of their patients
    train_patients: NotRequired[int]  # how many were drawn, and by which seed
    draw_seed: NotRequired[int]
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
    """What a run cost; a resumed run counts from the last time it was resumed."""

    setup_seconds: float
    fit_seconds: float
    test_seconds: float
    epoch_seconds: list[float]
    images_per_second: float
    trained_parameters: int


class Threshold(TypedDict):
    """The calibrated probability of the positive class from which a slice counts as positive, and its `origin`.

    The origin is "validation part" (the sum of sensitivity and specificity is highest there) or "default".
    """

    value: float
    origin: str


class Calibration(TypedDict):
    """The temperature, and what it does to the part that it was fitted on and to the test part."""

    temperature: float
    val: CalibratedPart
    test: CalibratedPart


class Record(TypedDict):
    """A finished run.

    Attributes:
        format: of this schema.
        id: a hash of `config` (see `brain_tumor.runs.identity.run_id`).
        task: what was learnt: "classification", ...
        measure: the score that runs of this task are compared by, one of those in `test`.
        config: the resolved configuration.
        hyperparameters: what the run was trained with, defaults included.
        data: what it was trained and tested on.
        split: how the data was divided.
        weights: what the network started from.
        baselines: the scores of the image-free baselines, by name.
        history: one entry per epoch: its number, from 1, and the curves of each part.
        novelty: how many training slices `predict` compares new ones with, and from which distance these are unlike.
        calibration: of the probabilities, for a run with a validation part.
        threshold: the probability from which a slice counts as positive.
        test: every score as value, low and high; the number of `slices`; what was `resampled` for the intervals; the
            `epoch` and the name of the `checkpoint` that was scored; and what else the task records.
        timing: what the run cost.
        versions: of everything that the numbers may depend on.
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
    version = content.get("format", 1)
    if version not in range(1, FORMAT + 1):
        raise ValueError(f"{path}: of format {version}, which this version does not know; update brain_tumor")
    try:
        upgraded: Any = content
        for upgrade in upgrades.STEPS[version - 1 :]:
            upgraded = upgrade(upgraded)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a record of brain_tumor ({type(error).__name__} at {error})") from error
    if lacking := _lacking(upgraded, Record):
        raise ValueError(f"{path}: not a record of brain_tumor; it lacks {', '.join(lacking)}")
    record: Record = upgraded
    return record


def scores(test: Mapping[str, Any]) -> dict[str, Interval]:
    """Return the scores of a record's `test` that have intervals."""
    return {name: cast("Interval", value) for name, value in test.items() if isinstance(value, dict)}


def final(record: Record) -> float | None:
    """Return the score that runs are compared by; None if it is undefined."""
    value: float | None = record["test"][record["measure"]]["value"]
    return value


def _lacking(value: Any, schema: Any, path: str = "") -> list[str]:
    """Return the keys that `value` lacks of a TypedDict and of the TypedDicts in it."""
    if not is_typeddict(schema):
        return []
    if not isinstance(value, dict):
        return [path or "everything"]
    lacking = []
    for key, hint in get_type_hints(schema).items():
        if key in schema.__optional_keys__:
            continue
        place = f"{path}.{key}".lstrip(".")
        lacking += _lacking(value[key], hint, place) if key in value else [place]
    return lacking
