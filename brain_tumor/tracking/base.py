"""The interface of a tracker, without any dashboard's library."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from lightning.pytorch.loggers import Logger
from numpy.typing import NDArray

from brain_tumor.metrics.bootstrap import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Tracker(ABC):
    """Show one run, in its folder or on a server.

    Lightning writes the curves by `logger`. The first process alone adds everything else.
    """

    @property
    @abstractmethod
    def logger(self) -> Logger:
        """The logger that Lightning's trainer writes the curves to."""

    @abstractmethod
    def add_image(self, title: str, image: NDArray[np.float32]) -> None:
        """Show an image, (3, H, W) in [0, 1]."""

    @abstractmethod
    def add_figure(self, title: str, figure: "Figure") -> None:
        """Show a figure."""

    @abstractmethod
    def add_result(
        self, hyperparameters: Mapping[str, bool | int | float | str], scores: Mapping[str, Interval]
    ) -> None:
        """Show a finished run's hyperparameters and scores.

        Args:
            hyperparameters: by name.
            scores: by name; undefined ones are left out.
        """

    @abstractmethod
    def close(self) -> None:
        """Write what is still in memory."""
