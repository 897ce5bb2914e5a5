"""Time the framework's training and test, a hand-written loop with the same settings, and the device."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import lightning as L
import torch
from torch.utils.flop_counter import FlopCounterMode

from brain_tumor.benchmark.bench import Bench
from brain_tumor.data.batches import Batch
from brain_tumor.models import precision as precisions
from brain_tumor.models.classifier import Classifier
from brain_tumor.models.task import Task

WARM = 2  # first steps of a loop, not timed, since they set up kernels and iterators


def now(device: torch.device) -> float:
    """Wait until all work on the device is done, and return the time in seconds."""
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


def framework(bench: Bench, model: Classifier, batches: int) -> float:
    """Train with the framework, and return images per second over `batches` batches after the first ones."""
    clock = Clock()
    trainer = L.Trainer(
        **bench.trainer,
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
    trainer.fit(model, bench.data)
    return clock.images / clock.seconds


def by_hand(bench: Bench, model: Task, batches: int) -> float:
    """Train like `framework` in a bare hand-written loop, and return images per second over the same batches."""
    data, device = bench.data, bench.device
    model.to(device).train()
    data.store.place(device)
    data.transforms.train()
    order = torch.from_numpy(data.rows["train"])[torch.randperm(len(data.rows["train"]))]
    drawn = torch.split(order, data.batch_size)[: WARM + batches]
    return steps(model, (data.store.batch(rows, device) for rows in drawn), bench.precision, device)


def steps(model: Task, batches: Iterable[Batch], precision: str, device: torch.device) -> float:
    """Train a model on batches, and return images per second after the first steps.

    Args:
        model: on the device and in training mode.
        batches: more than `WARM` batches on the device.
        precision: Lightning's name of the precision.
        device: the device.
    """
    optimizer = model.configure_optimizers()
    count, started = 0, 0.0
    for index, batch in enumerate(batches):
        with precisions.autocast(precision, device):
            loss, _ = model.step(batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if index + 1 == WARM:
            started = now(device)
        elif index + 1 > WARM:
            count += len(batch.labels)
    return count / (now(device) - started)


@torch.inference_mode()
def test(bench: Bench, model: Classifier) -> int:
    """Classify the framework's first test batches, and return the number of images."""
    data, device = bench.data, bench.device
    model.to(device).eval()
    data.store.place(device)
    data.transforms.eval()
    count = 0
    for rows in torch.split(torch.from_numpy(data.rows["test"]), data.eval_batch_size(device))[: bench.batches]:
        batch = data.store.batch(rows, device)
        with precisions.autocast(bench.precision, device):
            model(batch.inputs)
        count += len(rows)
    return count


def rate(work: Callable[[], int], device: torch.device) -> float:
    """Time a function that returns its number of images, and return images per second."""
    started = now(device)
    count = work()
    return count / (now(device) - started)


def flops(bench: Bench, model: Classifier) -> float:
    """Count the floating-point operations of one training step per image."""
    images = torch.randn(2, 3, bench.data.size, bench.data.size, device=bench.device)
    model.to(bench.device).train()
    with FlopCounterMode(display=False) as counter:
        model(images).sum().backward()
    model.zero_grad()
    return float(counter.get_total_flops()) / len(images)


def peak(precision: str, device: torch.device) -> float:
    """Return the operations per second of a large matrix product at this precision: the hardware's practical limit."""
    dtype = precisions.MIXED.get(precision, torch.float32)
    side, times = (2048, 1) if device.type == "cpu" else (8192, 10)  # a small product ends too soon on an accelerator
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    rates = []
    for _ in range(6):
        started = now(device)
        for _ in range(times):
            left @ right
        rates.append(times * 2 * side**3 / (now(device) - started))
    return max(rates)
