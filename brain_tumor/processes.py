"""Which processes and devices train a run."""

import os
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

if TYPE_CHECKING:
    import lightning as L


def leads() -> bool:
    """Whether this process is the first of those that train together."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK"))


def sweeps() -> bool:
    """Whether this run is one of a sweep."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def devices(settings: dict[str, Any], gpus: int) -> object:
    """Choose the Trainer's devices: in a parallel sweep a GPU in turn, where there are several and one is asked for.

    Args:
        settings: of the trainer.
        gpus: how many this machine has.
    """
    job, asked = HydraConfig.get(), settings.get("devices", "auto")
    parallel = sweeps() and job.launcher.get("n_jobs", 1) != 1
    wanted = asked == 1 and settings["accelerator"] in {"auto", "gpu", "cuda"}
    return [job.job.num % gpus] if parallel and wanted and gpus > 1 else asked


def require_own(trainer: "L.Trainer") -> None:
    """Refuse several processes where they would not agree on the run's folder.

    Raises:
        ValueError: something else than Lightning has started them, so that each names a folder of its own; or it is a
            sweep, of which Lightning would start a second one, since it repeats the command's line.
    """
    if trainer.world_size == 1:
        return
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment

    if not isinstance(getattr(trainer.strategy, "cluster_environment", None), LightningEnvironment):
        raise ValueError(
            "trainer.devices: Lightning starts the processes itself; use python -m brain_tumor.train trainer=ddp "
            "trainer.devices=N, without torchrun or srun"
        )
    if sweeps():
        raise ValueError("trainer.devices: in a sweep a run has one device; start runs on several devices one by one")
