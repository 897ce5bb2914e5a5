"""The launcher `hydra/launcher=spark`. Hydra imports this at every start; `brain_tumor.cluster.sweep` does the work.

`brain_tumor.config` puts the folder above `hydra_plugins` on sys.path, where Hydra looks for launchers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class SparkConf:
    """The settings `hydra.launcher`.

    Attributes:
        master: such as spark://HOST:7077; None for spark-submit's, or without it for all cores of this machine.
        conf: Spark's settings, if spark-submit does not give them.
        folder: where runs are started on every machine; paths are relative to it.
        store: URL of an object store, such as s3://BUCKET/outputs; None if `output_dir` is shared.
        scratch: with a store, where runs are written before they are uploaded.
    """

    _target_: str = "hydra_plugins.brain_tumor_spark.SparkLauncher"
    master: str | None = None
    conf: dict[str, Any] = field(default_factory=dict)
    folder: str = "${hydra.runtime.cwd}"
    store: str | None = None
    scratch: str = "/tmp/brain_tumor-runs"


class SparkLauncher(Launcher):
    """Trains the runs of a sweep as tasks of Spark."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store what Hydra passes."""
        del task_function  # the executors start the command, which has it
        self.context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train every run and return whether it failed."""
        from brain_tumor.cluster import sweep

        runs = sweep.plan(self.context.config_loader, self.config, job_overrides, initial_job_idx)
        return sweep.launch(runs, self.settings, self.config)


ConfigStore.instance().store(group="hydra/launcher", name="spark", node=SparkConf, provider="brain_tumor")
