"""Refuse configurations that torch or Lightning would refuse only during an epoch, with less helpful messages."""

from typing import Any

import lightning as L
from torch import nn

from brain_tumor.config import processes
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.models import backbone
from brain_tumor.models.task import Task
from brain_tumor.runs import objective

_ROWS = range(1, 21)  # of the paper's Table 1


def refuse_untrainable(config: dict[str, Any], data: SliceDataModule, model: Task, trainer: L.Trainer) -> None:
    """Refuse a configuration that cannot be trained and tested to the end.

    Args:
        config: resolved.
        data: set up.
        model: built.
        trainer: built.

    Raises:
        ValueError: names the key, its value and the remedy.
    """
    _refuse_settings(config, trainer)
    if config["objective"] not in {"loss", model.measure}:
        raise ValueError(f"objective={config['objective']}: choose loss or {model.measure}")
    _refuse_patience(config, data)
    if processes.is_search() and data.monitored != "val":
        raise ValueError(f"hydra/sweeper: {objective.NO_VALIDATION}")
    if not len(data.rows["train"]):
        raise ValueError(
            f"data.split={config['data'].get('split')}: leaves no slice to train on; choose slice or patient"
        )
    _refuse_single_slice(data, model, trainer)
    if trainer.gradient_clip_val and config["optimizer"].get("fused"):
        raise ValueError("trainer.gradient_clip_val: needs optimizer.fused=false; a fused step clips nothing")


def _refuse_settings(config: dict[str, Any], trainer: L.Trainer) -> None:
    """Refuse values that neither Lightning nor Hydra refuses."""
    if trainer.max_epochs is not None and trainer.max_epochs < 1 and trainer.max_steps < 1:
        raise ValueError(f"trainer.max_epochs={trainer.max_epochs}: must be at least 1")
    for name in ("limit_test_batches", "fast_dev_run"):
        if config["trainer"].get(name) is not None:
            raise ValueError(f"trainer.{name}: would score a part of the test slices as all of them; leave it out")
    if config["experiment"] not in {None, *_ROWS}:
        raise ValueError(f"experiment={config['experiment']}: a row of the paper's table, 1 to 20, which paper=N sets")


def _refuse_patience(config: dict[str, Any], data: SliceDataModule) -> None:
    """Refuse to stop early by the test part, or before what the whole length of the training is for."""
    patience = config["trainer"].get("patience")
    if patience is None:
        return
    if data.monitored != "val":
        raise ValueError(f"trainer.patience={patience}: needs a validation part: give data.val_fraction=0.2")
    for key, plain in (("schedule", "constant"), ("average_weights", None)):
        if config[key] != plain:
            raise ValueError(
                f"trainer.patience={patience}: {key}={config[key]} needs the whole training; leave one of them out"
            )
    if not isinstance(patience, int) or patience < 1:
        raise ValueError(f"trainer.patience={patience}: must be a number of epochs, at least 1")


def _refuse_single_slice(data: SliceDataModule, model: Task, trainer: L.Trainer) -> None:
    """Refuse an epoch whose last batch is a single slice that batch norm would see as one pixel."""
    size, batch = data.size, data.batch_size
    count = -(-data.epoch_size // trainer.world_size)  # slices that each process shows in an epoch
    normalizes = any(isinstance(module, nn.BatchNorm2d) and module.training for module in model.modules())
    if normalizes and size <= backbone.STRIDE and count % batch == 1 % batch:
        raise ValueError(
            f"data.batch_size={batch}: the last of an epoch's {count} slices is alone in its batch, and of {size} "
            "pixels one feature is left, which cannot be normalised. Choose another data.batch_size or larger data.size"
        )
