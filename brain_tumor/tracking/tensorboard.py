"""Show a run in TensorBoard, with an event file in its folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.tracking.base import Settings, Tracker, final

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class TensorBoardTracker(Tracker[TensorBoardLogger]):
    """Write curves, pictures and a row in HParams into a folder's event file.

    Args:
        folder: the run's or the evaluation's; the file is made when something is added.
    """

    def __init__(self, folder: Path) -> None:
        self.logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)

    @property
    def _writer(self) -> SummaryWriter:
        writer: SummaryWriter = self.logger.experiment
        return writer

    def add_image(self, title: str, image: NDArray[np.float32]) -> None:
        """Show an image, (3, H, W) in [0, 1]."""
        self._writer.add_image(title, image)

    def add_figure(self, title: str, figure: "Figure") -> None:
        """Show a figure."""
        self._writer.add_figure(title, figure)

    def add_table(self, title: str, table: pd.DataFrame) -> None:
        """Show a table as text, in Markdown."""
        lines = [list(map(str, table)), ["---"] * len(table.columns), *table.fillna("").astype(str).to_numpy().tolist()]
        self._writer.add_text(title, "\n".join(map(_line, lines)))

    def add_result(self, hyperparameters: Settings, scores: Mapping[str, Interval]) -> None:
        """Give a run its row in HParams: its settings, and every defined score as `final/<name>`.

        SummaryWriter.add_hparams also writes a list of columns, and TensorBoard uses the first run's list for all runs.
        Without a list it shows the columns of all runs, so that runs of different tasks can be compared.
        """
        for name, value in final(scores).items():
            self._writer.add_scalar(name, value, 0)
        _, start, end = hparams(dict(hyperparameters), {})  # type: ignore[no-untyped-call]
        files = self._writer.file_writer
        assert files is not None, "a closed writer is opened again by add_scalar"
        files.add_summary(start)
        files.add_summary(end)

    def close(self) -> None:
        """Write what is still in memory."""
        self._writer.close()


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
