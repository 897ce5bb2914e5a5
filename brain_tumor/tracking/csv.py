"""Write a run's curves and scores into metrics.csv in its folder, and its settings into hparams.yaml."""

import csv
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger

from brain_tumor.tracking.base import Tracker


class CsvTracker(Tracker[CSVLogger]):
    """Write curves and scores as a table, one line per epoch and part; it takes no pictures.

    Args:
        folder: the run's; the lines that an earlier start of the run has left are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.logger = CSVLogger(folder, name="", version="")
        path = folder / "metrics.csv"
        if path.exists():  # Lightning would remove it
            with path.open(newline="") as file:
                lines = [{name: float(value) for name, value in line.items() if value} for line in csv.DictReader(file)]
            self.logger.experiment.metrics = [{**line, "step": int(line["step"])} for line in lines]

    def close(self) -> None:
        """Write what is still in memory."""
        self.logger.save()
