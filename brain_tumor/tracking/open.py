"""Choose the trackers of a run, and pass everything on to each of them."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from lightning.pytorch.loggers import Logger
from numpy.typing import NDArray

from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.tracking.base import Settings, Tracker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# By the name of its settings (conf/logger/): its class, in the module of that name, and the extra that it needs.
_KNOWN = {
    "tensorboard": ("TensorBoardTracker", ""),
    "csv": ("CsvTracker", ""),
    "mlflow": ("MlflowTracker", "mlflow"),
    "wandb": ("WandbTracker", "wandb"),
}
_DEFAULT: Mapping[str, Mapping[str, Any]] = {"tensorboard": {}}


def open_trackers(folder: Path, settings: Mapping[str, Mapping[str, Any]] = _DEFAULT) -> "Trackers":
    """Return the trackers of the run, or the evaluation, in a folder.

    Args:
        folder: the run's or the evaluation's.
        settings: of each tracker, by its name, as `logger` has them.

    Raises:
        ValueError: a tracker is unknown, takes no such setting, is not installed, or cannot be reached.
    """
    return Trackers([_open(name, folder, values) for name, values in settings.items()])


def _open(name: str, folder: Path, settings: Mapping[str, Any]) -> Tracker[Any]:
    if name not in _KNOWN:
        raise ValueError(f"logger={name}: choose of {', '.join(_KNOWN)}; for several, 'logger=[tensorboard,csv]'")
    class_name, extra = _KNOWN[name]
    try:
        made = getattr(import_module(f"brain_tumor.tracking.{name}"), class_name)
        tracker: Tracker[Any] = made(folder, **settings)
    except ImportError as error:
        raise ValueError(f"logger={name}: needs {name}: pip install 'brain-tumor[{extra}]'") from error
    except TypeError as error:  # another setting than it takes
        raise ValueError(f"logger.{name}: {error}") from error
    return tracker


class Trackers:
    """Several trackers of one run, or one, or none (see `Tracker`)."""

    def __init__(self, trackers: Sequence[Tracker[Any]]) -> None:
        self._trackers = trackers

    @property
    def loggers(self) -> list[Logger]:
        """The loggers that Lightning's trainer writes the curves to."""
        return [tracker.logger for tracker in self._trackers]

    def add_image(self, title: str, image: NDArray[np.float32]) -> None:
        """Show an image, (3, H, W) in [0, 1]."""
        for tracker in self._trackers:
            tracker.add_image(title, image)

    def add_figure(self, title: str, figure: "Figure") -> None:
        """Show a figure."""
        for tracker in self._trackers:
            tracker.add_figure(title, figure)

    def add_result(self, hyperparameters: Settings, scores: Mapping[str, Interval]) -> None:
        """Show a finished run's hyperparameters, and its scores with their intervals as a table."""
        table = pd.DataFrame([{"score": name, **interval} for name, interval in scores.items()])
        for tracker in self._trackers:
            tracker.add_result(hyperparameters, scores)
            tracker.add_table("scores", table)

    def close(self) -> None:
        """Write what is still in memory."""
        for tracker in self._trackers:
            tracker.close()
