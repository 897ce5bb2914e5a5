"""What answers about slices: networks, and the runs that they belong to, whoever computes them."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Outputs(NamedTuple):
    """What a network predicts for n slices.

    Attributes:
        probabilities: float64 (n, classes); for a segmenter, a slice's is its surest pixel's.
        maps: every pixel's probability of a tumour, float32 (n, size, size); None for a classifier.
        novelty: how far each slice is from those of the training (see `brain_tumor.data.novelty`), float64 (n,), above
            1 unlike them, NaN where that is not known; None for a bare network.
    """

    probabilities: NDArray[np.float64]
    maps: NDArray[np.float32] | None
    novelty: NDArray[np.float64] | None = None


class Network(Protocol):
    """A network that predicts slices which have its size already."""

    @property
    def batch(self) -> int:
        """How many slices it predicts together."""

    def __call__(self, fitted: NDArray[np.uint8]) -> Outputs:
        """Predict slices, uint8 (n, size, size, 3)."""

    def explain(self, fitted: NDArray[np.uint8], target: int) -> NDArray[np.float32] | None:
        """Return how much each place speaks for a class, float32 (n, size, size) from 0 up; None if it cannot tell."""


class Run(Protocol):
    """A trained run, opened: what is known of it, and its network."""

    @property
    def name(self) -> str:
        """What it is called in messages: its folder or file."""

    @property
    def task(self) -> str:
        """What it has learnt: "classification" or "segmentation"."""

    @property
    def dataset(self) -> str:
        """The name of the data set that it was trained on."""

    @property
    def classes(self) -> list[str]:
        """The names of its classes, in the order of its outputs."""

    @property
    def positive(self) -> str | None:
        """The class that means a tumour; None where its data does not say."""

    @property
    def sequences(self) -> tuple[str, ...]:
        """The sequences in the three channels of its training data; () where nobody knows."""

    @property
    def skull(self) -> bool | None:
        """Whether the heads that it was trained on had their skulls; None where that is not known."""

    @property
    def threshold(self) -> float:
        """The calibrated probability of the positive class from which a slice counts as positive."""

    @property
    def threshold_origin(self) -> str:
        """Where that comes from: "validation part", "default", ..."""

    @property
    def size(self) -> int:
        """The side of the images that it was trained on, in pixels."""

    @property
    def crop(self) -> str | None:
        """What of a slice it was trained on; None or "none" for all of it."""

    @property
    def temperatures(self) -> dict[str, float]:
        """What calibrates the probabilities of its networks, by name; 1 where they are raw."""

    def digest(self) -> str:
        """Return the SHA-256 of its weights' file, hexadecimal."""

    def versions(self) -> dict[str, str]:
        """Return the versions of what computes here."""

    def network(self) -> Network:
        """Make its network, whose probabilities are calibrated, and which says how new a slice is."""


@dataclass(frozen=True)
class Facts:
    """What is known of a run: the attributes of `Run`, for what implements it."""

    name: str
    task: str
    dataset: str
    classes: list[str]
    positive: str | None
    sequences: tuple[str, ...]
    skull: bool | None
    threshold: float
    threshold_origin: str
    size: int
    crop: str | None
    temperatures: dict[str, float]
