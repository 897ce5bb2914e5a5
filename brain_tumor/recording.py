"""What a training leaves in its folder. All that can be known before is collected before, and pictures come last."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
from torch.utils.tensorboard import SummaryWriter

from brain_tumor.data import description, novelty
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.targets import TUMOUR_CLASSES
from brain_tumor.models.task import Task
from brain_tumor.results import calibration, classification, dashboard, overlap, run_folder, storage, versions
from brain_tumor.results import record as records
from brain_tumor.results.record import Record

Facts = dict[str, Any]


def facts(config: dict[str, Any], data: SliceDataModule, model: Task, trainer: L.Trainer) -> Facts:
    """Collect what the record says before anything is trained, so that nothing but scores is left to fail after.

    Args:
        config: resolved.
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
    }


def scored_checkpoint(data: SliceDataModule) -> str:
    """Name the checkpoint that is tested: "best" where a validation part says which that is, else "last"."""
    return "best" if data.monitored == "val" else "last"


def calibrate(data: SliceDataModule, model: Task, test: Callable[[], Any]) -> Facts | None:
    """Find the temperature that the validation part asks for; None without one, or without probabilities of classes.

    Args:
        data: set up.
        model: trained.
        test: scores the model on the part that `data` has tested.
    """
    told = TUMOUR_CLASSES if model.kind == "segmentation" else data.classes
    if data.monitored != "val" or told != data.classes:
        return None
    data.tested = "val"
    test()
    data.tested = "test"
    rows, outcomes = model.predictions
    chances = model.probabilities(outcomes)
    if chances is None:
        return None
    own, values = data.table.iloc[rows.numpy()], chances.numpy()
    labels = own["label"].to_numpy()
    temperature = calibration.fit(values, labels)
    if temperature is None:
        return None
    return {"temperature": temperature, "val": calibration.describe(values, labels, list(own["case"]), temperature)}


def write(
    folder: Path,
    facts: Facts,
    data: SliceDataModule,
    model: Task,
    calibrated: Facts | None,
    seconds: dict[str, float],
    writer: SummaryWriter,
) -> Record:
    """Score the test, write split, predictions and the record, and after that what TensorBoard shows.

    Args:
        folder: the run's.
        facts: what was collected before.
        data: set up.
        model: tested.
        calibrated: what `calibrate` found.
        seconds: that setup, fit and test took.
        writer: of the run's event file.
    """
    scores, predictions = model.score(data)
    record: Any = {
        **facts,
        "history": model.history,
        "test": {**scores, "epoch": model.tested_epoch, "checkpoint": scored_checkpoint(data)},
        "timing": {
            **seconds,
            "epoch_seconds": model.epoch_seconds,
            "images_per_second": data.epoch_size / statistics.median(model.epoch_seconds),
            "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        },
    }
    train = data.rows["train"]
    known = novelty.Novelty.fit(data.decoded.images[train], list(data.table["case"].iloc[train]))
    if known:
        known.write(folder / novelty.FILE)
        record["novelty"] = {"slices": len(known.thumbnails), "threshold": known.threshold}
    if calibrated:
        values, labels = classification.probabilities_of(predictions).to_numpy(), predictions["label"].to_numpy()
        tested = calibration.describe(values, labels, list(predictions["case"]), calibrated["temperature"])
        record["calibration"] = {**calibrated, "test": tested}
    record["threshold"] = {"value": 0.5, "origin": "default"}
    if model.weights.source == "run":
        storage.write_csv(folder / overlap.INHERITED, overlap.trained_on(model.weights.folder))
    storage.write_csv(folder / "split.csv", data.table[["path", "case", "slice", "label", "part", "digest"]])
    storage.write_csv(folder / "predictions.csv", predictions)
    storage.write_json(folder / "results.json", record)

    dashboard.write_hparams(writer, facts["hyperparameters"], records.scores(record["test"]))
    for picture in model.pictures(data, predictions):
        if picture.file:
            picture.figure.savefig(folder / picture.file, dpi=110)
        writer.add_figure(picture.title, picture.figure)
    writer.close()
    complete: Record = record
    return complete
