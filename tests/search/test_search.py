"""A search of settings by Optuna: killed, gone on with, reported; what a run returns to it."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from brain_tumor.runs import objective
from brain_tumor.search import space
from tests.conftest import LAST, SMALL, Command, Start

_SEARCH = [
    "--multirun", "--config-dir=mine", "hydra/sweeper=optuna", "model=area", *SMALL[:3], "data.split=patient",
    "trainer.max_epochs=5", "trainer.enable_progress_bar=false", "optimizer.lr=tag(log,interval(0.0001,0.1))",
    "model.width=choice(4,-1,-2)", "hydra.sweeper.n_trials=4",
]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's folder with a small model of their own in it."""
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "area.yaml").write_text("_target_: tests.toy.Area\nwidth: 4\n")
    return tmp_path


def _trials(home: Path) -> list[dict[str, Any]]:
    (path,) = home.glob("outputs/searches/*/search.json")
    trials: list[dict[str, Any]] = json.loads(path.read_text())["trials"]
    return trials


def test_a_killed_search_goes_on_and_is_reported(command: Command, start: Start, home: Path) -> None:
    arguments = [*_SEARCH, "data.val_fraction=0.3"]
    start("train", *arguments, cwd=home).kill_when(lambda: list(home.glob(LAST)))  # in its first trial
    ended = command("train", *arguments, cwd=home)
    assert "not searched, since this configuration has none: model.dropout" in ended.stdout
    assert "goes on from its last checkpoint" in ended.stdout
    trials = _trials(home)
    states = [trial["state"] for trial in trials]
    killed, again, *others = trials
    assert (killed["state"], again["state"], len(others)) == ("killed", "finished", 3)
    assert killed["settings"] == again["settings"]
    assert killed["settings"] == {"optimizer.lr": 0.001, "model.width": 4, "optimizer.weight_decay": 0.01}
    assert killed["default"]
    assert again["default"]
    failed = [trial for trial in trials if trial["state"] == "failed"]
    assert failed
    assert all(trial["settings"]["model.width"] < 0 for trial in failed)
    assert "negative dimension" in failed[0]["reason"]
    assert len({trial["settings"]["optimizer.lr"] for trial in others}) == 3

    best = min(trial["value"] for trial in trials if trial["value"] is not None)
    assert f"validation loss {best:.4f}" in ended.stdout
    line = shlex.split(ended.stdout.strip().splitlines()[-1])
    assert line[:3] == ["python", "-m", "brain_tumor.train"]
    repeated = command("train", "--config-dir=mine", *line[3:], cwd=home)
    assert "finished before" in repeated.stdout
    folder = home / repeated.stdout.strip().splitlines()[-1].removeprefix("run: ")
    record = json.loads((folder / "results.json").read_text())
    assert objective.of(record, "loss") == pytest.approx(best)

    command("report", "outputs", cwd=home)
    page = (home / "outputs" / "report" / "report.md").read_text()
    (name,) = (path.parent.name for path in home.glob("outputs/searches/*/search.json"))
    assert f"{states.count('finished')} trials finished, {len(failed)} failed, 1 killed" in page
    assert f"| {best:.4f} |" in page
    assert (home / "outputs" / "report" / f"search_{name}.png").stat().st_size > 5_000


def test_a_test_score_is_not_optimized(command: Command, home: Path) -> None:
    refused = command("train", *_SEARCH, cwd=home, check=False)
    assert refused.returncode == 1
    assert "hydra/sweeper=optuna: a search needs a validation part: give data.val_fraction=0.2" in refused.stderr
    assert not list(home.glob("outputs/*"))


def test_a_launcher_that_returns_no_scores_is_refused(command: Command, home: Path) -> None:
    refused = command("train", *_SEARCH, "data.val_fraction=0.3", "hydra/launcher=spark", cwd=home, check=False)
    assert refused.returncode == 1
    assert "hydra/launcher=spark: returns no scores" in refused.stderr


def test_a_space_is_read_as_hydra_writes_it() -> None:
    read = space.read(["o=adamw", "a=tag(log,interval(0.1,1))", "b=1,2", "c=3", "o=sgd", "b=choice(x,y)"])
    assert read.fixed == {"c": "c=3", "o": "o=sgd"}
    assert read.varied == {"a": FloatDistribution(0.1, 1, log=True), "b": CategoricalDistribution(["x", "y"])}
    assert read.overrides({"a": 0.5, "b": "x"}) == ["c=3", "o=sgd", "a=0.5", "b=x"]
    assert space.holds(read.varied["a"], 0.1)
    assert not space.holds(read.varied["a"], 2)


@pytest.mark.parametrize(("curve", "value"), [("loss", 0.5), ("accuracy", 0.8)])
def test_what_a_run_returns_is_of_the_epoch_that_was_scored(curve: str, value: float) -> None:
    epochs = [{"epoch": 1, "val": {"loss": 0.5, "accuracy": 0.8}}, {"epoch": 2, "val": {"loss": 0.9, "accuracy": 0.1}}]
    record: Any = {"history": epochs, "test": {"epoch": 1}}
    assert objective.of(record, curve) == value
    record["history"] = [{"epoch": 1, "test": {"loss": 0.1}}]
    assert objective.of(record, curve) is None
