"""Several trained runs that answer together, such as the five of five folds.

A slice's probability is the mean of its runs' calibrated ones, and a pixel's the mean of theirs.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brain_tumor.inference.base import Network, Outputs, Run


@dataclass(frozen=True)
class Ensemble:
    """Runs of one task, as one (see `brain_tumor.inference.base.Run`).

    Args:
        runs: two or more.

    Raises:
        ValueError: they have learnt unlike things.
    """

    runs: Sequence[Run]

    def __post_init__(self) -> None:
        """Refuse runs whose answers cannot be averaged."""
        first = self.runs[0]
        for own in self.runs[1:]:
            for name in ("task", "dataset", "classes", "positive", "sequences", "size", "crop"):
                if (mine := getattr(own, name)) != (its := getattr(first, name)):
                    raise ValueError(
                        f"{own.name}: cannot answer together with {first.name}: its {name} is {mine}, the other's {its}"
                    )

    @property
    def name(self) -> str:
        """What it is called in messages: its runs' names."""
        return ", ".join(own.name for own in self.runs)

    @property
    def task(self) -> str:
        """What its runs have learnt."""
        return self.runs[0].task

    @property
    def dataset(self) -> str:
        """The name of the data set that they were trained on."""
        return self.runs[0].dataset

    @property
    def classes(self) -> list[str]:
        """The names of the classes that they tell apart."""
        return self.runs[0].classes

    @property
    def positive(self) -> str | None:
        """The class that means a tumour."""
        return self.runs[0].positive

    @property
    def sequences(self) -> tuple[str, ...]:
        """The sequences in the three channels of their training data."""
        return self.runs[0].sequences

    @property
    def skull(self) -> bool | None:
        """Whether all the heads that they were trained on had their skulls; None where that is not known."""
        known = {own.skull for own in self.runs}
        return known.pop() if len(known) == 1 else None

    @property
    def threshold(self) -> float:
        """The mean of its runs' thresholds, as its probability is the mean of theirs."""
        return sum(own.threshold for own in self.runs) / len(self.runs)

    @property
    def threshold_origin(self) -> str:
        """Where its runs' thresholds come from."""
        return "mean of " + ", ".join(f"{own.threshold:.3f} ({own.threshold_origin})" for own in self.runs)

    @property
    def size(self) -> int:
        """The side of the images that they were trained on, in pixels."""
        return self.runs[0].size

    @property
    def crop(self) -> str | None:
        """What of a slice they were shown in training."""
        return self.runs[0].crop

    @property
    def temperatures(self) -> dict[str, float]:
        """What each run's probabilities are calibrated by."""
        return {name: own for run in self.runs for name, own in run.temperatures.items()}

    def digest(self) -> str:
        """Return the SHA-256 of its runs' own, hexadecimal."""
        return hashlib.sha256(" ".join(own.digest() for own in self.runs).encode()).hexdigest()

    def versions(self) -> dict[str, str]:
        """Return the versions of what computes here."""
        return self.runs[0].versions()

    def network(self) -> "_Mean":
        """Make the networks of all of them."""
        return _Mean([own.network() for own in self.runs])


class _Mean:
    """Networks whose answers are averaged (see `brain_tumor.inference.base.Network`)."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    @property
    def batch(self) -> int:
        """How many pictures they look at together."""
        return min(own.batch for own in self._networks)

    def __call__(self, fitted: NDArray[np.uint8]) -> Outputs:
        """Average what they say of uint8 (n, size, size, 3): calibrated probabilities of slices, and maps."""
        found = [own(fitted) for own in self._networks]
        maps = [own.maps for own in found if own.maps is not None]
        known = [own.novelty for own in found if own.novelty is not None]
        return Outputs(
            np.mean([own.probabilities for own in found], 0),
            np.mean(np.stack(maps), 0, dtype=np.float32) if maps else None,
            np.fmin.reduce(known) if known else None,  # what one of them knows is not new
        )

    def explain(self, fitted: NDArray[np.uint8], target: int) -> NDArray[np.float32] | None:
        """Average their heat maps, each scaled to at most 1; None if one cannot tell."""
        found = [own.explain(fitted, target) for own in self._networks]
        maps = [own / np.maximum(own.max((1, 2), keepdims=True), 1e-12) for own in found if own is not None]
        if len(maps) < len(found):
            return None
        mean: NDArray[np.float32] = np.mean(np.stack(maps), 0, dtype=np.float32)
        return mean
