"""Which processes and devices train a run, whoever has started them: Lightning, torchrun, Spark through it, or srun."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

if TYPE_CHECKING:
    import lightning as L
    from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment

T = TypeVar("T")
_RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK")


def is_global_zero() -> bool:
    """Whether this process is the first of those that train together."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


def is_multirun() -> bool:
    """Whether this run is one of a sweep."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def started_from_outside() -> bool:
    """Whether torchrun or srun has started this process as one of several."""
    return any(int(os.environ.get(name, "1")) > 1 for name in ("WORLD_SIZE", "SLURM_NTASKS")) and _outside() is not None


@contextmanager
def connected() -> Iterator[None]:
    """Connect the processes that torchrun or srun has started, so that `agree` can be asked.

    Lightning finds them connected and trains over the same connection.
    """
    if not started_from_outside():
        yield
        return
    import torch
    from torch import distributed

    environment = _outside()
    assert environment is not None
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, rank=environment.global_rank(), world_size=environment.world_size())
    try:
        yield
    finally:
        distributed.destroy_process_group()


def agree(value: T) -> T:
    """Return what the first of the connected processes gives; a single process agrees with itself."""
    if not started_from_outside():
        return value
    from torch import distributed

    given: list[T] = [value]
    distributed.broadcast_object_list(given, src=0)
    return given[0]


def devices(settings: dict[str, Any], gpus: int) -> dict[str, object]:
    """Choose the Trainer's `devices` and `num_nodes`: as they were asked for, but for two cases.

    In a parallel sweep a run has a GPU in turn, where there are several and one is asked for. And where torchrun or
    Spark has spread as many processes over several machines, so many are the devices of each: it is the same run.

    Args:
        settings: of the trainer.
        gpus: how many this machine has.
    """
    job, asked, nodes = HydraConfig.get(), settings.get("devices", "auto"), settings.get("num_nodes", 1)
    parallel = is_multirun() and job.launcher.get("n_jobs", 1) != 1
    wanted = asked == 1 and settings.get("accelerator", "auto") in {"auto", "gpu", "cuda"}
    if parallel and wanted and gpus > 1:
        asked = [job.job.num % gpus]
    together, here = (int(os.environ.get(name, "0")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if here and isinstance(asked, int) and asked * nodes == together:
        asked, nodes = here, together // here
    return {"devices": asked, "num_nodes": nodes}


def refuse_misfit(trainer: "L.Trainer") -> None:
    """Refuse a trainer whose processes would not train one run together.

    Raises:
        ValueError: in a sweep, each process of which would start another, since they repeat the command's line;
            or torchrun or srun has started another number of processes, each of which would train by itself.
    """
    if trainer.world_size > 1 and is_multirun():
        raise ValueError("trainer.devices: in a sweep a run has one device; start runs on several devices one by one")
    environment = _outside() if started_from_outside() else None
    if environment and environment.world_size() != trainer.world_size:
        raise ValueError(
            f"trainer.devices: {environment.world_size()} processes were started, and the trainer has "
            f"{trainer.world_size}; give trainer=ddp trainer.devices=N (and +trainer.num_nodes=M on several machines)"
        )


def _outside() -> "ClusterEnvironment | None":
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    # In a batch script without srun, Slurm tells of tasks that nobody has started; waiting for them would not end.
    if "SLURM_STEP_ID" in os.environ and SLURMEnvironment.detect():
        try:
            return SLURMEnvironment()
        except RuntimeError as error:  # says which of srun's options is missing
            raise ValueError(str(error)) from error
    return None
