"""Choose what shows a run."""

from pathlib import Path

from brain_tumor.tracking.base import Tracker
from brain_tumor.tracking.tensorboard import TensorBoardTracker


def open_tracker(folder: Path) -> Tracker:
    """Return what shows the run, or the evaluation, in a folder."""
    return TensorBoardTracker(folder)
