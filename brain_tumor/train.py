"""Train and test a model, and write a complete record.

python -m brain_tumor.train
python -m brain_tumor.train model=resnet18 transforms=flip_norm
python -m brain_tumor.train --multirun model=resnet18,resnet50 model.strategy=freeze,finetune
python -m brain_tumor.train data=lgg data.root=/data/lgg data.split=patient
python -m brain_tumor.train --multirun 'paper=glob(*)' seed=0,1,2 data=lgg data.root=/data/lgg
"""

import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from brain_tumor.config import cli, quiet, typed
from brain_tumor.models import encoders
from brain_tumor.training import job

if TYPE_CHECKING:  # imported late at run time, so that --help and --cfg answer at once
    from brain_tumor.runs.record import Record

typed.follow_networks(encoders.pretrained_input)


@hydra.main(config_path=typed.CONF, config_name="train", version_base="1.3")
def main(cfg: DictConfig) -> float | None:
    """Train one run, resume it, or print that it is finished; return its score on the validation part, for a search."""
    folder = Path(os.path.relpath(HydraConfig.get().runtime.output_dir))
    with job.discard_on_error(folder):
        config = typed.plain(cfg, "train")
    return job.run(config, folder, train)


def train(config: dict[str, Any], folder: Path) -> "Record | None":
    """Build data, model and trainer; fit, test, record. Returns the record on the first process, None on others."""
    started = time.perf_counter()
    import lightning as L

    from brain_tumor.metrics import plots
    from brain_tumor.models import checkpoint
    from brain_tumor.runs import run_folder
    from brain_tumor.tracking.open import open_trackers
    from brain_tumor.training import calibrate, changed, parts, rate, recording, refuse
    from brain_tumor.training import trainer as trainers

    quiet.quieten_lightning()
    L.seed_everything(config["seed"], verbose=False)
    data = parts.make_data(config)
    model = parts.make_model(config, data)
    trackers = open_trackers(folder, config["logger"])
    trainer = trainers.make_trainer(config, folder, data.monitored, trackers)
    refuse.refuse_untrainable(config, data, model, trainer)
    trainers.speed_up(config, data, model, trainer)
    if config["find_lr"]:
        rate.find(folder, data, model, trainer)
    run_folder.begin(folder, changed.beginning(data, model))
    facts = recording.facts(config, folder, data, model, trainer)
    if trainer.is_global_zero:
        if model.weights.warning:
            print(f"\n*** WARNING: {model.weights.warning} ***\n", file=sys.stderr)
        trackers.add_image("training batch", plots.batch(data.store.sample(data.rows["train"], 16)))
    last = trainers.checkpoint_path(folder, "last")
    scored = trainers.checkpoint_path(folder, trainers.scored_checkpoint(data.monitored))
    if last.exists():
        checkpoint.load(model, last)  # refuses a wrong checkpoint in one line, Lightning in many
        print(f"goes on from its last checkpoint: {folder}")
    ready = time.perf_counter()

    trainer.fit(model, data, ckpt_path=last if last.exists() else None, weights_only=True)
    fitted = time.perf_counter()
    # From the checkpoint, which all other commands read: a training that was cut off after its last epoch has averaged
    # weights there only.
    test = partial(trainer.test, model, data, ckpt_path=scored, weights_only=True, verbose=False)
    calibrated = calibrate.fit(data, model, test)
    test()
    tested = time.perf_counter()
    if not trainer.is_global_zero:
        return None
    seconds = {"setup_seconds": ready - started, "fit_seconds": fitted - ready, "test_seconds": tested - fitted}
    return recording.write(folder, facts, data, model, calibrated, seconds, trackers)


if __name__ == "__main__":
    cli.enter(main)
