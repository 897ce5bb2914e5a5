"""A learning rate that is found, and a training that stops early: both recorded, both kept when a run is resumed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from brain_tumor.runs import record
from brain_tumor.training.stopping import Patience
from tests.conftest import SMALL, Command, run_folder

_TOY = ["--config-dir=mine", "model=area", *SMALL[:3], "data.split=patient", "trainer.enable_progress_bar=false"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "area.yaml").write_text("_target_: tests.toy.Area\nwidth: 4\n")
    return tmp_path


def test_a_rate_is_found_and_recorded(command: Command, home: Path) -> None:
    arguments = [*_TOY, "find_lr=true", "optimizer.lr=1e-9", "trainer.max_epochs=2"]
    output = command("train", *arguments, cwd=home).stdout
    folder = home / run_folder(output)
    found = record.read(folder)
    rate = found["hyperparameters"]["lr"]
    assert 1e-6 < rate < 1
    assert f"learning rate found: {rate:.2g}" in output
    assert found["config"]["optimizer"]["lr"] == 1e-9
    assert found["config"]["find_lr"] is True
    assert [epoch["epoch"] for epoch in found["history"]] == [1, 2]  # the finder's steps are none of the run's
    assert found["history"][1]["train"]["loss"] != found["history"][0]["train"]["loss"]
    assert not list(folder.glob("**/.lr_find*"))


def test_a_training_stops_when_the_loss_does_not_come_down(command: Command, home: Path) -> None:
    arguments = [*_TOY, "data.val_fraction=0.3", "optimizer.lr=1e-9", "trainer.max_epochs=30", "trainer.patience=2"]
    folder = home / run_folder(command("train", *arguments, cwd=home).stdout)
    found = record.read(folder)
    losses = [epoch["val"]["loss"] for epoch in found["history"]]
    best = min(range(len(losses)), key=lambda epoch: losses[epoch])
    assert len(losses) < 30
    assert len(losses) == best + 1 + 2
    assert found["hyperparameters"]["patience"] == 2
    assert found["hyperparameters"]["max_epochs"] == 30


def test_a_stopped_training_does_not_go_on_when_it_is_resumed() -> None:
    trainer: Any = SimpleNamespace(should_stop=False)
    stopped = Patience("val/loss", patience=1)
    stopped.on_train_start(trainer, None)  # type: ignore[arg-type]
    assert not trainer.should_stop
    stopped.stopped_epoch = 3
    stopped.on_train_start(trainer, None)  # type: ignore[arg-type]
    assert trainer.should_stop


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "trainer.patience=2: needs a validation part"),
        (
            ["data.val_fraction=0.3", "schedule=onecycle"],
            "trainer.patience=2: schedule=onecycle needs the whole training",
        ),
    ],
)
def test_what_patience_does_not_go_with(command: Command, home: Path, more: list[str], told: str) -> None:
    refused = command("train", *_TOY, "trainer.patience=2", *more, cwd=home, check=False)
    assert refused.returncode == 1
    assert told in refused.stderr
