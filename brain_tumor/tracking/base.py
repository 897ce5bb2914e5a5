"""What shows a run while it trains and after: the interface, with nothing in it of any dashboard's library."""

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

    Lightning writes the curves by `logger`; everything else is added here, by the first process alone.
    """

    @property
    @abstractmethod
    def logger(self) -> Logger:
        """What Lightning's trainer writes the curves to."""

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
        """Show what a finished run was trained with and how well it does.

        Args:
            hyperparameters: by name.
            scores: by name; those without a value are left out.
        """

    @abstractmethod
    def close(self) -> None:
        """Write what is still in memory."""
