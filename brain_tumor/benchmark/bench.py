"""Define the settings and the data that the benchmark's sections share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.models.classifier import Classifier


@dataclass
class Bench:
    """The settings and the data of a benchmark.

    Attributes:
        data: the data module, set up.
        build: makes a model from a name of `models` and a strategy.
        models: names of models.
        precision: Lightning's name of the precision, such as "bf16-mixed"; not "auto".
        device: the device to measure on.
        trainer: the arguments of `lightning.Trainer` for hardware and precision.
        arguments: makes the overrides of the training command for the model of `build`, from the same name and
            strategy, on the same data.
        fill: draws data that a program draws in another cache, so that no process is measured while it draws.
        repeats: number of measurements of each side.
        batches: training batches per measurement.
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
