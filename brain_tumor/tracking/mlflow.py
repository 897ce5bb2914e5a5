"""Show a run in MLflow, in a local folder or on a server."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
from lightning.pytorch.loggers import MLFlowLogger
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray

from brain_tumor.io import walk
from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.tracking.base import Settings, Tracker, final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ID = "mlflow.txt"  # in the run's folder: the id that MLflow gave it


class _Logger(MLFlowLogger):
    """Lightning's, which does not log the model's arguments: MLflow refuses to replace them by the run's settings."""

    def log_hyperparams(self, params: Any) -> None:
        """Log nothing."""


class MlflowTracker(Tracker[MLFlowLogger]):
    """Send curves, scores, settings, pictures and tables to MLflow, as one run of it.

    Args:
        folder: the run's; a run that is resumed goes on with the same run of MLflow, whose id is kept there.
        uri: of a server, such as http://127.0.0.1:5000, or a path of a folder; None for mlflow beside the run's folder.
        experiment: the name under which MLflow shows the run.

    Raises:
        ValueError: MLflow cannot be reached, or has lost the run.
    """

    def __init__(self, folder: Path, uri: str | None = None, experiment: str = "brain_tumor") -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # else an absent server is waited for for minutes
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        artifacts = None
        if uri is None or "://" not in uri:
            home = (Path(uri).expanduser() if uri else folder.parent / "mlflow").resolve()
            walk.make_results_folder(home)
            uri, artifacts = f"sqlite:///{home}/mlflow.db", (home / "artifacts").as_uri()
        known = folder / _ID
        self.logger = _Logger(
            experiment,
            folder.name,
            uri,
            artifact_location=artifacts,
            run_id=known.read_text().strip() if known.exists() else None,
        )
        try:
            identity = self.logger.run_id  # made, or looked up; None on other processes than the first
        except MlflowException as error:
            raise ValueError(f"logger.mlflow.uri={uri}: {str(error).splitlines()[0]}") from error
        if identity and not known.exists():
            known.write_text(identity)

    @property
    def _client(self) -> mlflow.MlflowClient:
        client: mlflow.MlflowClient = self.logger.experiment
        return client

    @property
    def _run(self) -> str:
        assert self.logger.run_id is not None, "the first process adds"
        return self.logger.run_id

    def add_image(self, title: str, image: NDArray[np.float32]) -> None:
        """Keep an image as an artifact."""
        self._client.log_image(self._run, (255 * image.transpose(1, 2, 0)).astype(np.uint8), f"{title}.png")

    def add_figure(self, title: str, figure: "Figure") -> None:
        """Keep a figure as an artifact."""
        self._client.log_figure(self._run, figure, f"{title}.png")

    def add_table(self, title: str, table: pd.DataFrame) -> None:
        """Keep a table as an artifact, a CSV file."""
        self._client.log_text(self._run, table.to_csv(index=False), f"{title}.csv")

    def add_result(self, hyperparameters: Settings, scores: Mapping[str, Interval]) -> None:
        """Show a finished run's hyperparameters and scores."""
        MLFlowLogger.log_hyperparams(self.logger, dict(hyperparameters))
        self.logger.log_metrics(final(scores))

    def close(self) -> None:
        """Mark the run as finished."""
        self.logger.finalize("success")
