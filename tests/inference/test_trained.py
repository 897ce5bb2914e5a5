"""A run's folder from a stranger: it is opened, and nothing in it is obeyed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.base import DataSet
from brain_tumor.datasets.phantom import Phantom
from brain_tumor.inference import trained
from brain_tumor.models.classifier import Classifier
from brain_tumor.models.task import Task

FOREIGN = [
    "numpy.load",
    "urllib.request.urlretrieve",
    "os.system",
    "brain_tumor.data.cache.np.load",
    "brain_tumor.train.os.system",
    "brain_tumor.data.cache.load",
    "brain_tumor.models.classifier.Task",
    "brain_tumor.data.transforms.Transforms",
    "brain_tumor.nowhere.Classifier",
    "torch.optim.optimizer.torch.load",
    "Classifier",
    "",
]


@pytest.mark.parametrize("target", FOREIGN)
@pytest.mark.parametrize("base", [Task, DataSet])
def test_only_a_class_of_this_package_is_what_it_says(target: str, base: type) -> None:
    with pytest.raises(ValueError, match="not obeyed"):
        trained.find_class(target, base, "results.json: config.model")


@pytest.mark.parametrize("made", [Classifier, Phantom, Transforms])
def test_own_classes_are_found(made: type) -> None:
    assert trained.find_class(f"{made.__module__}.{made.__name__}", made.__mro__[1], "here") is made


def _run(folder: Path, record: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def honest() -> dict[str, Any]:
    """The record of a small run, as far as opening goes."""
    docs = Path(__file__).resolve().parents[2] / "docs" / "results" / "records"
    found: dict[str, Any] = json.loads(min(docs.glob("*.json")).read_text())
    return found


@pytest.mark.parametrize("group", ["model", "transforms", "data"])
def test_a_foreign_record_makes_nothing_of_its_own(tmp_path: Path, honest: dict[str, Any], group: str) -> None:
    bait = tmp_path / "bait"
    honest["config"][group] |= {"_target_": "pathlib.Path.touch", "_args_": [str(bait)]}
    run = trained.open_run(_run(tmp_path / "run", honest))
    with pytest.raises(ValueError, match=rf"config.{group}: names pathlib.Path.touch, which is no \w+ of brain_tumor"):
        getattr(run, group)()
    assert not bait.exists()


def test_nothing_nested_is_made(tmp_path: Path, honest: dict[str, Any]) -> None:
    honest["config"]["model"]["hidden"] = [{"_target_": "os.system", "command": "true"}, 2]
    with pytest.raises(ValueError, match=r"asks for another object, os\.system"):
        trained.open_run(_run(tmp_path / "run", honest)).model()


def test_the_optimizer_of_a_record_is_not_even_looked_at(tmp_path: Path, honest: dict[str, Any]) -> None:
    honest["config"]["optimizer"]["_target_"] = "numpy.load"
    honest["config"]["model"] |= {"backbone": "resnet18"}
    folder = _run(tmp_path / "run", honest)
    (folder / "checkpoints").mkdir()
    network = Classifier(backbone="resnet18", strategy="freeze", weights="none", num_classes=2)
    content = {"state_dict": network.state_dict(), "history": [], "hyper_parameters": {}}
    torch.save(content, folder / "checkpoints" / "last.ckpt")
    opened = trained.open_run(folder).model()
    assert all(torch.equal(value, opened.state_dict()[name]) for name, value in network.state_dict().items())


def test_unknown_settings_end_in_one_line(tmp_path: Path, honest: dict[str, Any]) -> None:
    honest["config"]["transforms"]["sharpen"] = True
    with pytest.raises(ValueError, match=r"config.transforms: .*unexpected keyword argument 'sharpen'"):
        trained.open_run(_run(tmp_path / "run", honest)).transforms()
