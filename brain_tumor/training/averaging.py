"""Score an average of a training's last weights."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_avg_fn

_FIRST = 0.5  # share of the training after which weights are averaged: those before are far from the last


class LastWeights(WeightAveraging):
    """Keep a moving average of weights and batch norms' statistics over the second half of a training.

    Validation, checkpoints and test see the average; the training goes on with the weights themselves.

    Args:
        decay: the share of the average that a step keeps, so that about 1 / (1 - decay) steps count.

    Raises:
        ValueError: it is out of range.
    """

    def __init__(self, decay: float) -> None:
        if not isinstance(decay, float) or not 0 < decay < 1:
            raise ValueError(f"average_weights={decay}: the share that a step keeps lies between 0 and 1, such as 0.99")
        super().__init__(avg_fn=get_ema_avg_fn(decay))  # type: ignore[no-untyped-call]
        self._begin = 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Copy the model, but not the trainer and the data that it is attached to."""
        self._device = trainer.strategy.root_device  # where Lightning moves the model later
        attached, pl_module._trainer = pl_module._trainer, None
        try:
            super().setup(trainer, pl_module, stage)
        finally:
            pl_module._trainer = attached

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        """Note from which step on weights are averaged."""
        self._begin = int(_FIRST * float(trainer.estimated_stepping_batches))

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:  # noqa: ARG002
        """Return whether to average the weights after a step; until then the average is the weights themselves."""
        return step_idx is not None

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *others: Any) -> None:
        """Average the weights, or copy them before the second half."""
        if trainer.global_step <= self._begin and self._average_model is not None:
            self._average_model.n_averaged.zero_()  # the next update copies
        super().on_train_batch_end(trainer, pl_module, *others)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Go on from weights and average; a test keeps the average that it has loaded."""
        if trainer.state.fn == "fit":
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
