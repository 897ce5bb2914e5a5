"""Train and test a model, and leave a complete record.

python -m brain_tumor.train
python -m brain_tumor.train model=resnet18 transforms=flip_norm
python -m brain_tumor.train --multirun model=resnet18,resnet50 model.strategy=freeze,finetune
python -m brain_tumor.train data=lgg data.root=/data/lgg data.split=patient
python -m brain_tumor.train --multirun 'paper=glob(*)' seed=0,1,2 data=lgg data.root=/data/lgg
"""

import hashlib
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from brain_tumor.config import cli, processes, quiet, typed
from brain_tumor.io import walk
from brain_tumor.training import job

if TYPE_CHECKING:  # imported late at run time, so that --help and --cfg answer at once
    import lightning as L
    from lightning.pytorch.callbacks import ModelCheckpoint
    from lightning.pytorch.loggers import TensorBoardLogger

    from brain_tumor.data.datamodule import SliceDataModule
    from brain_tumor.models.task import Task
    from brain_tumor.runs.record import Record


@hydra.main(config_path=typed.CONF, config_name="train", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Run one training, go on with it, or say that it has been run."""
    folder = Path(os.path.relpath(HydraConfig.get().runtime.output_dir))
    with job.leaving_no_empty(folder):
        config = typed.plain(cfg, "train")
    job.run(config, folder, train, refuse_changed)


def refuse_changed(config: dict[str, Any], folder: Path) -> None:
    """Refuse to call a run finished, when it is asked for again, whose data, masks or first weights have changed.

    What is not at hand cannot be compared.

    Raises:
        ValueError: it has changed, or can no longer be used.
    """
    from brain_tumor.data import crops
    from brain_tumor.runs import record, run_folder

    _refuse_other_weights(config["model"].get("weights"), record.read(folder)["weights"]["detail"], folder)
    known, masks = run_folder.begun(folder), config["data"].get("masks")
    if "" not in {now := crops.identify(masks), known.get("masks", "")} and now != known["masks"]:
        raise ValueError(
            f"{folder}: finished before, but what data.masks={masks} says has changed since; restore it, or train anew "
            "by resume=false"
        )
    root = Path(config["data"].get("root") or "").expanduser()
    if not config["data"].get("root") or not root.is_dir():
        return
    files = walk.stamp(root)
    if known.get("files") == files:
        return
    data: SliceDataModule = typed.make(config, "data", transforms=typed.make(config, "transforms"), seed=config["seed"])
    data.prepare_data()
    data.setup()
    found = record.read(folder)
    if not data.is_content(found["data"]["key"], found["hyperparameters"]["size"]):
        raise ValueError(
            f"{folder}: finished before, but its data has changed since (content {found['data']['key']}, now "
            f"{data.key}); restore it, or train anew by resume=false"
        )
    run_folder.note_begun(folder, {**known, "files": files})


def _refuse_other_weights(asked: str | None, known: str, folder: Path) -> None:
    """Refuse a file or run of weights that has changed since the run in a folder has started from it.

    Args:
        asked: as `model.weights`.
        known: the file's SHA-256, or the run's id, when the run has started.
        folder: the run's.
    """
    from brain_tumor.runs import record, run_folder

    path = Path((asked or "").removeprefix("run:")).expanduser()
    if (asked or "").startswith("run:") and run_folder.finished(path):
        now = record.read(path)["id"]
    elif asked not in {None, "auto", "imagenet", "none"} and path.is_file():
        now = hashlib.sha256(path.read_bytes()).hexdigest()
    else:
        return
    if known and now != known:
        raise ValueError(
            f"{folder}: finished before, but model.weights={asked} has changed since; restore it, or train anew by "
            "resume=false"
        )


def train(config: dict[str, Any], folder: Path) -> "Record | None":
    """Compose data, model and trainer; fit, test, record. Returns the record on the first process, None on others."""
    started = time.perf_counter()
    import lightning as L
    from lightning.pytorch.loggers import TensorBoardLogger

    from brain_tumor.metrics import plots
    from brain_tumor.models import checkpoint, features, precision
    from brain_tumor.runs import run_folder
    from brain_tumor.training import recording

    quiet.quieten_lightning()
    L.seed_everything(config["seed"], verbose=False)
    data: SliceDataModule = typed.make(config, "data", transforms=typed.make(config, "transforms"), seed=config["seed"])
    data.prepare_data()
    data.setup()
    model: Task = typed.make(
        config,
        "model",
        optimizer=typed.make(config, "optimizer"),
        num_classes=data.num_classes,
        monitored=data.monitored,
        seed=config["seed"],
        schedule=config["schedule"],
    )
    if model.uses_masks:
        data.serve_masks()
    else:
        data.require_classes()
    model.weights.refuse_leakage(data.table.iloc[data.rows["test"]], allow=config["allow_overlap"])
    settings = config["trainer"]
    arithmetic = precision.resolve(settings.get("precision", "auto"), settings.get("accelerator", "auto"))
    precision.use(arithmetic)
    logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    trainer = _trainer(settings, arithmetic, logger, _checkpoints(folder, data.monitored))
    _require_trainable(config, data, model, trainer)
    if model.frozen_part is not None and config["cache_features"]:
        data.store.features = features.cached(model.frozen_part, data, arithmetic, trainer.strategy.root_device)
    if settings.get("compile"):
        model.compile_network("reduce-overhead" if trainer.strategy.root_device.type == "cuda" else None)
    facts = recording.facts(config, folder, data, model, trainer)
    if trainer.is_global_zero:
        if model.weights.warning:
            print(f"\n*** WARNING: {model.weights.warning} ***\n", file=sys.stderr)
        logger.experiment.add_image("training batch", plots.batch(data.sample("train", 16)))
    last, scored = (folder / "checkpoints" / f"{name}.ckpt" for name in ("last", recording.scored_checkpoint(data)))
    run_folder.begin(folder, _beginning(data, model))
    if last.exists():
        checkpoint.load(model, last)  # refuses in one line what Lightning would refuse in many
        print(f"goes on from its last checkpoint: {folder}")
    ready = time.perf_counter()

    trainer.fit(model, data, ckpt_path=last if last.exists() else None, weights_only=True)
    fitted = time.perf_counter()
    test = partial(
        trainer.test, model, data, ckpt_path=None if scored == last else scored, weights_only=True, verbose=False
    )
    confidence = recording.confide(data, model, test)
    test()
    tested = time.perf_counter()
    if not trainer.is_global_zero:
        return None
    seconds = {"setup_seconds": ready - started, "fit_seconds": fitted - ready, "test_seconds": tested - fitted}
    return recording.write(folder, facts, data, model, confidence, seconds, logger.experiment)


def _beginning(data: "SliceDataModule", model: "Task") -> dict[str, str]:
    """Identify what a run begins with (see `run_folder.begin`)."""
    from brain_tumor.data import crops

    root, parts = getattr(data, "root", None), data.table[["path", "part", "label"]]
    return {
        "files": walk.stamp(root) if root is not None else "",
        "data": f"{data.key} {data.decoded.key}",
        "masks": crops.identify(data.masks),
        "split": hashlib.sha256(parts.to_csv(index=False).encode(errors="surrogateescape")).hexdigest()[:16],
        "weights": f"{model.weights.source} {model.weights.detail}".strip(),
    }


def _trainer(
    settings: dict[str, Any], arithmetic: str, logger: "TensorBoardLogger", callbacks: "list[ModelCheckpoint]"
) -> "L.Trainer":
    """Build Lightning's trainer from its group of the configuration."""
    import torch

    from brain_tumor.models.checkpoint import WholeCheckpointIO

    theirs = {name: value for name, value in settings.items() if name != "compile"}  # which is ours
    trainer: L.Trainer = typed.make(
        {"trainer": theirs},
        "trainer",
        precision=arithmetic,
        **processes.devices(settings, torch.cuda.device_count()),
        logger=logger,
        callbacks=callbacks,
        plugins=WholeCheckpointIO(),
    )
    processes.refuse_misfit(trainer)
    return trainer


def _checkpoints(folder: Path, monitored: str) -> "list[ModelCheckpoint]":
    """Keep the last epoch, to resume from, and the best one where a validation part says which that is."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    always: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
    kept = [ModelCheckpoint(folder / "checkpoints", filename="last", **always)]
    if monitored == "val":
        # First, so that "last" holds what the best is now: a resumed run compares with that.
        kept.insert(0, ModelCheckpoint(folder / "checkpoints", filename="best", monitor="val/loss", **always))
    return kept


def _require_trainable(config: dict[str, Any], data: "SliceDataModule", model: "Task", trainer: "L.Trainer") -> None:
    """Refuse what torch or Lightning would refuse in the middle of an epoch, in words that help less."""
    from torch import nn

    if trainer.max_epochs is not None and trainer.max_epochs < 1 and trainer.max_steps < 1:
        raise ValueError(f"trainer.max_epochs={trainer.max_epochs}: must be at least 1")
    if settings := [name for name in ("limit_test_batches", "fast_dev_run") if config["trainer"].get(name) is not None]:
        raise ValueError(f"trainer.{settings[0]}: would score a part of the test slices as all of them; leave it out")
    if config["experiment"] not in {None, *range(1, 21)}:
        raise ValueError(f"experiment={config['experiment']}: a row of the paper's table, 1 to 20, which paper=N sets")
    size, batch = data.size, data.batch_size
    if not len(data.rows["train"]):
        raise ValueError(
            f"data.split={config['data'].get('split')}: leaves no slice to train on; choose slice or patient"
        )
    count = -(-data.epoch_size // trainer.world_size)  # slices that each process shows in an epoch
    normalizes = any(isinstance(module, nn.BatchNorm2d) and module.training for module in model.modules())
    if normalizes and size <= 32 and count % batch == 1 % batch:
        raise ValueError(
            f"data.batch_size={batch}: the last of an epoch's {count} slices is alone in its batch, and of {size} "
            "pixels one feature is left, which cannot be normalised. Choose another data.batch_size or larger data.size"
        )
    if trainer.gradient_clip_val and config["optimizer"].get("fused"):
        raise ValueError("trainer.gradient_clip_val: needs optimizer.fused=false; a fused step clips nothing")


if __name__ == "__main__":
    cli.enter(main)
