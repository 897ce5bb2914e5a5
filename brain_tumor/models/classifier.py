"""The LightningModule: a ResNet backbone, frozen or fine-tuned, and the paper's head."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torchmetrics.functional.classification import multiclass_accuracy

from brain_tumor.data.batches import Batch
from brain_tumor.models import backbone as backbones

STRATEGIES = ("finetune", "freeze")


class Classifier(L.LightningModule):
    """Classify images (B, 3, H, W) into logits (B, num_classes).

    The head is the paper's Linear-ReLU-Dropout-Linear-Dropout-Linear (section VI); its sizes, which the paper does
    not give, are those of the authors' published code.

    Args:
        backbone: a torchvision ResNet's name.
        strategy: "finetune" trains everything (the paper's strategy 2), "freeze" the head alone (strategy 1): the
            backbone gets no gradient, its batch norms keep their statistics, and the optimizer never sees it.
        weights: see `brain_tumor.models.backbone.build`.
        hidden: widths of the head's two hidden layers.
        dropout: probability of both dropout layers.
        num_classes: number of logits.
        optimizer: given the trainable parameters, returns the optimizer.
        monitored: name of the part that the validation loop runs on, for the curves: "val" or "test".
        seed: of dropout and augmentation; with the epoch it determines them, so that a resumed run repeats them.

    Raises:
        ValueError: a value out of range, or weights that do not fit.
    """

    def __init__(
        self,
        *,
        backbone: str,
        strategy: str,
        weights: str,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        num_classes: int,
        hidden: Sequence[int] = (512, 256),
        dropout: float = 0.3,
        monitored: str = "val",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if strategy not in STRATEGIES:
            raise ValueError(f"model.strategy={strategy}: choose one of {', '.join(STRATEGIES)}")
        if not 0 <= dropout < 1:
            raise ValueError(f"model.dropout={dropout}: must be at least 0 and below 1")
        if len(hidden) != 2 or min(hidden) < 1:
            raise ValueError(f"model.hidden={list(hidden)}: give two positive widths")
        self.save_hyperparameters(ignore=["optimizer"])
        self.make_optimizer = optimizer
        self._require_working_optimizer()
        self.backbone, width, self.weights = backbones.build(backbone, weights)
        self.head = nn.Sequential(
            nn.Linear(width, hidden[0]),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden[0], hidden[1]),
            nn.Dropout(dropout),
            nn.Linear(hidden[1], num_classes),
        )
        self.frozen = strategy == "freeze"
        self.backbone.requires_grad_(not self.frozen)
        self.monitored = monitored
        self.seed = seed
        self.num_classes = num_classes
        # What the running epoch has put out: rows, logits and labels of each batch, by part.
        self._outputs: defaultdict[str, list[tuple[Tensor, Tensor, Tensor]]] = defaultdict(list)
        self._predictions: tuple[Tensor, Tensor] | None = None
        self._scores: dict[str, dict[str, float]] = {}
        self._epoch_started = 0.0
        self.history: list[dict[str, Any]] = []
        self.epoch_seconds: list[float] = []
        self.train()  # modules are born in training mode, a frozen backbone must not be

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, num_classes) for float images (B, 3, H, W)."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """Return the backbone's output (B, D) for float images (B, 3, H, W)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features: Tensor = self.backbone(images)
        return features

    def train(self, mode: bool = True) -> "Classifier":
        """Switch to training, except for a frozen backbone: its batch norms keep their statistics."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def configure_optimizers(self) -> Optimizer:
        """Build the optimizer over the parameters that are trained."""
        return self.make_optimizer([parameter for parameter in self.parameters() if parameter.requires_grad])

    def on_train_epoch_start(self) -> None:
        """Make the epoch's random numbers a function of seed, epoch and process alone."""
        self._epoch_started = time.perf_counter()
        self._outputs.clear()
        # Processes that train together differ in their share of the data, and in their random numbers.
        entropy = [self.seed, self.current_epoch] + [self.global_rank] * (self.global_rank > 0)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

    def training_step(self, batch: Batch) -> Tensor:
        """Return the batch's mean cross-entropy."""
        return self._step(batch, "train")

    def validation_step(self, batch: Batch) -> None:
        """Score a batch of the monitored part."""
        self._step(batch, self.monitored)

    def test_step(self, batch: Batch) -> None:
        """Score a batch of the test part."""
        self._step(batch, "test")

    def _step(self, batch: Batch, part: str) -> Tensor:
        logits = self.head(batch.inputs) if batch.inputs.ndim == 2 else self(batch.inputs)
        # Cross-entropy in float32 whatever the precision of the layers before it.
        logits = logits.float()
        self._outputs[part].append((batch.rows, logits.detach(), batch.labels))
        return F.cross_entropy(logits, batch.labels)

    def _score(self, part: str) -> tuple[Tensor, Tensor]:
        """Log the part's mean loss and accuracy over the epoch; return its rows and logits.

        Scoring once an epoch instead of once a batch keeps the framework's share of a step small.
        """
        rows, logits, labels = (torch.cat(tensors) for tensors in zip(*self._outputs.pop(part), strict=True))
        metrics = {
            "loss": F.cross_entropy(logits, labels),
            "accuracy": multiclass_accuracy(logits, labels, self.num_classes, average="micro", validate_args=False),
        }
        metrics = {name: self.trainer.strategy.reduce(value, reduce_op="mean") for name, value in metrics.items()}
        self._scores[part] = {name: float(value) for name, value in metrics.items()}
        if self.trainer.state.fn == "fit":  # the final test is no point of the curve
            self.log_dict({f"{part}/{name}": value for name, value in metrics.items()}, prog_bar=True, sync_dist=True)
            # TensorBoard's horizontal axis counts epochs, so that runs of any batch size can be compared.
            self.log("step", float(self.current_epoch + 1))
        return rows, logits

    def on_train_epoch_end(self) -> None:
        """Score the epoch and add it to `history`."""
        self._score("train")
        # Not every epoch need be validated.
        parts = [part for part in ("train", self.monitored) if part in self._scores]
        self.history.append({"epoch": self.current_epoch + 1, **{part: self._scores.pop(part) for part in parts}})
        self.epoch_seconds.append(time.perf_counter() - self._epoch_started)

    def on_validation_epoch_end(self) -> None:
        """Score the monitored part."""
        self._score(self.monitored)

    def on_test_epoch_end(self) -> None:
        """Gather the part's rows, ascending and each once, and their logits from all processes."""
        rows, logits = self._score("test")
        if self.trainer.world_size > 1:
            rows, logits = self.all_gather((rows, logits))
            rows, logits = rows.flatten(), logits.flatten(0, 1)
        order = torch.argsort(rows, stable=True)
        rows, logits = rows[order].cpu(), logits[order].cpu()
        # Several processes are padded to equal length with rows that stand twice.
        first = torch.cat([torch.ones(1, dtype=torch.bool), rows[1:] != rows[:-1]])
        self._predictions = rows[first], logits[first]

    @property
    def predictions(self) -> tuple[Tensor, Tensor]:
        """What the last test gave: rows int64 (n,), ascending, and logits float32 (n, num_classes), on the CPU."""
        assert self._predictions is not None, "test first"
        return self._predictions

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the curves with the weights, so that a resumed run has them whole."""
        checkpoint["history"] = self.history
        checkpoint["epoch_seconds"] = self.epoch_seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the curves, but for a test: the best epoch's weights come without the curves of later epochs."""
        if self.trainer.state.fn != "fit":
            return
        self.history = checkpoint["history"]
        self.epoch_seconds = checkpoint["epoch_seconds"]

    def _require_working_optimizer(self) -> None:
        """Refuse a learning rate of 0 or less, and what the optimizer itself refuses, before any work starts."""
        try:
            trial = self.make_optimizer([nn.Parameter(torch.zeros(1))])
        except TypeError as error:
            raise ValueError(f"optimizer: {error}") from error
        if trial.defaults["lr"] <= 0:
            raise ValueError(f"optimizer.lr={trial.defaults['lr']}: must be above 0")
