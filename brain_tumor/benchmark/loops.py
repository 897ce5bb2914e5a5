"""The framework's training with a clock in it, and a hand-written loop with the very same settings."""

import time
from typing import Any

import lightning as L
import torch
from torch.nn import functional as F

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.models import precision as precisions
from brain_tumor.models.classifier import Classifier

WARM = 2  # first steps of a loop, which set up kernels and iterators


def now(device: torch.device) -> float:
    """Return the time in seconds when all work on the device is done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter()


class Clock(L.Callback):
    """Time the steps of an epoch after the first ones; `seconds` and `images` hold the result."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.images = 0
        self._started = 0.0

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ARG002, Lightning's signature
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Start after the warm-up, stop after the last step."""
        if batch_idx + 1 == WARM:
            self._started = now(pl_module.device)
        elif batch_idx + 1 > WARM:
            self.images += len(batch.rows)
            if batch_idx + 1 == trainer.num_training_batches:
                self.seconds = now(pl_module.device) - self._started


def framework(model: Classifier, data: SliceDataModule, settings: dict[str, Any], batches: int) -> float:
    """Train `batches` batches with the framework; return images per second, without the start.

    Args:
        model: the network.
        data: set up.
        settings: arguments of `lightning.Trainer` that the run is to have.
        batches: how many to time.
    """
    clock = Clock()
    trainer = L.Trainer(
        **settings,
        max_epochs=1,
        limit_train_batches=WARM + batches,
        limit_val_batches=0,
        callbacks=clock,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(model, data)
    return clock.images / clock.seconds


def by_hand(model: Classifier, data: SliceDataModule, precision: str, device: torch.device, batches: int) -> float:
    """Train `batches` batches as `framework` does, in a loop that knows nothing else; return images per second."""
    model.to(device).train()
    data.store.place(device)
    data.transforms.train()
    optimizer = model.configure_optimizers()
    order = torch.from_numpy(data.rows["train"])[torch.randperm(len(data.rows["train"]))]
    seen, started = 0, 0.0
    for index, there in enumerate(torch.split(order, data.batch_size)[: WARM + batches]):
        batch = data.store.batch(there, device)
        with precisions.autocast(precision, device):
            loss, _ = model.step(batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if index + 1 == WARM:
            started = now(device)
        elif index + 1 > WARM:
            seen += len(there)
    return seen / (now(device) - started)


def compute(
    model: Classifier, size: int, batch_size: int, dtype: torch.dtype, device: torch.device, steps: int
) -> float:
    """Train on one batch that lies on the device, over and over: the computation alone; return images per second.

    Args:
        model: on the device, in the memory layout to be measured.
        size: side of the images in pixels.
        batch_size: how many.
        dtype: float32, or what autocast is to compute in.
        device: to compute on.
        steps: how many to time.
    """
    layout = torch.channels_last if _is_channels_last(model) else torch.contiguous_format
    images = torch.rand(batch_size, 3, size, size, device=device).to(memory_format=layout)
    labels = torch.arange(batch_size, device=device) % 2
    optimizer = model.train().configure_optimizers()
    started = 0.0
    for step in range(WARM + steps):
        if step == WARM:
            started = now(device)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            logits = model(images)
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return steps * batch_size / (now(device) - started)


def _is_channels_last(model: Classifier) -> bool:
    weight = next(parameter for parameter in model.backbone.parameters() if parameter.ndim == 4)
    return weight.is_contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def evaluation(model: Classifier, data: SliceDataModule, precision: str, device: torch.device, batches: int) -> float:
    """Classify so many of the framework's test batches, or the whole test part; return images per second."""
    model.to(device).eval()
    data.store.place(device)
    data.transforms.eval()
    seen, started = 0, now(device)
    for rows in torch.split(torch.from_numpy(data.rows["test"]), data.eval_batch_size(device))[:batches]:
        batch = data.store.batch(rows, device)
        with precisions.autocast(precision, device):
            model(batch.inputs)
        seen += len(rows)
    return seen / (now(device) - started)


def peak(precision: str, device: torch.device) -> float:
    """Return the operations a second of a large matrix product at this precision: the hardware's practical limit."""
    dtype = precisions.MIXED.get(precision, torch.float32)
    side, times = (2048, 1) if device.type == "cpu" else (8192, 10)  # an accelerator ends a small one too soon
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    rates = []
    for _ in range(6):
        started = now(device)
        for _ in range(times):
            left @ right
        rates.append(times * 2 * side**3 / (now(device) - started))
    return max(rates)
