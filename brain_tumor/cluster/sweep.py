"""The runs of a sweep as tasks of Spark, each tried again where its executor was lost, and none counted twice."""

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from omegaconf import DictConfig, OmegaConf, open_dict

from brain_tumor.cluster import session as sessions
from brain_tumor.cluster import task
from brain_tumor.cluster.task import Outcome, Run

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_REQUIRED = {
    # A second copy of a slow training would wait for the first one's lock.
    "spark.speculation": "false",
    # A worker that has trained keeps its memory and its environment.
    "spark.python.worker.reuse": "false",
}
_AT_ONCE = 256  # Spark jobs that wait or run
_TRIES, _PAUSE = 4, 10.0  # and seconds, for a run whose lock is held by a process that a lost executor has left behind


def plan(loader: ConfigLoader, config: DictConfig, jobs: Sequence[Sequence[str]], first: int) -> list[Run]:
    """Compose every run's configuration here, so that what is wrong with one is said before anything starts.

    Args:
        loader: Hydra's.
        config: of the sweep.
        jobs: each run's overrides.
        first: the first one's number.

    Raises:
        ValueError: `resume=false`, processes that are not counted, or that share no folder.
    """
    return [_plan(loader, config, list(overrides), first + number) for number, overrides in enumerate(jobs)]


def _plan(loader: ConfigLoader, config: DictConfig, overrides: list[str], number: int) -> Run:
    own = loader.load_sweep_config(config, overrides)
    with open_dict(own):
        own.hydra.job.id, own.hydra.job.num = str(number), number
    HydraConfig.instance().set_config(own)
    if not own.resume:
        raise ValueError("resume=false: on Spark a lost run could not go on; choose another output_dir instead")
    launcher, processes = own.hydra.launcher, _processes(own)
    start, folder = str(launcher.folder), os.path.join(own.hydra.sweep.dir, own.hydra.sweep.subdir)  # noqa: PTH118
    arguments = [*_config_dir(own), *overrides, *_hydras(own)]
    if launcher.store and processes > 1:
        raise ValueError("hydra.launcher.store: executors that train together need a folder that they share")
    if launcher.store:
        start, folder = launcher.scratch, Path(folder).name
        arguments += ["output_dir=."]
    # Every machine resolves to the same configuration, and so to the same run.
    environment = {"BRAIN_TUMOR_CACHE": os.environ.get("BRAIN_TUMOR_CACHE", "~/.cache/brain_tumor")}
    return Run(number, filter_overrides(overrides), arguments, folder, start, environment, processes, launcher.store)


def _processes(config: DictConfig) -> int:
    """Return how many processes train a run together."""
    devices, nodes = config.trainer.get("devices", 1), config.trainer.get("num_nodes", 1)
    if isinstance(devices, int):
        return devices * int(nodes)
    if config.trainer.get("strategy", "auto") != "auto":
        raise ValueError(f"trainer.devices={devices}: on Spark say how many executors train together, as a number")
    return 1


def _config_dir(config: DictConfig) -> list[str]:
    return [f"--config-dir={own.path}" for own in config.hydra.runtime.config_sources if own.provider == "command-line"]


def _hydras(config: DictConfig) -> list[str]:
    """Return Hydra's own overrides but for those that led here."""
    ours = ("hydra/launcher", "hydra.launcher", "hydra.mode")
    return [own for own in config.hydra.overrides.hydra if not own.lstrip("+~").startswith(ours)]


def launch(runs: Sequence[Run], settings: Mapping[str, Any], config: DictConfig) -> list[JobReturn]:
    """Train the runs, as many at once as the executors have room for, and say of each what became of it.

    Each is a job of Spark by itself: one that ends its executor four times takes no other run with it.
    """
    conf = OmegaConf.to_container(OmegaConf.create(settings["conf"]), resolve=True)
    assert isinstance(conf, dict)
    spark = sessions.start("brain_tumor", settings["master"], {str(key): own for key, own in conf.items()}, _REQUIRED)
    try:
        if (together := max(run.processes for run in runs)) > 1:
            sessions.require_slots(spark, together)
        print(f"{len(runs)} runs on {spark.sparkContext.master}", flush=True)
        # Runs of several processes need all executors, so they go one by one.
        with ThreadPoolExecutor(1 if together > 1 else _AT_ONCE) as pool:
            outcomes = list(pool.map(lambda run: _finish(spark, run), runs))
    finally:
        spark.stop()
    return [_returned(run, outcome, config) for run, outcome in zip(runs, outcomes, strict=True)]


def _finish(spark: "SparkSession", run: Run) -> Outcome:
    """Train a run, and wait for a process that still has it."""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE)
        outcome = _train(spark, run)
        if outcome.reason != task.UNDER_WAY:
            break
    state = "finished" if outcome.finished else f"failed: {outcome.reason}"
    print(f"#{run.number} {' '.join(run.overrides)}: {state} (on {outcome.host}): {run.folder}", flush=True)
    return outcome


def _train(spark: "SparkSession", run: Run) -> Outcome:
    try:
        if run.processes > 1:
            return _train_together(spark, run)
        spark.sparkContext.setJobDescription(" ".join(run.overrides))
        (outcome,) = spark.sparkContext.parallelize([run], 1).map(task.train).collect()
    except Exception as error:  # Spark's own: the executor was lost too often, or has no brain_tumor
        return Outcome(False, sessions.says(error), "no executor")
    found: Outcome = outcome
    return found


def _train_together(spark: "SparkSession", run: Run) -> Outcome:
    """Train a run in several executors at once."""
    from pyspark.ml.torch.distributor import TorchDistributor

    gpus = spark.sparkContext.getConf().get("spark.task.resource.gpu.amount", "0") != "0"
    outcome = TorchDistributor(num_processes=run.processes, local_mode=False, use_gpu=gpus).run(task.rank, run)
    assert isinstance(outcome, Outcome)
    return outcome


def _returned(run: Run, outcome: Outcome, config: DictConfig) -> JobReturn:
    status = JobStatus.COMPLETED if outcome.finished else JobStatus.FAILED
    returned = JobReturn(overrides=run.overrides, cfg=config, status=status, task_name="train")
    returned.return_value = None if outcome.finished else ValueError(f"{run.folder}: {outcome.reason}")
    return returned
