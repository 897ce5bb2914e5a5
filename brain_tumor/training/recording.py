"""What a training leaves in its folder. All that can be known before is collected before, and pictures come last."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
from torch.utils.tensorboard import SummaryWriter

from brain_tumor.data import description, novelty
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.targets import TUMOUR_CLASSES
from brain_tumor.io import tables
from brain_tumor.metrics import calibration, classification
from brain_tumor.metrics.calibration import CalibratedPart
from brain_tumor.models.task import Task
from brain_tumor.runs import leakage, run_folder, versions
from brain_tumor.runs import record as records
from brain_tumor.runs.record import Record, Threshold
from brain_tumor.tracking import tensorboard

Facts = dict[str, Any]


class Confidence(NamedTuple):
    """How far a run's probabilities go.

    Attributes:
        temperature: that calibrates them; None where no validation part asked for one.
        val: what it does to the validation part's probabilities, likewise.
        threshold: from which calibrated probability of the positive class on a slice counts as positive.
    """

    temperature: float | None
    val: CalibratedPart | None
    threshold: Threshold


def facts(config: dict[str, Any], folder: Path, data: SliceDataModule, model: Task, trainer: L.Trainer) -> Facts:
    """Collect what the record says before anything is trained, so that nothing but scores is left to fail after.

    What the training slices look like is written into the run's folder, too.

    Args:
        config: resolved.
        folder: the run's.
        data: set up.
        model: built.
        trainer: built.
    """
    return {
        "format": records.FORMAT,
        "id": run_folder.run_id(config),
        "task": model.kind,
        "measure": model.measure,
        "config": config,
        "hyperparameters": {
            "experiment": config["experiment"] or 0,
            "seed": config["seed"],
            "max_epochs": trainer.max_epochs or 0,
            **model.hyperparameters,
            **description.hyperparameters(data),
            **data.transforms.hyperparameters,
        },
        "data": description.describe(data),
        "split": description.describe_split(data),
        "weights": model.weights.record(),
        "baselines": model.baselines(data),
        "versions": versions.versions(trainer.strategy.root_device, str(trainer.precision)),
        **(_know(folder, data) if trainer.is_global_zero else {}),
    }


def _know(folder: Path, data: SliceDataModule) -> Facts:
    """Keep what the training slices look like, for `predict` to hold others against."""
    rows = data.rows["train"]
    known = novelty.Novelty.fit(data.decoded.images, rows, list(data.table["case"].iloc[rows]))
    if known is None:
        return {}
    known.write(folder / novelty.FILE)
    return {"novelty": {"slices": len(known.thumbnails), "threshold": known.threshold}}


def scored_checkpoint(data: SliceDataModule) -> str:
    """Name the checkpoint that is tested: "best" where a validation part says which that is, else "last"."""
    return "best" if data.monitored == "val" else "last"


def confide(data: SliceDataModule, model: Task, test: Callable[[], Any]) -> Confidence:
    """Ask the validation part for temperature and threshold; the defaults without one, or without probabilities.

    Args:
        data: set up.
        model: trained.
        test: scores the model on the part that `data` has tested.
    """
    unknown = Confidence(None, None, {"value": 0.5, "origin": "default"})
    told = TUMOUR_CLASSES if model.kind == "segmentation" else data.classes
    if data.monitored != "val" or told != data.classes:
        return unknown
    data.tested = "val"
    test()
    data.tested = "test"
    rows, outcomes = model.predictions
    chances = model.probabilities(outcomes)
    if chances is None:
        return unknown
    own, values = data.table.iloc[rows.numpy()], chances.numpy()
    if not np.isfinite(values).all():  # of a run that has diverged
        return unknown
    labels = own["label"].to_numpy()
    temperature = calibration.fit(values, labels)
    if temperature is None:
        return unknown
    place, threshold = classification.place_of(data.positive, data.classes), unknown.threshold
    if place is not None:
        calibrated = calibration.soften(values, temperature)[:, place]
        value = calibration.fit_threshold(calibrated, labels == place)
        threshold = {"value": value, "origin": "validation part"}
    return Confidence(temperature, calibration.describe(values, labels, list(own["case"]), temperature), threshold)


def write(
    folder: Path,
    facts: Facts,
    data: SliceDataModule,
    model: Task,
    confidence: Confidence,
    seconds: dict[str, float],
    writer: SummaryWriter,
) -> Record:
    """Score the test, write split, predictions and the record, and after that what TensorBoard shows.

    Args:
        folder: the run's.
        facts: what was collected before.
        data: set up.
        model: tested.
        confidence: what `confide` found.
        seconds: that setup, fit and test took.
        writer: of the run's event file.
    """
    scores, predictions = model.score(data)
    record: Any = {
        **facts,
        "history": model.history,
        "threshold": confidence.threshold,
        "test": {
            **scores,
            "epoch": model.tested_epoch,
            "checkpoint": scored_checkpoint(data),
            "without_numbers": model.without_numbers,
        },
        "timing": {
            **seconds,
            "epoch_seconds": model.epoch_seconds,
            "images_per_second": data.epoch_size / statistics.median(model.epoch_seconds),
            "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        },
    }
    if confidence.temperature is not None:
        values, labels = classification.probabilities_of(predictions).to_numpy(), predictions["label"].to_numpy()
        tested = calibration.describe(values, labels, list(predictions["case"]), confidence.temperature)
        record["calibration"] = {"temperature": confidence.temperature, "val": confidence.val, "test": tested}
    if model.weights.source == "run":
        tables.write_csv(folder / leakage.INHERITED, leakage.trained_on(model.weights.folder))
    tables.write_csv(folder / "split.csv", data.table[["path", "case", "slice", "label", "part", "digest"]])
    tables.write_csv(folder / "predictions.csv", predictions)
    tables.write_json(folder / "results.json", record)

    tensorboard.write_hparams(writer, facts["hyperparameters"], records.scores(record["test"]))
    for picture in model.pictures(data, predictions):
        if picture.file:
            picture.figure.savefig(folder / picture.file, dpi=110)
        writer.add_figure(picture.title, picture.figure)
    writer.close()
    complete: Record = record
    return complete
