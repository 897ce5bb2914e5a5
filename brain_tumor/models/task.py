"""Train, test and describe any task: steps, curves, predictions, optimizer and schedule."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import lightning as L
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from brain_tumor.data.batches import Batch
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.models import optimizers, outputs
from brain_tumor.models.optimizers import OptimizerFactory
from brain_tumor.models.outputs import TitledFigure as TitledFigure
from brain_tumor.models.weights import WeightsOrigin


class Task(L.LightningModule, ABC):
    """Train a network on batches of slices, score it once per epoch, and collect the results of a finished run.

    A new task defines a network, a `step`, its `curves`, its scores and its pictures.

    Args:
        optimizer: given the trainable parameters, returns the optimizer; None for a network that is not trained.
        monitored: the part that the validation loop runs on, "val" or "test".
        seed: of dropout and augmentation, together with the epoch's number, so that a resumed run repeats them.
        schedule: of the learning rate: "constant", or "onecycle", which rises to the optimizer's rate and falls to
            nearly nothing over the whole training (Smith and Topin 2019). With "onecycle", Adam's first beta falls from
            .95 to .85 and rises again, unless the optimizer sets another beta than torch's default. The momentum of
            other optimizers stays as it is set.

    Attributes:
        kind: the task's name in records.
        measure: the score that its runs are compared by; higher is better.
        uses_masks: whether its batches need masks.
        mirror: whether tests and predictions average over a slice and its mirror image.
        predicts: whether `predict` can use it, because it defines `predict_outcomes`.
        weights: where the network's weights came from.
        history: one entry per epoch: its number, from 1, and the curves of each part.
        epoch_seconds: how long each epoch took.

    Raises:
        ValueError: the schedule is unknown, or the optimizer cannot work.
    """

    kind: ClassVar[str]
    measure: ClassVar[str]
    uses_masks: ClassVar[bool] = False
    predicts: ClassVar[bool] = False
    mirror: bool = False

    def __init__(
        self,
        *,
        optimizer: OptimizerFactory | None = None,
        monitored: str = "val",
        seed: int = 0,
        schedule: str = "constant",
    ) -> None:
        super().__init__()
        self.schedule = schedule
        self._make_optimizer = optimizer
        self._optimizer_settings = optimizers.settings(optimizer, schedule)
        self.monitored = monitored
        self.seed = seed
        self.weights = WeightsOrigin()
        self._outputs = outputs.Outputs()  # of the running epoch
        self._points: dict[str, dict[str, float]] = {}  # of the curves at the running epoch, by part
        self._predictions: tuple[Tensor, Tensor] | None = None
        self._epoch_started = 0.0
        self._tested_epoch: int | None = None
        self.history: list[dict[str, Any]] = []
        self.epoch_seconds: list[float] = []

    @abstractmethod
    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return a batch's mean loss, and the outcome of each slice, from which it is scored: float32 (B, ...)."""

    @abstractmethod
    def curves(self, outcomes: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return a part's points of the curves, among them "loss", from outcomes (n, ...) and labels int64 (n,)."""

    @abstractmethod
    def score(self, data: SliceDataModule) -> tuple[dict[str, Any], pd.DataFrame]:
        """Score `predictions`: return the record's scores, with intervals, and the table for predictions.csv."""

    def infer(self, inputs: Tensor) -> Tensor:
        """Return the output of `forward` for tests and predictions, with `mirror` its mean over mirror images."""
        outputs: Tensor = self(inputs)
        if not self.mirror:
            return outputs
        return (outputs.float() + self.mirrored(self(inputs.flip(-1))).float()) / 2

    def mirrored(self, outputs: Tensor) -> Tensor:
        """Mirror an output of `forward`, where it is a picture."""
        return outputs

    def probabilities(self, outcomes: Tensor) -> Tensor | None:  # noqa: ARG002, for tasks that tell classes apart
        """Return the slices' probabilities float64 (n, C) from outcomes (n, ...); None for a task without classes."""
        return None

    def predict_outcomes(self, outputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the probabilities of n slices, float64 (n, C), from what `infer` gives for them, float32.

        With them come the pixels' probabilities of a tumour, float32 (n, H, W); None for a task without masks.

        Raises:
            NotImplementedError: the task does not predict.
        """
        raise NotImplementedError(f"{self.kind} does not predict")

    @abstractmethod
    def baselines(self, data: SliceDataModule) -> dict[str, Any]:
        """Score image-free baselines on the same split, in the same way."""

    @abstractmethod
    def pictures(self, data: SliceDataModule, predictions: pd.DataFrame) -> Iterator[TitledFigure]:
        """Draw figures of the table that `score` returned."""

    @property
    def frozen_part(self) -> nn.Module | None:
        """The first part of the network, if it never changes; None if all parts are trained.

        Its output can be cached; a batch whose `cached` is set holds that output instead of images.
        """
        return None

    @property
    def hyperparameters(self) -> dict[str, bool | int | float | str]:
        """The settings of network and training that the record and the dashboard show."""
        settings = {"task": self.kind, "weights": self.weights.source, "schedule": self.schedule}
        return {**settings, **self._optimizer_settings}

    def compile_network(self, mode: str | None) -> None:
        """Compile the part of the network that runs in every step.

        Args:
            mode: of `torch.compile`.

        Raises:
            ValueError: this task cannot be compiled.
        """
        raise ValueError(f"trainer.compile={mode or 'true'}: {type(self).__name__} cannot be compiled; leave it out")

    def make_optimizer(self) -> Optimizer:
        """Build the optimizer of the parameters that are trained."""
        assert self._make_optimizer is not None, "opened for scoring, not for training"
        return self._make_optimizer([parameter for parameter in self.parameters() if parameter.requires_grad])

    def use_rate(self, lr: float) -> None:
        """Train with another learning rate than the optimizer's."""
        make: Any = self._make_optimizer  # a partial class, as the configuration gives it
        self._make_optimizer = partial(make, lr=lr)
        self._optimizer_settings = optimizers.settings(self._make_optimizer, self.schedule)

    def configure_optimizers(self) -> Any:
        """Build the optimizer and the schedule of its learning rate, in Lightning's form."""
        optimizer = self.make_optimizer()
        if self.schedule == "constant":
            return optimizer
        scheduler = optimizers.one_cycle(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """Make the epoch's random numbers a function of seed, epoch and process alone."""
        self._epoch_started = time.perf_counter()
        self._outputs.clear()
        # Processes that train together have different shares of the data, and draw different random numbers.
        entropy = [self.seed, self.current_epoch] + [self.global_rank] * (self.global_rank > 0)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

    def training_step(self, batch: Batch) -> Tensor:
        """Return the batch's loss."""
        return self._store_step(batch, "train")

    def validation_step(self, batch: Batch) -> None:
        """Store the outcomes of a batch of the monitored part."""
        self._store_step(batch, self.monitored)

    def test_step(self, batch: Batch) -> None:
        """Store the outcomes of a batch of the test part."""
        self._store_step(batch, "test")

    def _store_step(self, batch: Batch, part: str) -> Tensor:
        loss, outcomes = self.step(batch)
        self._outputs.add(part, batch, outcomes)
        return loss

    def _score_part(self, part: str) -> None:
        """Compute and log a part's points of the curves at the end of the epoch.

        Scoring once per epoch, not once per batch, keeps the framework's share of a step small.
        """
        _, outcomes, labels = self._outputs.take(part)
        points = {
            name: self.trainer.strategy.reduce(value, reduce_op="mean")
            for name, value in self.curves(outcomes, labels).items()
        }
        self._points[part] = {name: float(value) for name, value in points.items()}
        self.log_dict({f"{part}/{name}": value for name, value in points.items()}, prog_bar=True, sync_dist=True)
        # The dashboard's horizontal axis counts epochs, so that runs of any batch size can be compared.
        self.log("step", float(self.current_epoch + 1))

    def on_train_epoch_end(self) -> None:
        """Score the epoch and add it to `history`."""
        self._score_part("train")
        # An epoch may have had no validation.
        points = {part: self._points.pop(part) for part in ("train", self.monitored) if part in self._points}
        self.history.append({"epoch": self.current_epoch + 1, **points})
        self.epoch_seconds.append(time.perf_counter() - self._epoch_started)

    def on_validation_epoch_end(self) -> None:
        """Score the monitored part."""
        self._score_part(self.monitored)

    def on_test_epoch_end(self) -> None:
        """Gather the tested rows, ascending and each once, and their outcomes from all processes."""
        rows, outcomes, _ = self._outputs.take("test")
        if self.trainer.world_size > 1:
            rows, outcomes = self.all_gather((rows, outcomes))
            rows, outcomes = rows.flatten(), outcomes.flatten(0, 1)
        # Several processes get equally many rows, so some rows come twice.
        self._predictions = outputs.in_order(rows, outcomes)

    @property
    def predictions(self) -> tuple[Tensor, Tensor]:
        """The last test's rows int64 (n,), ascending, and outcomes float32 (n, ...), on the CPU."""
        assert self._predictions is not None, "test first"
        return self._predictions

    @property
    def without_numbers(self) -> int:
        """The number of slices whose outcomes in the last test are not finite, as after a diverged training."""
        return outputs.count_not_finite(self.predictions[1])

    @property
    def tested_epoch(self) -> int:
        """The epoch, from 1, whose weights the last test scored."""
        return self._tested_epoch or len(self.history)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the curves with the weights, so that a resumed run has all of them."""
        checkpoint["history"] = self.history
        checkpoint["epoch_seconds"] = self.epoch_seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the curves to resume a fit; a test keeps them, since its checkpoint lacks those of later epochs."""
        if self.trainer.state.fn == "fit":
            self.history = checkpoint["history"]
            self.epoch_seconds = checkpoint["epoch_seconds"]
        else:
            self._tested_epoch = checkpoint["epoch"] + 1
