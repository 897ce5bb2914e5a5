"""Build Lightning's trainer and its checkpoints, and speed up a training."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from brain_tumor.config import processes, typed
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.models import features, precision
from brain_tumor.models.checkpoint import WholeCheckpointIO
from brain_tumor.models.task import Task
from brain_tumor.tracking.open import Trackers
from brain_tumor.training import stopping
from brain_tumor.training.averaging import LastWeights

_FOLDER = "checkpoints"
_OURS = {"compile", "patience"}  # settings that Lightning's trainer does not take


def make_trainer(config: dict[str, Any], folder: Path, monitored: str, trackers: Trackers) -> L.Trainer:
    """Build Lightning's trainer from its group of the configuration, and set the precision.

    Args:
        config: resolved.
        folder: the run's.
        monitored: the part that the validation loop runs on.
        trackers: show the curves.

    Raises:
        ValueError: its processes would not train one run together.
    """
    settings = {name: value for name, value in config["trainer"].items() if name not in _OURS}
    name = precision.resolve(settings.get("precision", "auto"), settings.get("accelerator", "auto"))
    precision.use(name)
    trainer: L.Trainer = typed.make(
        {"trainer": settings},
        "trainer",
        precision=name,
        **processes.devices(settings, torch.cuda.device_count()),
        logger=trackers.loggers,
        callbacks=[
            *stopping.callbacks(config["trainer"].get("patience")),
            *_callbacks(folder, monitored, config["average_weights"]),
        ],
        plugins=WholeCheckpointIO(),
    )
    processes.refuse_misfit(trainer)
    return trainer


def checkpoint_path(folder: Path, name: str) -> Path:
    """Return the path of a run's checkpoint "last" or "best"."""
    return folder / _FOLDER / f"{name}.ckpt"


def scored_checkpoint(monitored: str) -> str:
    """Return the name of the checkpoint that is tested: "best" with a validation part, else "last"."""
    return "best" if monitored == "val" else "last"


def speed_up(config: dict[str, Any], data: SliceDataModule, model: Task, trainer: L.Trainer) -> None:
    """Cache the output of a model's frozen part, and compile the rest, as configured."""
    device = trainer.strategy.root_device
    if model.frozen_part is not None and config["cache_features"] and not model.mirror:
        data.store.features = features.cached(model.frozen_part, data, str(trainer.precision), device)
    if config["trainer"].get("compile"):
        model.compile_network("reduce-overhead" if device.type == "cuda" else None)


def _callbacks(folder: Path, monitored: str, average: float | None) -> list[Callback]:
    """Return callbacks that write the last epoch, to resume from it, and with a validation part the best one.

    With a decay in `average`, another one averages the weights that these write.
    """
    always: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
    averaging: list[Callback] = [] if average is None else [LastWeights(average)]
    callbacks: list[Callback] = [ModelCheckpoint(folder / _FOLDER, filename="last", **always)]
    if monitored == "val":
        # Before "last", so that "last" knows the best score so far, which a resumed run compares with.
        callbacks.insert(0, ModelCheckpoint(folder / _FOLDER, filename="best", monitor="val/loss", **always))
    return averaging + callbacks
