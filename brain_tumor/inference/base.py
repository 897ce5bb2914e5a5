"""The interfaces of networks that predict slices, and of the runs that they belong to."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from brain_tumor.datasets.regions import Regions
from brain_tumor.scans.fitted import Fitted


class Outputs(NamedTuple):
    """What a network predicts for n slices.

    Attributes:
        probabilities: float64 (n, classes); for a segmenter, a slice's is its surest pixel's.
        maps: every pixel's probability of a tumour, float32 (n, size, size), or those of several regions, (n, R, size,
            size); None for a classifier.
        novelty: how far each slice is from those of the training (see `brain_tumor.data.novelty`), float64 (n,), above
            1 for unlike slices, NaN if unknown; None for a network without it.
    """

    probabilities: NDArray[np.float64]
    maps: NDArray[np.float32] | None
    novelty: NDArray[np.float64] | None = None


class Network(Protocol):
    """A network that predicts slices which already have its size."""

    @property
    def batch(self) -> int:
        """The number of slices that it predicts together."""

    def __call__(self, fitted: Fitted) -> Outputs:
        """Predict slices."""

    def explain(self, fitted: Fitted, target: int) -> NDArray[np.float32] | None:
        """Return heat maps of a class, float32 (n, size, size) from 0 up; None if it cannot make any."""


class Run(Protocol):
    """A trained run, opened: its facts and its network."""

    @property
    def name(self) -> str:
        """Its name in messages: its folder or file."""

    @property
    def task(self) -> str:
        """Its task: "classification" or "segmentation"."""

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
        """The sequences in the channels of its training data; () for three unknown ones."""

    @property
    def regions(self) -> Regions:
        """The regions that a segmenter finds, and the labels that its masks are written with."""

    @property
    def scaling(self) -> str | None:
        """How its training volumes were scaled (see `volumes.grey_levels`); None for data of pictures."""

    @property
    def plane(self) -> str:
        """The plane that its training volumes were cut in, one of `volumes.PLANES`."""

    @property
    def skull(self) -> bool | None:
        """Whether the heads that it was trained on had skulls; None if unknown."""

    @property
    def threshold(self) -> float:
        """The calibrated probability of the positive class from which a slice counts as positive."""

    @property
    def threshold_origin(self) -> str:
        """Where the threshold comes from: "validation part", "default", ..."""

    @property
    def size(self) -> int:
        """The side of the images that it was trained on, in pixels."""

    @property
    def crop(self) -> str | None:
        """How its training slices were cropped; None or "none" for whole slices."""

    @property
    def intensities(self) -> str:
        """How the intensities of its training slices were scaled: "file" or "volume"."""

    @property
    def neighbours(self) -> int:
        """How many slices on each side it sees besides a slice."""

    @property
    def neighbour_mm(self) -> float | None:
        """How far apart these lie, in millimetres; None if that is unknown."""

    @property
    def components(self) -> float:
        """Which components of its masks are kept: those of at least this share of the largest one's size."""

    @property
    def temperatures(self) -> dict[str, float]:
        """The temperatures that calibrate its networks, by name; 1 for raw probabilities."""

    def digest(self) -> str:
        """Return the SHA-256 of its weights' file, hexadecimal."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the software and hardware that compute here."""

    def network(self) -> Network:
        """Make its network, whose probabilities are calibrated, and which says how new a slice is."""


@dataclass(frozen=True)
class Facts:
    """The facts of a run: the attributes of `Run`, for the classes that implement it."""

    name: str
    task: str
    dataset: str
    classes: list[str]
    positive: str | None
    sequences: tuple[str, ...]
    regions: Regions
    scaling: str | None
    plane: str
    skull: bool | None
    threshold: float
    threshold_origin: str
    size: int
    crop: str | None
    intensities: str
    neighbours: int
    neighbour_mm: float | None
    components: float
    temperatures: dict[str, float]
