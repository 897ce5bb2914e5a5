"""Train and test a classifier, and leave a complete record.

python -m brain_tumor.train
python -m brain_tumor.train model=resnet18 transforms=flip_norm
python -m brain_tumor.train --multirun model=resnet18,resnet50 model.strategy=freeze,finetune
python -m brain_tumor.train data=lgg data.root=/data/lgg data.split=patient
python -m brain_tumor.train --multirun 'paper=glob(*)' seed=0,1,2 data=lgg data.root=/data/lgg
"""

import contextlib
import ctypes
import gc
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict

from brain_tumor import door, processes

if TYPE_CHECKING:  # imported late at run time, so that --help and --cfg answer at once
    from lightning.pytorch.callbacks import ModelCheckpoint

    from brain_tumor.data.datamodule import SliceDataModule
    from brain_tumor.models.classifier import Classifier

KEYS = {
    "data", "model", "transforms", "optimizer", "trainer",
    "seed", "experiment", "resume", "cache_features", "output_dir", "cache_dir", "name",
}  # fmt: skip


@hydra.main(config_path=door.CONF, config_name="train", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Run one training, go on with it, or say that it has been run."""
    from brain_tumor.results import record

    folder = Path(os.path.relpath(HydraConfig.get().runtime.output_dir))
    if not processes.leads():
        train(cfg, door.plain(cfg, KEYS), folder)
        return
    with record.claim(folder) as claimed:
        if not claimed:
            print(f"under way in another process: {folder}")
            return
        config = door.plain(cfg, KEYS)
        if (folder / "checkpoints").exists() and not cfg.resume:
            raise ValueError(f"{folder}: holds a run already; go on with it by resume=true, or choose another folder")
        record.claim_identity(folder, record.run_id(config))
        try:
            _run(cfg, config, folder)
        except Exception as error:
            if record.started(folder) or processes.sweeps():
                record.write_failure(folder, door.one_line(error), traceback.format_exc())
                print(f"failed: {door.one_line(error)} ({folder}/traceback.txt)", file=sys.stderr)
            # Hydra keeps the error until the sweep ends; its frames would keep the model and what it computed.
            traceback.clear_frames(error.__traceback__)
            raise
        finally:
            _release()


def _run(cfg: DictConfig, config: dict[str, Any], folder: Path) -> None:
    """Train unless that is done, and say what came of it."""
    from brain_tumor.results import record, tables

    if record.finished(folder):
        print(f"finished before (resume=false trains it anew): {folder}")
        if processes.sweeps():
            return
        found = record.read(folder)
    else:
        if earlier := record.failure(folder):
            print(f"failed before ({earlier}), tries again: {folder}")
            record.clear_failure(folder)
        found = train(cfg, config, folder)
    print(f"\n{tables.summary(found)}\n\n{tables.next_steps(found['config'], folder)}\n\nrun: {folder}")


def _release() -> None:
    """Give a run's memory back, so that a sweep does not grow: models lie in cycles, and malloc keeps what it has."""
    gc.collect()
    if "torch" in sys.modules:
        import torch

        torch.cuda.empty_cache()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library than GNU's
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def train(cfg: DictConfig, config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Compose data, model and trainer; fit, test, record. Returns the record (on the first process; {} on others)."""
    started = time.perf_counter()
    import lightning as L
    import torch
    from lightning.pytorch.loggers import TensorBoardLogger

    from brain_tumor import outcome
    from brain_tumor.models import checkpoint, features, precision
    from brain_tumor.results import plots

    door.quieten_lightning()
    L.seed_everything(config["seed"], verbose=False)
    if config["trainer"]["max_epochs"] < 1:
        raise ValueError(f"trainer.max_epochs={config['trainer']['max_epochs']}: must be at least 1")
    optimizer = instantiate(cfg.optimizer)
    data: SliceDataModule = instantiate(cfg.data, transforms=instantiate(cfg.transforms), seed=config["seed"])
    data.prepare_data()
    data.setup()
    model: Classifier = instantiate(
        cfg.model, optimizer=optimizer, num_classes=data.num_classes, monitored=data.monitored, seed=config["seed"]
    )
    _require_trainable(config, data)
    arithmetic = precision.resolve(config["trainer"]["precision"], config["trainer"]["accelerator"])
    precision.use(arithmetic)
    logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    with open_dict(cfg):
        compiled = cfg.trainer.pop("compile", False)  # ours, not Lightning's
    trainer: L.Trainer = instantiate(
        cfg.trainer,
        precision=arithmetic,
        devices=processes.devices(config["trainer"], torch.cuda.device_count()),
        logger=logger,
        callbacks=_checkpoints(folder, data.monitored),
        plugins=checkpoint.WholeCheckpointIO(),
    )
    processes.require_own(trainer)
    if model.frozen and config["cache_features"]:
        data.features = features.cached(model, data, arithmetic, trainer.strategy.root_device)
    if compiled:
        on_gpu = trainer.strategy.root_device.type == "cuda"
        model.backbone.compile(mode="reduce-overhead" if on_gpu else None)
    if trainer.is_global_zero:
        if model.weights.warning:
            print(f"\n*** WARNING: {model.weights.warning} ***\n", file=sys.stderr)
        logger.experiment.add_image("training batch", plots.batch(data.sample("train", 16)))
    last, best = (folder / "checkpoints" / f"{name}.ckpt" for name in ("last", "best"))
    if last.exists():
        checkpoint.load(model, last)  # refuses in one line what Lightning would refuse in many
        print(f"goes on from its last checkpoint: {folder}")
    ready = time.perf_counter()

    trainer.fit(model, data, ckpt_path=last if last.exists() else None, weights_only=True)
    fitted = time.perf_counter()
    trainer.test(model, data, ckpt_path=best if data.monitored == "val" else None, weights_only=True, verbose=False)
    tested = time.perf_counter()
    if not trainer.is_global_zero:
        return {}
    seconds = {"setup_seconds": ready - started, "fit_seconds": fitted - ready, "test_seconds": tested - fitted}
    return outcome.leave(folder, config, data, model, trainer, seconds)


def _require_trainable(config: dict[str, Any], data: "SliceDataModule") -> None:
    """Refuse what torch or Lightning would refuse in the middle of an epoch, in words that help less."""
    if config["experiment"] not in {None, *range(1, 21)}:
        raise ValueError(f"experiment={config['experiment']}: a row of the paper's table, 1 to 20, which paper=N sets")
    count, size, batch = len(data.rows["train"]), config["data"]["size"], config["data"]["batch_size"]
    if not count:
        raise ValueError(f"data.split={config['data']['split']}: leaves no slice to train on; choose slice or patient")
    if config["model"]["strategy"] == "finetune" and size <= 32 and count % batch == 1 % batch:
        raise ValueError(
            f"data.batch_size={batch}: the last of {count} training slices is alone in its batch, and of {size} pixels "
            "one feature is left, which cannot be normalised. Choose another data.batch_size or a larger data.size"
        )
    if config["trainer"].get("gradient_clip_val") and config["optimizer"].get("fused"):
        raise ValueError("trainer.gradient_clip_val: needs optimizer.fused=false; a fused step clips nothing")


def _checkpoints(folder: Path, monitored: str) -> "list[ModelCheckpoint]":
    """Keep the last epoch, to resume from, and the best one where a validation part says which that is."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    always: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
    kept = [ModelCheckpoint(folder / "checkpoints", filename="last", **always)]
    if monitored == "val":
        # First, so that "last" holds what the best is now: a resumed run compares with that.
        kept.insert(0, ModelCheckpoint(folder / "checkpoints", filename="best", monitor="val/loss", **always))
    return kept


if __name__ == "__main__":
    door.enter(main)
