"""Several processes on one run, whoever starts them, and equal commands in the same second."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SMALL, Command, Start, environment, run_folder

TWO = [
    *SMALL, "trainer.max_epochs=1", "trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
]  # fmt: skip


def _numbers(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return {name: found[name] for name in ("id", "history", "test", "split")}


def _torchrun(cwd: Path, cache_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [*start, "-m", "brain_tumor.train", *arguments],
        cwd=cwd, env=environment(cache_dir), capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip


def _srun(cwd: Path, cache_dir: Path, *arguments: str) -> list[tuple[int, str]]:
    """Start two processes with what srun tells its tasks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {
        "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1", "SLURM_NODEID": "0",
        "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_JOB_NAME": "train", "SLURM_NODELIST": "127.0.0.1",
        "MASTER_PORT": port,
    }  # fmt: skip
    tasks = [
        subprocess.Popen(
            [sys.executable, "-m", "brain_tumor.train", *arguments],
            cwd=cwd,
            env={**environment(cache_dir), **shared, "SLURM_PROCID": rank, "SLURM_LOCALID": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in ("0", "1")
    ]
    printed = [task.communicate(timeout=240)[0] for task in tasks]
    return [(task.returncode, text) for task, text in zip(tasks, printed, strict=True)]


@pytest.fixture(scope="module")
def together(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that two processes have trained, started by Lightning."""
    home = tmp_path_factory.mktemp("lightning")
    return home / run_folder(command("train", *TWO, cwd=home).stdout)


def test_lightning_starts_two_processes(together: Path) -> None:
    found = _numbers(together)
    assert found["test"]["slices"] == found["split"]["test"]["slices"]
    assert list(together.parent.glob("[!.]*/")) == [together]


@pytest.mark.slow
def test_torchrun_does_as_lightning(together: Path, cache_dir: Path, tmp_path: Path) -> None:
    done = _torchrun(tmp_path, cache_dir, *TWO)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "outputs").glob("[!.]*/")
    assert folder.name == together.name
    assert _numbers(folder) == _numbers(together)


@pytest.mark.slow
def test_srun_does_as_lightning(together: Path, cache_dir: Path, tmp_path: Path) -> None:
    for code, text in _srun(tmp_path, cache_dir, *TWO):
        assert code == 0, text
    (folder,) = (tmp_path / "outputs").glob("[!.]*/")
    assert folder.name == together.name
    assert _numbers(folder) == _numbers(together)


@pytest.mark.slow
def test_under_torchrun_a_finished_run_keeps_nobody_waiting(cache_dir: Path, tmp_path: Path) -> None:
    for again in (False, True):
        done = _torchrun(tmp_path, cache_dir, *TWO)
        assert done.returncode == 0, done.stderr
        assert ("finished before" in done.stdout) == again


@pytest.mark.slow
def test_torchrun_starts_anew_where_that_is_asked_for(cache_dir: Path, tmp_path: Path) -> None:
    for _ in range(2):
        done = _torchrun(tmp_path, cache_dir, *TWO, "resume=false")
        assert done.returncode == 0, done.stderr
    first, second = sorted(path.name for path in (tmp_path / "outputs").glob("[!.]*/"))
    assert second == f"{first}-2"
    assert _numbers(tmp_path / "outputs" / first) == _numbers(tmp_path / "outputs" / second)


@pytest.mark.slow
def test_torchrun_ends_in_one_line(cache_dir: Path, tmp_path: Path) -> None:
    done = _torchrun(tmp_path, cache_dir, *TWO, "data.cases=0")
    assert done.returncode != 0
    assert "error: data.cases=0: give at least one case" in done.stderr


@pytest.mark.parametrize("name", ["", pytest.param("name=mine", marks=pytest.mark.slow)])
def test_equal_commands_in_the_same_second_train_once(name: str, start: Start, tmp_path: Path) -> None:
    started = [start("train", *SMALL, "model=cnn", *filter(None, [own]), cwd=tmp_path) for own in ("", name)]
    ended = [running.wait() for running in started]
    assert [process.returncode for process in ended] == [0, 0]
    printed = [process.stdout for process in ended]
    trained = [text for text in printed if "95 % interval" in text and "finished before" not in text]
    told = [text for text in printed if "under way in another process" in text or "finished before" in text]
    assert len(trained) == len(told) == 1
    assert len(list((tmp_path / "outputs").glob("*/results.json"))) == 1


def test_the_folder_is_named_by_the_configuration_alone(command: Command, tmp_path: Path) -> None:
    shared = [*SMALL, "trainer.max_epochs=1", "model.strategy=freeze"]
    output = command(
        "train", *shared, "paper=19", "optimizer=adam", "data.folds=3", "data.fold=1", "seed=4", cwd=tmp_path
    )
    name = Path(run_folder(output.stdout)).name
    found = json.loads((tmp_path / "outputs" / name / "results.json").read_text())
    assert name == f"phantom-row19-resnet18-freeze-flip_norm-adam-fold1of3-seed4-{found['id']}"
    assert found["split"]["method"] == "folds"
    assert (found["split"]["folds"], found["split"]["fold"]) == (3, 1)
    assert "fold 1 of 3 by patient" in output.stdout
    assert {path.name for path in (tmp_path / "outputs").iterdir()} == {".locks", name}
