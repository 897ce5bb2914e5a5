"""Write what a training leaves in its folder: facts before the training, the record after it, pictures last."""

import statistics
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd

from brain_tumor.data import description, novelty
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.io import tables
from brain_tumor.metrics import calibration, classification
from brain_tumor.models.task import Task
from brain_tumor.runs import identity, leakage, versions
from brain_tumor.runs import record as records
from brain_tumor.runs.record import Record
from brain_tumor.tracking.open import Trackers
from brain_tumor.training.calibrate import Calibrated
from brain_tumor.training.trainer import scored_checkpoint

Facts = dict[str, Any]


def facts(config: dict[str, Any], folder: Path, data: SliceDataModule, model: Task, trainer: L.Trainer) -> Facts:
    """Collect all of the record that is known before the training, so that only the scores can fail after it.

    The first process also writes the split and facts of the training slices into the run's folder.

    Args:
        config: resolved.
        folder: the run's.
        data: set up.
        model: built.
        trainer: built.
    """
    return {
        "format": records.FORMAT,
        "id": identity.run_id(config),
        "task": model.kind,
        "measure": model.measure,
        "config": config,
        "hyperparameters": {
            "experiment": config["experiment"] or 0,
            "seed": config["seed"],
            "max_epochs": trainer.max_epochs or 0,
            "average_weights": config["average_weights"] or 0.0,
            "find_lr": config["find_lr"],
            "patience": config["trainer"].get("patience") or 0,
            **model.hyperparameters,
            **description.hyperparameters(data),
            **data.transforms.hyperparameters,
        },
        "data": description.describe(data),
        "split": description.describe_split(data),
        "weights": model.weights.record(),
        "baselines": model.baselines(data),
        "versions": versions.versions(trainer.strategy.root_device, str(trainer.precision)),
        **(_write_training_slices(folder, data, model) if trainer.is_global_zero else {}),
    }


def _write_training_slices(folder: Path, data: SliceDataModule, model: Task) -> Facts:
    """Write the split, the slices of earlier trainings, and what the training slices look like, for `predict`."""
    tables.write_csv(folder / "split.csv", data.table[["path", "case", "slice", "label", "part", "digest"]])
    if model.weights.source == "run":
        tables.write_csv(folder / leakage.INHERITED, leakage.trained_on(model.weights.folder))
    rows = data.rows["train"]
    fitted = novelty.Novelty.fit(data.store.stretched, rows, list(data.table["case"].iloc[rows]))
    if fitted is None:
        return {}
    fitted.write(folder / novelty.FILE)
    return {"novelty": {"slices": len(fitted.thumbnails), "threshold": fitted.threshold}}


def write(
    folder: Path,
    facts: Facts,
    data: SliceDataModule,
    model: Task,
    calibrated: Calibrated,
    seconds: dict[str, float],
    trackers: Trackers,
) -> Record:
    """Score the test, write predictions and the record, and then show scores and pictures.

    Args:
        folder: the run's.
        facts: collected before the training.
        data: set up.
        model: tested.
        calibrated: temperature and threshold of the model.
        seconds: of setup, fit and test.
        trackers: show the run.
    """
    scores, predictions = model.score(data)
    record: Any = {
        **facts,
        "history": model.history,
        "threshold": calibrated.threshold,
        "test": {
            **scores,
            "epoch": model.tested_epoch,
            "checkpoint": scored_checkpoint(data.monitored),
            "without_numbers": model.without_numbers,
        },
        "timing": {**seconds, **_cost(data, model)},
        **_calibration(predictions, calibrated),
    }
    tables.write_csv(folder / "predictions.csv", predictions)
    tables.write_json(folder / "results.json", record)

    trackers.add_result(facts["hyperparameters"], records.scores(record["test"]))
    _show_pictures(folder, data, model, predictions, trackers)
    trackers.close()
    complete: Record = record
    return complete


def _cost(data: SliceDataModule, model: Task) -> dict[str, Any]:
    """Return what the epochs cost."""
    return {
        "epoch_seconds": model.epoch_seconds,
        "images_per_second": data.epoch_size / statistics.median(model.epoch_seconds),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def _calibration(predictions: pd.DataFrame, calibrated: Calibrated) -> Facts:
    """Return what the temperature does to the test's probabilities; {} without a temperature."""
    if calibrated.temperature is None:
        return {}
    values, labels = classification.probabilities_of(predictions).to_numpy(), predictions["label"].to_numpy()
    tested = calibration.describe(values, labels, list(predictions["case"]), calibrated.temperature)
    return {"calibration": {"temperature": calibrated.temperature, "val": calibrated.val, "test": tested}}


def _show_pictures(
    folder: Path, data: SliceDataModule, model: Task, predictions: pd.DataFrame, trackers: Trackers
) -> None:
    """Draw a finished run's pictures into its folder and for its trackers."""
    for picture in model.pictures(data, predictions):
        if picture.file:
            picture.figure.savefig(folder / picture.file, dpi=110)
        trackers.add_figure(picture.title, picture.figure)
