"""Stop a training whose validation loss does not come down any more."""

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping


class Patience(EarlyStopping):
    """Lightning's early stopping, which also ends a resumed training that had stopped before it was cut off."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop at once if the training had stopped."""
        super().on_train_start(trainer, pl_module)
        if self.stopped_epoch:
            trainer.should_stop = True


def callbacks(patience: int | None) -> list[Patience]:
    """Return a callback that stops a training; none without patience.

    Args:
        patience: epochs without a lower validation loss after which to stop.
    """
    if patience is None:
        return []
    return [Patience("val/loss", patience=patience, check_on_train_epoch_end=False)]
