"""A second task, as a user would write one: how much of a slice is tumour, told by a small network of one's own."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from brain_tumor.data.batches import Batch
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.metrics import bootstrap
from brain_tumor.models.task import Task, TitledFigure


class Area(Task):
    """Predict the share of an image's pixels that are tumour."""

    kind, measure, uses_masks = "area", "closeness", True

    def __init__(self, *, num_classes: int, width: int = 8, **common: Any) -> None:
        super().__init__(**common)
        self.save_hyperparameters(ignore=["optimizer"])
        layers = [nn.Conv2d(3, width, 3), nn.ReLU(), nn.Dropout(0.1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.network = nn.Sequential(*layers, nn.Linear(width, num_classes - 1))

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        assert batch.masks is not None
        outcomes = torch.stack([self.network(batch.inputs).float()[:, 0], batch.masks.float().mean((1, 2))], 1)
        return F.mse_loss(outcomes[:, 0], outcomes[:, 1]), outcomes

    def curves(self, outcomes: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"loss": F.mse_loss(outcomes[:, 0], outcomes[:, 1]), "tumours": labels.float().mean()}

    def score(self, data: SliceDataModule) -> tuple[dict[str, Any], pd.DataFrame]:
        rows, outcomes = self.predictions
        tested = data.table.iloc[rows.numpy()][["path", "case", "slice", "label"]].assign(area=outcomes[:, 0].numpy())
        return {**_score(outcomes[:, 0], outcomes[:, 1], tested["case"]), "slices": len(rows)}, tested

    def baselines(self, data: SliceDataModule) -> dict[str, Any]:
        areas = torch.from_numpy(data.decoded.masks).float().mean((1, 2))
        mean, actual = areas[data.rows["train"]].mean(), areas[data.rows["test"]]
        return {"mean area": _score(mean.expand(len(actual)), actual, data.table.iloc[data.rows["test"]]["case"])}

    def pictures(self, data: SliceDataModule, predictions: pd.DataFrame) -> Iterator[TitledFigure]:
        figure = Figure()
        figure.add_subplot().hist(predictions["area"])
        yield TitledFigure("areas", figure, "areas.png")


def _score(predicted: Tensor, actual: Tensor, cases: Any) -> dict[str, Any]:
    error = (predicted - actual).abs().double()
    scores = bootstrap.intervals(lambda weights: {"closeness": 1 - weights @ error / weights.sum(1)}, list(cases))
    return {**scores, "resampled": bootstrap.resampled_unit(list(cases))}
