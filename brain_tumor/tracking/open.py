"""Choose the tracker of a run."""

from pathlib import Path

from brain_tumor.tracking.base import Tracker
from brain_tumor.tracking.tensorboard import TensorBoardTracker


def open_tracker(folder: Path) -> Tracker:
    """Return the tracker of the run, or the evaluation, in a folder."""
    return TensorBoardTracker(folder)
