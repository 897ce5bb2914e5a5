"""What the benchmark's sections share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.models.classifier import Classifier


@dataclass
class Bench:
    """What the sections share.

    Attributes:
        data: set up.
        build: makes a model from a name of `models` and a strategy.
        models: names of models.
        precision: Lightning's name, resolved.
        device: to measure on.
        trainer: the arguments of `lightning.Trainer` that say on what to train and how.
        arguments: makes overrides that train the same model on the same data as `build` does in this process.
        fill: draws data that a program draws in another cache, so that no process is measured while it draws.
        repeats: how often each side is measured.
        batches: training batches a measurement.
        epochs: length of a whole experiment.
    """

    data: SliceDataModule
    build: Callable[[str, str], Classifier]
    models: list[str]
    precision: str
    device: torch.device
    trainer: dict[str, Any]
    arguments: Callable[[str, str], list[str]]
    fill: Callable[[Path], None]
    repeats: int
    batches: int
    epochs: int
