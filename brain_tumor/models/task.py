"""What every task shares: steps, curves, predictions, optimizer and schedule."""

import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, NamedTuple

import lightning as L
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from brain_tumor.data.batches import Batch
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.models.weights import Weights

SCHEDULES = ("constant", "onecycle")
_BETA = 0.9  # the first of torch's Adam
OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


class Picture(NamedTuple):
    """A figure of a finished run: its title on the dashboard, and its file's name in the run's folder, if any."""

    title: str
    figure: Figure
    file: str = ""


class Task(L.LightningModule, ABC):
    """Train a network on batches of slices, score it once an epoch, and keep what a finished run is made of.

    A new task is a network, a `step`, its `curves`, its scores and its pictures.

    Args:
        optimizer: given the trainable parameters, returns the optimizer; None for a network that is not trained.
        monitored: name of the part that the validation loop runs on, for the curves: "val" or "test".
        seed: of dropout and augmentation; with the epoch it determines them, so that a resumed run repeats them.
        schedule: of the learning rate: "constant", or "onecycle", which rises to the optimizer's rate and falls to
            nearly nothing over the whole training (Smith and Topin 2019). Adam's first beta falls from .95 to .85 and
            rises again with it, unless another than torch's default is asked for; a momentum that is asked for stays.

    Attributes:
        kind: the task's name in records.
        measure: the score that its runs are compared by; higher is better.
        uses_masks: whether its batches need masks.
        predicts: whether `predict` can use it: it has `predict_outcomes`.
        weights: where the network's weights came from.
        history: an entry an epoch: its number, from 1, and the curves of each part.
        epoch_seconds: how long each took.

    Raises:
        ValueError: an optimizer that cannot work.
    """

    kind: ClassVar[str]
    measure: ClassVar[str]
    uses_masks: ClassVar[bool] = False
    predicts: ClassVar[bool] = False

    def __init__(
        self,
        *,
        optimizer: OptimizerFactory | None = None,
        monitored: str = "val",
        seed: int = 0,
        schedule: str = "constant",
    ) -> None:
        super().__init__()
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule={schedule}: choose one of {', '.join(SCHEDULES)}")
        self.schedule = schedule
        self._make_optimizer = optimizer
        self._optimizer_settings = _try_out(optimizer, schedule) if optimizer else {}
        self.monitored = monitored
        self.seed = seed
        self.weights = Weights()
        # What the running epoch has put out: rows, outcomes and labels of each batch, by part.
        self._outputs: defaultdict[str, list[tuple[Tensor, Tensor, Tensor]]] = defaultdict(list)
        self._predictions: tuple[Tensor, Tensor] | None = None
        self._scores: dict[str, dict[str, float]] = {}
        self._epoch_started = 0.0
        self._tested_epoch: int | None = None
        self.history: list[dict[str, Any]] = []
        self.epoch_seconds: list[float] = []

    @abstractmethod
    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return a batch's mean loss, and of each slice what is scored: float32 (B, ...)."""

    @abstractmethod
    def curves(self, outcomes: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Turn a part's outcomes (n, ...) and labels int64 (n,) into the points of its curves, "loss" among them."""

    @abstractmethod
    def score(self, data: SliceDataModule) -> tuple[dict[str, Any], pd.DataFrame]:
        """Score `predictions`: the record's numbers, each with its interval, and the table for predictions.csv."""

    def probabilities(self, outcomes: Tensor) -> Tensor | None:  # noqa: ARG002, for tasks that tell classes apart
        """Turn tested outcomes (n, ...) into the slices' probabilities float64 (n, C); None where there are none."""
        return None

    def predict_outcomes(self, outputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Turn what `forward` returned, float32, into what `predict` gives of n slices.

        Returns:
            Probabilities float64 (n, C), and every pixel's probability of a tumour, float32 (n, H, W); None without.
        """
        raise NotImplementedError(f"{self.kind} does not predict")

    @abstractmethod
    def baselines(self, data: SliceDataModule) -> dict[str, Any]:
        """Score image-free baselines on the same split, in the same way."""

    @abstractmethod
    def pictures(self, data: SliceDataModule, predictions: pd.DataFrame) -> Iterator[Picture]:
        """Draw what the table that `score` returned holds."""

    @property
    def frozen_part(self) -> nn.Module | None:
        """The part that sees the images first and never changes, None for none.

        Its output can be kept; a batch whose `cached` is set holds that instead of images.
        """
        return None

    @property
    def hyperparameters(self) -> dict[str, bool | int | float | str]:
        """What the record and the dashboard say of the network and how it is trained."""
        return {
            "task": self.kind, "weights": self.weights.source, "schedule": self.schedule, **self._optimizer_settings
        }  # fmt: skip

    def compile_network(self, mode: str | None) -> None:
        """Compile what is worth it.

        Args:
            mode: of `torch.compile`.

        Raises:
            ValueError: this task cannot.
        """
        raise ValueError(f"trainer.compile={mode or 'true'}: {type(self).__name__} cannot be compiled; leave it out")

    def make_optimizer(self) -> Optimizer:
        """Build the optimizer over the parameters that are trained."""
        assert self._make_optimizer is not None, "opened for scoring, not for training"
        return self._make_optimizer([parameter for parameter in self.parameters() if parameter.requires_grad])

    def configure_optimizers(self) -> Any:
        """Build the optimizer and the schedule of its learning rate, as Lightning wants them."""
        optimizer = self.make_optimizer()
        if self.schedule == "constant":
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = OneCycleLR(
            optimizer, optimizer.defaults["lr"], total_steps=steps, cycle_momentum=_cycles_momentum(optimizer)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """Make the epoch's random numbers a function of seed, epoch and process alone."""
        self._epoch_started = time.perf_counter()
        self._outputs.clear()
        # Processes that train together differ in their share of the data, and in their random numbers.
        entropy = [self.seed, self.current_epoch] + [self.global_rank] * (self.global_rank > 0)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

    def training_step(self, batch: Batch) -> Tensor:
        """Return the batch's loss."""
        return self._keep(batch, "train")

    def validation_step(self, batch: Batch) -> None:
        """Score a batch of the monitored part."""
        self._keep(batch, self.monitored)

    def test_step(self, batch: Batch) -> None:
        """Score a batch of the test part."""
        self._keep(batch, "test")

    def _keep(self, batch: Batch, part: str) -> Tensor:
        loss, outcomes = self.step(batch)
        self._outputs[part].append((batch.rows, outcomes.detach(), batch.labels))
        return loss

    def _collect(self, part: str) -> Iterator[Tensor]:
        """Yield the rows, outcomes and labels of the epoch's batches of a part."""
        return (torch.cat(tensors) for tensors in zip(*self._outputs.pop(part), strict=True))

    def _score_part(self, part: str) -> None:
        """Log the part's curves at the end of the epoch.

        Scoring once an epoch instead of once a batch keeps the framework's share of a step small.
        """
        _, outcomes, labels = self._collect(part)
        points = {
            name: self.trainer.strategy.reduce(value, reduce_op="mean")
            for name, value in self.curves(outcomes, labels).items()
        }
        self._scores[part] = {name: float(value) for name, value in points.items()}
        self.log_dict({f"{part}/{name}": value for name, value in points.items()}, prog_bar=True, sync_dist=True)
        # The dashboard's horizontal axis counts epochs, so that runs of any batch size can be compared.
        self.log("step", float(self.current_epoch + 1))

    def on_train_epoch_end(self) -> None:
        """Score the epoch and add it to `history`."""
        self._score_part("train")
        # Not every epoch need be validated.
        parts = [part for part in ("train", self.monitored) if part in self._scores]
        self.history.append({"epoch": self.current_epoch + 1, **{part: self._scores.pop(part) for part in parts}})
        self.epoch_seconds.append(time.perf_counter() - self._epoch_started)

    def on_validation_epoch_end(self) -> None:
        """Score the monitored part."""
        self._score_part(self.monitored)

    def on_test_epoch_end(self) -> None:
        """Gather the part's rows, ascending and each once, and their outcomes from all processes."""
        rows, outcomes, _ = self._collect("test")
        if self.trainer.world_size > 1:
            rows, outcomes = self.all_gather((rows, outcomes))
            rows, outcomes = rows.flatten(), outcomes.flatten(0, 1)
        order = torch.argsort(rows, stable=True)
        rows, outcomes = rows[order].cpu(), outcomes[order].cpu()
        # Several processes are padded to equal length with rows that stand twice.
        first = torch.cat([torch.ones(1, dtype=torch.bool), rows[1:] != rows[:-1]])
        self._predictions = rows[first], outcomes[first]

    @property
    def predictions(self) -> tuple[Tensor, Tensor]:
        """What the last test gave: rows int64 (n,), ascending, and outcomes float32 (n, ...), on the CPU."""
        assert self._predictions is not None, "test first"
        return self._predictions

    @property
    def without_numbers(self) -> int:
        """For how many slices the last test gave no numbers (NaN), as a network does that has diverged."""
        _, outcomes = self.predictions
        return int((~outcomes.isfinite().reshape(len(outcomes), -1).all(1)).sum()) if len(outcomes) else 0

    @property
    def tested_epoch(self) -> int:
        """The epoch, from 1, whose weights the last test scored."""
        return self._tested_epoch or len(self.history)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the curves with the weights, so that a resumed run has them whole."""
        checkpoint["history"] = self.history
        checkpoint["epoch_seconds"] = self.epoch_seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the curves, but for a test: the best epoch's weights come without the curves of later epochs."""
        if self.trainer.state.fn == "fit":
            self.history = checkpoint["history"]
            self.epoch_seconds = checkpoint["epoch_seconds"]
        else:
            self._tested_epoch = checkpoint["epoch"] + 1


def _try_out(make_optimizer: OptimizerFactory, schedule: str) -> dict[str, bool | int | float | str]:
    """Return an optimizer's settings; refuse before any work starts what it would refuse, and a rate of 0 or less."""
    try:
        trial = make_optimizer([nn.Parameter(torch.zeros(1))])
    except TypeError as error:
        raise ValueError(f"optimizer: {error}") from error
    if trial.defaults["lr"] <= 0:
        raise ValueError(f"optimizer.lr={trial.defaults['lr']}: must be above 0")
    known = {name: trial.defaults.get(name, 0.0) for name in ("lr", "momentum", "weight_decay")}
    momentum = trial.defaults.get("betas", [known["momentum"]])[0]
    used = "0.95 to 0.85" if schedule == "onecycle" and _cycles_momentum(trial) else f"{momentum:g}"
    return {"optimizer": type(trial).__name__, **known, "momentum_used": used}


def _cycles_momentum(optimizer: Optimizer) -> bool:
    """Return whether one cycle moves Adam's first beta: only where nobody has asked for one."""
    return bool(optimizer.defaults.get("betas", [None])[0] == _BETA)
