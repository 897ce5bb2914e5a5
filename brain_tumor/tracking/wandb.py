"""Show a run in Weights & Biases; offline, its files wait in the run's folder for `wandb sync`."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import wandb
from lightning.pytorch.loggers import WandbLogger
from numpy.typing import NDArray

from brain_tumor.tracking.base import Tracker

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class WandbTracker(Tracker[WandbLogger]):
    """Send curves, scores, settings, pictures and tables to Weights & Biases.

    Args:
        folder: the run's; its name is the run's id there, so that a resumed run goes on in the same one.
        project: the name under which the run is shown.
        offline: only write files, into the run's folder.
    """

    def __init__(self, folder: Path, project: str = "brain_tumor", offline: bool = True) -> None:
        quiet = wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True)
        self.logger = WandbLogger(
            folder.name, project=project, id=folder.name, save_dir=folder, offline=offline, settings=quiet
        )
        # Lightning 2.6 passes an argument that W&B does not know any more, and complains about.
        self.logger._wandb_init.pop("anonymous", None)

    def add_image(self, title: str, image: NDArray[np.float32]) -> None:
        """Show an image, (3, H, W) in [0, 1]."""
        self.logger.experiment.log({title: wandb.Image(image.transpose(1, 2, 0))})

    def add_figure(self, title: str, figure: "Figure") -> None:
        """Show a figure."""
        self.logger.experiment.log({title: wandb.Image(figure)})

    def add_table(self, title: str, table: pd.DataFrame) -> None:
        """Show a table."""
        self.logger.experiment.log({title: wandb.Table(dataframe=table)})

    def close(self) -> None:
        """End the run, so that the next one of a sweep is another."""
        self.logger.experiment.finish()
