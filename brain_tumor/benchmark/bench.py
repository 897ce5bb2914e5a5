"""What the benchmark's sections share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from brain_tumor.benchmark import loops
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
    repeats: int
    batches: int
    epochs: int


def rate(work: Callable[[], int], device: torch.device) -> float:
    """Time some work that returns how many images it was, and return images per second."""
    started = loops.now(device)
    count = work()
    return count / (loops.now(device) - started)


def flops(model: Classifier, data: SliceDataModule, device: torch.device) -> float:
    """Count the floating point operations of training on one image."""
    images = torch.randn(2, 3, data.size, data.size, device=device)
    model.to(device).train()
    with FlopCounterMode(display=False) as counter:
        model(images).sum().backward()
    model.zero_grad()
    return float(counter.get_total_flops()) / len(images)
