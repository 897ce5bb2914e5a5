"""One run in TensorBoard, CSV, MLflow and Weights & Biases at once, read back, cut off and gone on with."""

import csv
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

from brain_tumor.runs import record
from tests.conftest import SMALL, Command, environment, run_folder

messages: Any = wandb_internal_pb2  # whose classes are made at run time
_TOY = ["--config-dir=mine", "model=area", *SMALL[:3], "data.split=patient", "trainer.enable_progress_bar=false"]
_ALL = [*_TOY, "logger=[tensorboard,csv,mlflow,wandb]", "trainer.max_epochs=6"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "area.yaml").write_text("_target_: tests.toy.Area\nwidth: 4\n")
    return tmp_path


def _entries(content: bytes) -> Iterator[bytes]:
    """Yield the entries of a file in LevelDB's log format, which W&B writes: blocks of 32 KiB, entries in parts."""
    place, entry = 7, b""  # after W&B's own header
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:  # padding
            place += 32768 - place % 32768
        length, part = struct.unpack_from("<4xHB", content, place)
        if place + 7 + length > len(content):  # cut off
            return
        entry += content[place + 7 : place + 7 + length]
        place += 7 + length
        if part in {1, 4}:  # whole, or the last part
            yield entry
            entry = b""


def _offline(folder: Path) -> tuple[set[str], set[str], set[str]]:
    """Read the ids, the settings and the names that were logged from the files that wait for `wandb sync`."""
    ids, settings, logged = set(), set(), set()
    for path in folder.glob("wandb/offline-run-*/*.wandb"):
        for data in _entries(path.read_bytes()):
            entry = messages.Record()
            entry.ParseFromString(data)
            ids |= {entry.run.run_id} - {""}
            settings |= {update.key or update.nested_key[0] for update in entry.config.update}
            logged |= {item.key or item.nested_key[0] for item in entry.history.item}
    return ids, settings, logged


@pytest.mark.slow  # two processes that load MLflow and W&B
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")  # which MLflow uses
def test_one_run_in_four_trackers_is_cut_off_and_goes_on(cache_dir: Path, home: Path) -> None:
    # In processes of their own: a forked one would share W&B's temporary folder, which the first to end removes.
    line = [sys.executable, "-m", "brain_tumor.train", *_ALL]
    variables = environment(cache_dir)
    silent = subprocess.DEVNULL
    process = subprocess.Popen(line, cwd=home, env=variables, stdout=silent, stderr=silent)
    while not list(home.glob("outputs/*/checkpoints/last.ckpt")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    resumed = subprocess.run(line, cwd=home, env=variables, capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stderr
    assert "goes on from its last checkpoint" in resumed.stdout
    assert resumed.stderr == ""
    folder = home / run_folder(resumed.stdout)
    written = record.read(folder)
    loss = [epoch["test"]["loss"] for epoch in written["history"]]
    closeness = written["test"]["closeness"]["value"]

    events = EventAccumulator(str(folder)).Reload()
    assert [event.value for event in events.Scalars("test/loss")][-1] == pytest.approx(loss[-1])
    assert "scores/text_summary" in events.Tags()["tensors"]

    with (folder / "metrics.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    by_epoch = {int(line["step"]): float(line["test/loss"]) for line in lines if line["test/loss"]}
    assert [by_epoch[epoch] for epoch in range(1, 7)] == pytest.approx(loss)
    assert float(lines[-1]["final/closeness"]) == pytest.approx(closeness)

    client = MlflowClient(f"sqlite:///{home}/outputs/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("brain_tumor")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == folder.name
    assert run.data.params["lr"] == "0.001"
    assert run.data.metrics["final/closeness"] == pytest.approx(closeness)
    assert {metric.step for metric in client.get_metric_history(run.info.run_id, "test/loss")} == set(range(1, 7))
    kept = {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert kept == {"training batch.png", "areas.png", "scores.csv"}

    ids, settings, logged = _offline(folder)
    assert len(list(folder.glob("wandb/offline-run-*"))) == 2
    assert ids == {folder.name}
    assert {"lr", "seed", "task"} <= settings
    assert {"test/loss", "final/closeness", "areas", "scores", "training batch"} <= logged


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("+logger.neptune={}", "logger=neptune: choose of tensorboard, csv, mlflow, wandb"),
        ("+logger.tensorboard.colour=red", "logger.tensorboard: "),
    ],
)
def test_what_no_tracker_takes_is_said(command: Command, home: Path, given: str, told: str) -> None:
    refused = command("train", *_TOY, given, cwd=home, check=False)
    assert refused.returncode == 1
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr
