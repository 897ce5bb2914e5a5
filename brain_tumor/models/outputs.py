"""A trained run and what it says of pictures, whoever computes it: torch, or onnxruntime without torch."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Outputs(NamedTuple):
    """What a network says of n pictures.

    Attributes:
        probabilities: float64 (n, classes); of a segmenter, a slice's is its surest pixel's.
        maps: every pixel's probability of a tumour, float32 (n, size, size); None of a classifier.
    """

    probabilities: NDArray[np.float64]
    maps: NDArray[np.float32] | None


class Network(Protocol):
    """A network, ready to look at pictures that are fitted already."""

    @property
    def batch(self) -> int:
        """How many pictures it looks at together."""

    def __call__(self, fitted: NDArray[np.uint8]) -> Outputs:
        """Look at uint8 (n, size, size, 3)."""

    def explain(self, fitted: NDArray[np.uint8], target: int) -> NDArray[np.float32] | None:
        """Return how much each place speaks for a class, float32 (n, size, size) from 0 up; None if it cannot tell."""


class Run(Protocol):
    """A trained run, opened."""

    @property
    def name(self) -> str:
        """What it is called in messages: its folder or file."""

    @property
    def task(self) -> str:
        """What it has learnt: "classification" or "segmentation"."""

    @property
    def kind(self) -> str:
        """The kind of data that it was trained on."""

    @property
    def classes(self) -> list[str]:
        """The names of the classes that it tells apart, in the order of its outputs."""

    @property
    def size(self) -> int:
        """The side of the images that it was trained on, in pixels."""

    @property
    def crop(self) -> str | None:
        """What of a slice it was shown in training; None or "none" for all of it."""

    def digest(self) -> str:
        """Return the SHA-256 of its weights' file, hexadecimal."""

    def versions(self) -> dict[str, str]:
        """Return the versions of what computes here."""

    def network(self) -> Network:
        """Make its network."""
