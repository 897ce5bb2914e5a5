"""Which GPU a job of a parallel sweep gets, and what is refused before it starts."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.plugins import TorchCheckpointIO

from brain_tumor.config import processes
from brain_tumor.models.checkpoint import WholeCheckpointIO


@pytest.mark.parametrize(
    ("mode", "jobs", "number", "gpus", "asked", "accelerator", "given"),
    [
        (RunMode.MULTIRUN, 4, 5, 4, 1, "auto", [1]),
        (RunMode.MULTIRUN, -1, 2, 2, 1, "auto", [0]),
        (RunMode.MULTIRUN, 4, 5, 1, 1, "auto", 1),
        (RunMode.MULTIRUN, 4, 5, 4, 2, "auto", 2),
        (RunMode.MULTIRUN, 1, 5, 4, 1, "auto", 1),
        (RunMode.RUN, 4, 0, 4, 1, "auto", 1),
        (RunMode.MULTIRUN, 4, 5, 4, 1, "cuda", [1]),
        (RunMode.MULTIRUN, 4, 5, 4, 1, "cpu", 1),
    ],
)
def test_parallel_jobs_take_gpus_in_turn(
    monkeypatch: pytest.MonkeyPatch,
    mode: RunMode,
    jobs: int,
    number: int,
    gpus: int,
    asked: int,
    accelerator: str,
    given: object,
) -> None:
    config = SimpleNamespace(mode=mode, launcher={"n_jobs": jobs}, job=SimpleNamespace(num=number))
    monkeypatch.setattr(HydraConfig, "get", lambda: config)
    assert processes.devices({"devices": asked, "accelerator": accelerator}, gpus)["devices"] == given


def test_a_checkpoint_is_whole_or_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, path = WholeCheckpointIO(), tmp_path / "last.ckpt"
    writer.save_checkpoint({"epoch": 1}, path)

    def cut_short(*arguments: Any) -> None:
        arguments[2].write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(TorchCheckpointIO, "save_checkpoint", cut_short)
    with pytest.raises(KeyboardInterrupt):
        writer.save_checkpoint({"epoch": 2}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 1}


SRUN = {
    "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "train",
    "SLURM_STEP_ID": "0",
}  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "started"),
    [
        ({}, False),
        ({"WORLD_SIZE": "2", "LOCAL_RANK": "1"}, False),  # by Lightning
        (SRUN, True),
        ({**SRUN, "SLURM_NTASKS": "1"}, False),
        ({**SRUN, "SLURM_JOB_NAME": "bash"}, False),
        ({name: value for name, value in SRUN.items() if name != "SLURM_STEP_ID"}, False),  # a script without srun
    ],
)
def test_who_has_started_this_process(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], started: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert processes.started_from_outside() is started
    assert processes.is_global_zero() is (variables.get("LOCAL_RANK", "0") == "0")


def test_processes_that_would_each_train_alone_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HydraConfig, "get", lambda: SimpleNamespace(mode=RunMode.RUN))
    alone = L.Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    processes.refuse_misfit(alone)
    for name, value in {**SRUN, "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="2 processes were started, and the trainer has 1; give trainer=ddp"):
        processes.refuse_misfit(alone)


def test_what_srun_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SRUN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(ValueError, match="ntasks-per-node"):
        processes.started_from_outside()


@pytest.mark.parametrize(("mode", "devices"), [(RunMode.RUN, 1), (RunMode.MULTIRUN, 1), (RunMode.RUN, 2)])
def test_runs_on_several_devices_are_trained_one_by_one(
    monkeypatch: pytest.MonkeyPatch, mode: RunMode, devices: int
) -> None:
    monkeypatch.setattr(HydraConfig, "get", lambda: SimpleNamespace(mode=mode))
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto", **quiet)
    processes.refuse_misfit(trainer)


def test_a_sweep_over_several_devices_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HydraConfig, "get", lambda: SimpleNamespace(mode=RunMode.MULTIRUN))
    trainer = L.Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match="one by one"):
        processes.refuse_misfit(trainer)
