"""Train the runs of a sweep as tasks of Spark; a run is tried again if its executor is lost, and counted once."""

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
    # A worker that has trained would keep its memory and its environment.
    "spark.python.worker.reuse": "false",
}
_AT_ONCE = 256  # Spark jobs that wait or run
_TRIES, _PAUSE = 4, 10.0  # tries, seconds between them, for a run whose lock a process of a lost executor still holds


def plan(loader: ConfigLoader, config: DictConfig, jobs: Sequence[Sequence[str]], first: int) -> list[Run]:
    """Compose every run's configuration on the driver, so that errors in it are reported before anything starts.

    Args:
        loader: Hydra's.
        config: the sweep's.
        jobs: each run's overrides.
        first: the first run's number.

    Raises:
        ValueError: `resume=false`, a number of processes that is not given, or several processes without a shared
            folder.
    """
    return [_plan(loader, config, list(overrides), first + number) for number, overrides in enumerate(jobs)]


def _plan(loader: ConfigLoader, config: DictConfig, overrides: list[str], number: int) -> Run:
    run_config = loader.load_sweep_config(config, overrides)
    with open_dict(run_config):
        run_config.hydra.job.id, run_config.hydra.job.num = str(number), number
    HydraConfig.instance().set_config(run_config)
    if not run_config.resume:
        raise ValueError("resume=false: on Spark a lost run could not go on; choose another output_dir instead")
    launcher, sweep, processes = run_config.hydra.launcher, run_config.hydra.sweep, _processes(run_config)
    start, folder = str(launcher.folder), os.path.join(sweep.dir, sweep.subdir)  # noqa: PTH118
    arguments = [*_config_dir(run_config), *overrides, *_hydra_overrides(run_config)]
    if launcher.store and processes > 1:
        raise ValueError("hydra.launcher.store: executors that train together need a folder that they share")
    if launcher.store:
        start, folder = launcher.scratch, Path(folder).name
        arguments += ["output_dir=."]
    # Every machine must resolve the same configuration, and so the same run.
    environment = {"BRAIN_TUMOR_CACHE": os.environ.get("BRAIN_TUMOR_CACHE", "~/.cache/brain_tumor")}
    return Run(number, filter_overrides(overrides), arguments, folder, start, environment, processes, launcher.store)


def _processes(config: DictConfig) -> int:
    """Return the number of processes that train a run together."""
    devices, nodes = config.trainer.get("devices", 1), config.trainer.get("num_nodes", 1)
    if isinstance(devices, int):
        return devices * int(nodes)
    if config.trainer.get("strategy", "auto") != "auto":
        raise ValueError(f"trainer.devices={devices}: on Spark say how many executors train together, as a number")
    return 1


def _config_dir(config: DictConfig) -> list[str]:
    """Return the arguments for the command line's folders of configurations."""
    sources = config.hydra.runtime.config_sources
    return [f"--config-dir={source.path}" for source in sources if source.provider == "command-line"]


def _hydra_overrides(config: DictConfig) -> list[str]:
    """Return the overrides of Hydra's settings, without those that choose this launcher."""
    launcher = ("hydra/launcher", "hydra.launcher", "hydra.mode")
    return [text for text in config.hydra.overrides.hydra if not text.lstrip("+~").startswith(launcher)]


def launch(runs: Sequence[Run], settings: Mapping[str, Any], config: DictConfig) -> list[JobReturn]:
    """Train the runs, as many at once as the executors have room for, and return each run's outcome.

    Each run is a job of Spark, so that a run which ends its executor four times does not fail the others.
    """
    conf = OmegaConf.to_container(OmegaConf.create(settings["conf"]), resolve=True)
    assert isinstance(conf, dict)
    named = {str(key): value for key, value in conf.items()}
    spark = sessions.start("brain_tumor", settings["master"], named, _REQUIRED)
    try:
        if (together := max(run.processes for run in runs)) > 1:
            sessions.require_slots(spark, together)
        print(f"{len(runs)} runs on {spark.sparkContext.master}", flush=True)
        # Runs of several processes need all executors, so they train one by one.
        with ThreadPoolExecutor(1 if together > 1 else _AT_ONCE) as pool:
            outcomes = list(pool.map(lambda run: _finish(spark, run), runs))
    finally:
        spark.stop()
    return [_returned(run, outcome, config) for run, outcome in zip(runs, outcomes, strict=True)]


def _finish(spark: "SparkSession", run: Run) -> Outcome:
    """Train a run; try again while another process has its lock."""
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
    except Exception as error:  # of Spark: the executor was lost too often, or has no brain_tumor
        return Outcome(False, sessions.summarize(error), "no executor")
    assert isinstance(outcome, Outcome)
    return outcome


def _train_together(spark: "SparkSession", run: Run) -> Outcome:
    """Train a run on several executors at once."""
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
