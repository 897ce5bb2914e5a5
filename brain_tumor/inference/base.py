"""A trained run and what it says of pictures, whoever computes it: torch, or onnxruntime without torch."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.novelty import Novelty
from brain_tumor.metrics import calibration


class Outputs(NamedTuple):
    """What a network says of n pictures.

    Attributes:
        probabilities: float64 (n, classes); of a segmenter, a slice's is its surest pixel's.
        maps: every pixel's probability of a tumour, float32 (n, size, size); None of a classifier.
        novelty: how far each is from those of the training (see `brain_tumor.data.novelty`), float64 (n,), above 1
            unlike them, NaN where that is not known; None of a bare network.
    """

    probabilities: NDArray[np.float64]
    maps: NDArray[np.float32] | None
    novelty: NDArray[np.float64] | None = None


class Network(Protocol):
    """A network, ready to look at pictures that are fitted already."""

    @property
    def batch(self) -> int:
        """How many pictures it looks at together."""

    def __call__(self, fitted: NDArray[np.uint8]) -> Outputs:
        """Look at uint8 (n, size, size, 3)."""

    def explain(self, fitted: NDArray[np.uint8], target: int) -> NDArray[np.float32] | None:
        """Return how much each place speaks for a class, float32 (n, size, size) from 0 up; None if it cannot tell."""


class Qualified:
    """A network that also says how far to trust it: its probabilities are calibrated, unlike slices are marked.

    Args:
        network: to look; its maps stay as they are, since they are thresholded at .5.
        temperature: of `brain_tumor.metrics.calibration.soften`.
        novelty: what its training slices look like; None where that is not known.
    """

    def __init__(self, network: Network, temperature: float, novelty: Novelty | None) -> None:
        self._network, self._temperature, self._novelty = network, temperature, novelty

    @property
    def batch(self) -> int:
        """How many pictures it looks at together."""
        return self._network.batch

    def __call__(self, fitted: NDArray[np.uint8]) -> Outputs:
        """Look at uint8 (n, size, size, 3)."""
        found = self._network(fitted)
        return Outputs(
            calibration.soften(found.probabilities, self._temperature),
            found.maps,
            np.full(len(fitted), np.nan) if self._novelty is None else self._novelty.score(fitted),
        )

    def explain(self, fitted: NDArray[np.uint8], target: int) -> NDArray[np.float32] | None:
        """Return how much each place speaks for a class."""
        return self._network.explain(fitted, target)


class Run(Protocol):
    """A trained run, opened."""

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
        """The names of the classes that it tells apart, in the order of its outputs."""

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
        """What of a slice it was shown in training; None or "none" for all of it."""

    @property
    def temperatures(self) -> dict[str, float]:
        """What its networks' probabilities are calibrated by, by name; 1 where they are raw."""

    def digest(self) -> str:
        """Return the SHA-256 of its weights' file, hexadecimal."""

    def versions(self) -> dict[str, str]:
        """Return the versions of what computes here."""

    def network(self) -> Network:
        """Make its network, which says how far to trust it."""
