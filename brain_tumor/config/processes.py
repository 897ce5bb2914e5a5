"""Find the processes and devices that train a run, started by Lightning, torchrun (also from Spark) or srun."""

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
_SEARCHES = {"n_trials", "ax_config", "optim"}  # settings of Hydra's sweepers that want a score: Optuna, Ax, Nevergrad
_RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK")


def is_global_zero() -> bool:
    """Return whether this process is the first of those that train together."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


def is_multirun() -> bool:
    """Return whether this run is one of a sweep."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def is_search() -> bool:
    """Return whether this run is one of a sweep that chooses settings by the runs' scores."""
    return is_multirun() and not _SEARCHES.isdisjoint(HydraConfig.get().sweeper)


def started_from_outside() -> bool:
    """Return whether torchrun or srun has started this process as one of several."""
    return (
        any(int(os.environ.get(name, "1")) > 1 for name in ("WORLD_SIZE", "SLURM_NTASKS"))
        and _environment() is not None
    )


@contextmanager
def connected() -> Iterator[None]:
    """Connect the processes that torchrun or srun has started, so that `agree` works.

    Lightning then trains over the same connection.
    """
    if not started_from_outside():
        yield
        return
    import torch
    from torch import distributed

    environment = _environment()
    assert environment is not None
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, rank=environment.global_rank(), world_size=environment.world_size())
    try:
        yield
    finally:
        distributed.destroy_process_group()


def agree(value: T) -> T:
    """Return the value that the first of the connected processes passes; a single process returns its value."""
    if not started_from_outside():
        return value
    from torch import distributed

    values: list[T] = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def devices(settings: dict[str, Any], gpus: int) -> dict[str, object]:
    """Return the Trainer's `devices` and `num_nodes`: as configured, except in two cases.

    In a parallel sweep whose runs want one GPU of several, the runs take the GPUs in turn. And torchrun or Spark may
    have spread `devices` processes over several machines: then each machine has as many devices as it has processes,
    and the run stays the same.

    Args:
        settings: the trainer's.
        gpus: the number of this machine's GPUs.
    """
    job, count, nodes = HydraConfig.get(), settings.get("devices", "auto"), settings.get("num_nodes", 1)
    parallel = is_multirun() and job.launcher.get("n_jobs", 1) != 1
    one_gpu = count == 1 and settings.get("accelerator", "auto") in {"auto", "gpu", "cuda"}
    if parallel and one_gpu and gpus > 1:
        count = [job.job.num % gpus]
    world_size, local_size = (int(os.environ.get(name, "0")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if local_size and isinstance(count, int) and count * nodes == world_size:
        count, nodes = local_size, world_size // local_size
    return {"devices": count, "num_nodes": nodes}


def refuse_misfit(trainer: "L.Trainer") -> None:
    """Refuse a trainer whose processes would not train one run together.

    Raises:
        ValueError: the run is one of a sweep, each process of which would start another sweep, since processes repeat
            the command line; or torchrun or srun has started another number of processes, which would train alone.
    """
    if trainer.world_size > 1 and is_multirun():
        raise ValueError("trainer.devices: in a sweep a run has one device; start runs on several devices one by one")
    environment = _environment() if started_from_outside() else None
    if environment and environment.world_size() != trainer.world_size:
        raise ValueError(
            f"trainer.devices: {environment.world_size()} processes were started, and the trainer has "
            f"{trainer.world_size}; give trainer=ddp trainer.devices=N (and +trainer.num_nodes=M on several machines)"
        )


def _environment() -> "ClusterEnvironment | None":
    """Return Lightning's view of torchrun or srun; None if neither has started this process."""
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    # In a batch script without srun, Slurm names tasks that nobody has started; waiting for them would never end.
    if "SLURM_STEP_ID" in os.environ and SLURMEnvironment.detect():
        try:
            return SLURMEnvironment()
        except RuntimeError as error:  # says which of srun's options is missing
            raise ValueError(str(error)) from error
    return None
