"""A second task is a network, a step, its scores and its pictures: everything else it has from the house."""

import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.backend_context import Context

from brain_tumor.inference import trained
from tests.conftest import LAST, SMALL, Command, Start, run_folder

TOY = ["--config-dir=mine", "model=area", *SMALL[:3], "trainer.max_epochs=4"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's folder with a model of their own in it."""
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "area.yaml").write_text("_target_: tests.toy.Area\nwidth: 4\n")
    return tmp_path


def test_a_second_task_trains_resumes_evaluates_and_is_reported(command: Command, start: Start, home: Path) -> None:
    unbroken = home / run_folder(command("train", *TOY, "output_dir=unbroken", cwd=home).stdout)
    start("train", *TOY, cwd=home).kill_when(lambda: list(home.glob(LAST)))
    (folder,) = (path.parents[1] for path in home.glob(LAST))
    resumed = command("train", *TOY, cwd=home)
    assert "goes on from its last checkpoint" in resumed.stdout
    found, expected = (json.loads((run / "results.json").read_text()) for run in (folder, unbroken))
    assert found["history"] == expected["history"]
    assert found["test"] == expected["test"]
    assert (found["task"], found["measure"]) == ("area", "closeness")
    assert 0.5 < found["baselines"]["mean area"]["closeness"]["value"] < 1
    assert "mean area" in resumed.stdout
    assert (folder / "areas.png").exists()

    command("evaluate", f"run={folder}", "trusted=[tests.toy]", cwd=home)
    again = json.loads((folder / "evaluations" / "1" / "results.json").read_text())["test"]
    assert again == {name: value for name, value in found["test"].items() if name not in {"epoch", "checkpoint"}}

    with pytest.raises(ValueError, match="predict knows classifiers and segmenters; this run's task is area"):
        trained.open_run(folder, ["tests.toy"]).network()

    classifier = command("train", *SMALL, "trainer.max_epochs=1", "model=cnn", cwd=home)
    command("report", "outputs", cwd=home)
    lines = (home / "outputs" / "report" / "report.md").read_text().splitlines()
    listed = [line for line in lines if folder.name in line or Path(run_folder(classifier.stdout)).name in line]
    assert len(listed) == 2
    assert f"{found['test']['closeness']['value']:.1%}" in "".join(listed)
    _every_column_of_both(home / "outputs")


def _every_column_of_both(outputs: Path) -> None:
    """TensorBoard's own server code finds the settings and scores of either task."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(outputs)).Reload()
    context = Context(TBContext(data_provider=MultiplexerDataProvider(multiplexer, str(outputs))))
    request = RequestContext()
    shown = context.experiment_from_metadata(request, "", True, context.hparams_metadata(request, ""), None)
    settings = {info.name for info in shown.hparam_infos}
    scores = {info.name.tag for info in shown.metric_infos}
    assert {"task", "lr", "backbone", "strategy", "flip", "split", "fold", "seed"} <= settings
    assert {"final/closeness", "final/accuracy", "final/auroc"} <= scores
