"""The interface of a tracker, without any dashboard's library."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import pandas as pd
from lightning.pytorch.loggers import Logger
from numpy.typing import NDArray

from brain_tumor.metrics.bootstrap import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Settings = Mapping[str, bool | int | float | str]
L = TypeVar("L", bound=Logger)


class Tracker(ABC, Generic[L]):
    """Show one run, in its folder or on a server.

    Lightning writes the curves by `logger`. The first process alone adds everything else. A tracker leaves out
    what it cannot take.

    Attributes:
        logger: the logger that Lightning's trainer writes the curves to.
    """

    logger: L

    def add_image(self, title: str, image: NDArray[np.float32]) -> None:
        """Show an image, (3, H, W) in [0, 1]."""

    def add_figure(self, title: str, figure: "Figure") -> None:
        """Show a figure."""

    def add_table(self, title: str, table: pd.DataFrame) -> None:
        """Show a small table."""

    def add_result(self, hyperparameters: Settings, scores: Mapping[str, Interval]) -> None:
        """Show a finished run's hyperparameters, and its defined scores as `final/<name>`.

        Args:
            hyperparameters: by name.
            scores: by name; undefined ones are left out.
        """
        self.logger.log_hyperparams(dict(hyperparameters))
        self.logger.log_metrics(final(scores))

    @abstractmethod
    def close(self) -> None:
        """Write what is still in memory."""


def final(scores: Mapping[str, Interval]) -> dict[str, float]:
    """Return the defined scores, by the names that dashboards show."""
    values = {f"final/{name}": interval["value"] for name, interval in scores.items()}
    return {name: value for name, value in values.items() if value is not None}
