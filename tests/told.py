"""Runs that say what they are told to, so that what is made of their answers can be held against right values."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from brain_tumor.datasets.regions import BINARY, Regions
from brain_tumor.inference.base import Network, Outputs
from brain_tumor.scans.fitted import Fitted

Say = Callable[[NDArray[np.uint8]], Outputs]


@dataclass(frozen=True)
class Told:
    """A run (see `brain_tumor.inference.base.Run`) whose network is a function of the fitted pictures."""

    say: Say
    classes: list[str]
    positive: str | None
    name: str = "told"
    task: str = "classification"
    dataset: str = "folder"
    sequences: tuple[str, ...] = ()
    regions: Regions = BINARY
    scaling: str | None = None
    plane: str = "axial"
    skull: bool | None = None
    threshold: float = 0.5
    threshold_origin: str = "default"
    size: int = 32
    crop: str | None = None
    intensities: str = "file"
    neighbours: int = 0
    neighbour_mm: float | None = None
    components: float = 0.0
    temperatures: dict[str, float] = field(default_factory=dict)

    def digest(self) -> str:
        return self.name

    def versions(self) -> dict[str, str]:
        return {}

    def network(self) -> Network:
        return _Network(self.say)


@dataclass
class _Network:
    say: Say
    batch: int = 4

    def __call__(self, fitted: Fitted) -> Outputs:
        return self.say(fitted.images)

    def explain(self, fitted: Fitted, target: int) -> NDArray[np.float32]:
        return np.full(fitted.images.shape[:3], target, np.float32)


def brightness(fitted: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the mean of each picture, from 0 to 1."""
    means: NDArray[np.float64] = fitted.mean((1, 2, 3)) / 255
    return means


def classifier(classes: list[str], positive: str | None, bright: str, **facts: object) -> Told:
    """Return a run of several classes that gives a picture's brightness to one of them, and the rest to the others."""

    def say(fitted: NDArray[np.uint8]) -> Outputs:
        mean = brightness(fitted)
        columns = [mean if name == bright else (1 - mean) / (len(classes) - 1) for name in classes]
        return Outputs(np.stack(columns, 1), None, np.zeros(len(fitted)))

    return Told(say, classes, positive, **facts)  # type: ignore[arg-type]


def segmenter(**facts: object) -> Told:
    """Return a run that marks every pixel of a picture above .5, with the picture's values as probabilities."""

    def say(fitted: NDArray[np.uint8]) -> Outputs:
        maps = (fitted[..., 0] / 255).astype(np.float32)
        sure = maps.max((1, 2)).astype(np.float64)
        return Outputs(np.stack([1 - sure, sure], 1), maps, np.zeros(len(fitted)))

    return Told(say, ["no tumour", "tumour"], "tumour", task="segmentation", **facts)  # type: ignore[arg-type]
