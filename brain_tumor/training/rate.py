"""Find a learning rate: train some steps with a rising one, and take that where the loss falls fastest (Smith 2017)."""

from pathlib import Path

import lightning as L
from lightning.pytorch.tuner.tuning import Tuner

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.io import tables
from brain_tumor.models.task import Task

_FILE = "rate.json"  # in the run's folder: the rate that was found
_LOWEST, _HIGHEST, _STEPS = 1e-6, 1.0, 100


def find(folder: Path, data: SliceDataModule, model: Task, trainer: L.Trainer) -> None:
    """Make a model train with the rate that a finder suggests; a resumed run keeps the rate that was found.

    Weights and history are afterwards what they were.

    Args:
        folder: the run's.
        data: set up.
        model: built.
        trainer: that will train the run, on one device.

    Raises:
        ValueError: there are several devices, or the finder has nothing to suggest.
    """
    if trainer.world_size > 1:
        raise ValueError("find_lr=true: finds a rate on one device; find it there, and set optimizer.lr for several")
    path = folder / _FILE
    if not path.exists():
        # Another trainer, which counts other steps and has no epoch to end with.
        trial = L.Trainer(
            max_epochs=-1, accelerator=trainer.strategy.root_device.type.replace("cuda", "gpu"), devices=1,
            precision=trainer.precision, default_root_dir=folder, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        )  # fmt: skip
        finder = Tuner(trial).lr_find(
            model, datamodule=data, min_lr=_LOWEST, max_lr=_HIGHEST, num_training=_STEPS, update_attr=False
        )
        suggested = finder.suggestion() if finder is not None else None
        if suggested is None:
            raise ValueError("find_lr=true: the loss falls nowhere clearly; set optimizer.lr instead")
        tables.write_json(path, {"lr": suggested})
        print(f"learning rate found: {suggested:.2g} (instead of optimizer.lr)")
    model.use_rate(float(tables.read_json(path)["lr"]))
