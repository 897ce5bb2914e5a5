"""Networks of timm's, from a command to a prediction; what images they see, and that ResNets' runs keep their ids."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from brain_tumor.config import typed
from brain_tumor.models import encoders
from brain_tumor.runs import identity, record
from tests.conftest import SMALL, Command, run_folder, write_image

ONCE = [*SMALL, "trainer.max_epochs=1", "logger=csv"]


@pytest.fixture
def following() -> Iterator[None]:
    """As in a training: data and transforms follow the network."""
    typed.follow_networks(encoders.pretrained_input)
    yield
    typed.follow_networks(lambda _: {})


def _composed(*arguments: str) -> dict[str, Any]:
    with initialize_config_dir(typed.CONF, version_base="1.3"):
        return typed.resolve(compose("train", [*arguments, "name=any"]), throw_on_missing=False)


@pytest.mark.usefixtures("following")
@pytest.mark.parametrize(
    ("arguments", "size", "mean"),
    [
        (["model=timm", "data=lgg"], 224, 0.485),
        (["model.backbone=vit_base_patch16_384", "data=lgg"], 384, 0.5),
        (["model=unet", "model.encoder=tf_efficientnetv2_s", "data=lgg"], 300, 0.5),
        (["model=timm", "model.backbone=vit_base_patch16_384", "data=lgg", "data.size=64"], 64, 0.5),
        (["model=timm", "model.backbone=vit_base_patch16_384", "transforms.mean=[0.1,0.1,0.1]"], 96, 0.1),
        (["model=resnet50", "data=lgg"], 224, 0.485),
    ],
)
def test_size_and_normalization_follow_the_network_unless_set(arguments: list[str], size: int, mean: float) -> None:
    config = _composed(*arguments)
    assert (config["data"]["size"], config["transforms"]["mean"][0]) == (size, mean)


@pytest.mark.usefixtures("following")
@pytest.mark.parametrize(
    ("arguments", "run_id"),
    [
        (["data=lgg", "data.root=/x", "paper='17'"], "fb69360e"),
        (["recipe=localization", "data.intensities=file", "transforms.strip=0"], "1e190127"),
        (["model.backbone=resnext50_32x4d"], "ac9ffa42"),
    ],
)
def test_runs_of_resnets_keep_their_ids(arguments: list[str], run_id: str) -> None:
    assert identity.run_id(_composed(*arguments)) == run_id


def test_networks_of_timm_train_export_and_predict(command: Command, tmp_path: Path) -> None:
    given = ["model=timm", "model.backbone=test_vit,test_efficientnet", "model.strategy=freeze"]
    command("train", "--multirun", *ONCE, *given, cwd=tmp_path)
    found = {path.parent.name: record.load(path) for path in tmp_path.glob("outputs/*/results.json")}
    means = {one["hyperparameters"]["backbone"]: one["config"]["transforms"]["mean"][0] for one in found.values()}
    assert means == {"test_vit": 0.5, "test_efficientnet": 0.485}
    (run,) = (name for name in found if "test_vit" in name)
    _predict(command, tmp_path, f"outputs/{run}")


# Families, small: a network of each, images that it takes, its last stage, and whether its stages halve the resolution.
FAMILIES = [
    ("convnext_atto", 32, "stages.3", True),
    ("efficientnet_b0", 32, "blocks.6", True),
    ("vit_tiny_patch16_224", 32, "blocks.11", False),
    ("vit_small_patch14_reg4_dinov2", 42, "blocks.11", False),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "last", "has_stages"), FAMILIES)
def test_each_family_does_all(
    command: Command, tmp_path: Path, name: str, size: int, last: str, has_stages: bool
) -> None:
    given = [f"data.size={size}", "model=timm", f"model.backbone={name}"]
    _predict(command, tmp_path, _train(command, tmp_path, *given))
    run = _train(command, tmp_path, *given, "model.strategy=partial", f"model.trained={last}")
    assert "centre gaussian" in command("evaluate", f"run={run}", "explain=gradcam", cwd=tmp_path).stdout
    given = [f"data.size={size}", "model=unet", f"model.encoder={name}"]
    if has_stages:
        _predict(command, tmp_path, _train(command, tmp_path, *given))
    else:
        refused = command("train", *ONCE, *given, cwd=tmp_path, check=False)
        assert refused.returncode == 1
        assert f"error: model.encoder={name}: model.decoder=unet cannot use it" in refused.stderr


def _train(command: Command, cwd: Path, *arguments: str) -> str:
    return run_folder(command("train", *ONCE, *arguments, cwd=cwd).stdout)


def _predict(command: Command, cwd: Path, run: str) -> None:
    """Export a run, and predict a picture from the file; the export has compared it with what the run predicts."""
    write_image(cwd / "picture.png", size=(60, 50))
    command("export", f"run={run}", "to=file.onnx", cwd=cwd)
    command("predict", "run=file.onnx", "input=picture.png", cwd=cwd)
    (row,) = pd.read_csv(cwd / "predictions" / "slices.csv").to_dict("records")
    assert 0 < row["p(tumour)"] < 1
    shutil.rmtree(cwd / "predictions")
