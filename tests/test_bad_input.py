"""What a user may get wrong: one clear line, an exit code that is not 0, and nothing left behind."""

import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from brain_tumor import evaluate, train, verify
from brain_tumor.config import cli
from brain_tumor.runs import run_folder
from tests.conftest import SMALL, write_image

Refusal = Callable[..., str]


@pytest.fixture
def refusal(
    cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Refusal:
    """Run a command that must fail; return its one line."""

    def run(verb: str, *arguments: str, clean: bool = True) -> str:
        module = {"train": train, "evaluate": evaluate, "verify": verify}[verb]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("BRAIN_TUMOR_CACHE", str(cache_dir))
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        monkeypatch.setattr(sys, "argv", [f"brain_tumor.{verb}", *arguments])
        monkeypatch.setattr("warnings.filters", list(warnings.filters))
        with pytest.raises(SystemExit) as stop:
            cli.enter(module.main)
        message = str(stop.value.code)
        assert message.startswith("error: "), capfd.readouterr()
        assert "\n" not in message
        if clean:
            assert list((tmp_path / "outputs").glob("[!.]*/")) == []
        return message

    return run


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of two classes to damage."""
    for index in range(20):
        write_image(tmp_path / "mine" / ("yes" if index % 2 else "no") / f"{index}.png", seed=index)
    return tmp_path / "mine"


@pytest.fixture
def lgg(tmp_path: Path) -> Path:
    """Two cases in the layout of kaggle_3m to damage."""
    for case in ("A", "B"):
        for number in range(1, 6):
            write_image(tmp_path / "kaggle_3m" / case / f"{case}_{number}.tif", seed=number, size=(64, 64))
            mask = np.full((64, 64), 255 * (number % 2), np.uint8)
            Image.fromarray(mask).save(tmp_path / "kaggle_3m" / case / f"{case}_{number}_mask.tif")
    return tmp_path / "kaggle_3m"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["modle=resnet18"], "modle"),
        (["model=resnet19"], "Could not find 'model/resnet19'"),
        (["typo=1"], "typo"),
        (["+typo=1"], "unknown key typo"),
        (["+data.typo=1"], "data: .*unexpected keyword argument 'typo'"),
        (["+model.typo=1"], "model: .*unexpected keyword argument 'typo'"),
        (["+transforms.typo=1"], "transforms: .*unexpected keyword argument 'typo'"),
        (["+optimizer.typo=1"], "optimizer: .*unexpected keyword argument 'typo'"),
        (["+trainer.typo=1"], "trainer: .*unexpected keyword argument 'typo'"),
        (["optimizer.lr=0"], "optimizer.lr=0"),
        (["optimizer.lr=-1"], "Invalid learning rate"),
        (["data.batch_size=0"], "data.batch_size=0: must be at least 1"),
        (["data.test_fraction=1.5"], "data.test_fraction=1.5"),
        (["data.val_fraction=-1"], "data.val_fraction=-1"),
        (["data.positive=tumor"], "data.positive=tumor: the classes are no tumour, tumour"),
        (["data.split=half"], "data.split=half: choose one of"),
        (["seed=abc"], "seed=abc: must be an integer"),
        (["resume=no"], "resume=no: must be true or false"),
        (["trainer.max_epochs=abc"], "trainer.max_epochs=abc: must be an integer or null"),
        (["data.split_seed=0.5"], "data.split_seed=0.5: must be an integer"),
        (["data.size=[32,32]"], r"data.size=\[32, 32\]: must be an integer"),
        (["transforms.flip=often"], "transforms.flip=often: must be a number"),
        (["optimizer.lr=high"], "optimizer.lr=high: must be a number"),
        (["data._target_=nowhere.Data"], "nowhere"),
        (["experiment=25"], "experiment=25: a row of the paper's table, 1 to 20"),
        (["paper=glob(*"], "not understood; write paper=19"),
        (["data.split=none"], "data.split=none: leaves no slice to train on"),
        (["data.batch_size=1"], "data.batch_size=1: the last of .* is alone in its batch"),
        (["+trainer.gradient_clip_val=1"], "trainer.gradient_clip_val: needs optimizer.fused=false"),
        (["data.cases=0"], "data.cases=0"),
        (["data.cases=1", "data.split=patient"], "1 patient .*cannot be divided"),
        (["data.size=8"], "data.size=8"),
        (["trainer.max_epochs=0"], "trainer.max_epochs=0"),
        (["model.dropout=2"], "model.dropout=2"),
        (
            ["model.backbone=resnet19"],
            "model.backbone=resnet19: neither torchvision nor timm .*similar names: resnet18",
        ),
        (["model.weights=nowhere.pth"], "model.weights=nowhere.pth: no such file"),
        (["data=folder"], "data.root"),
        (["data=folder", "data.root=nowhere"], "data.root=nowhere: no such folder"),
        (["data=lgg", "data.root=holiday"], "data.root=holiday: no kaggle_3m folder"),
        (["output_dir=/dev/null/x"], "/dev/null"),
    ],
)
def test_bad_values(refusal: Refusal, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.txt").touch()
    small = [value for value in SMALL if not (value.startswith("data.") and "data=" in "".join(arguments))]
    with_defaults = [value for value in small if value.split("=")[0] not in {a.split("=")[0] for a in arguments}]
    assert re.search(message, refusal("train", *with_defaults, *arguments))


def test_one_name_is_no_list(refusal: Refusal) -> None:
    assert "trusted=mine: must be a list" in refusal("evaluate", "run=nowhere", "trusted=mine")


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\ncut"])
def test_a_damaged_image(refusal: Refusal, mine: Path, content: bytes) -> None:
    (mine / "no" / "0.png").write_bytes(content)
    assert "mine/no/0.png" in refusal("train", "data=folder", "data.root=mine")


def test_one_class(refusal: Refusal, mine: Path) -> None:
    for path in (mine / "no").iterdir():
        path.unlink()
    assert "found 1 class folder(s) with images (yes)" in refusal("train", "data=folder", "data.root=mine")
    assert "found 1 class folder(s)" in refusal("verify", "data=folder", "data.root=mine")


def test_an_empty_root(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "data.root=empty: the folder is empty" in refusal("train", "data=folder", "data.root=empty")


def test_patients_wanted_where_none_are_known(refusal: Refusal, mine: Path) -> None:
    assert mine.exists()
    message = refusal("train", "data=folder", "data.root=mine", "data.split=patient")
    assert "names no patients. Give data.patient_pattern" in message


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda tree: (tree / "A" / "A_1.tif").unlink(), "A_1_mask.tif: mask without image"),
        (lambda tree: (tree / "A" / "A_1_mask.tif").unlink(), "A_1.tif: image without mask"),
        (lambda tree: write_image(tree / "A" / "A_1.tif", size=(32, 64)), "its image 32x64"),
        (lambda tree: write_image(tree / "A" / "A_1_mask.tif", size=(64, 64), mode="L"), "must have two values"),
    ],
)
def test_masks_that_do_not_fit(refusal: Refusal, lgg: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(lgg)
    assert message in refusal("train", "data=lgg", f"data.root={lgg}")


def test_no_tumour_anywhere(refusal: Refusal, lgg: Path) -> None:
    for mask in lgg.glob("*/*_mask.tif"):
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(mask)
    assert "no slice of the class 'tumour'" in refusal("train", "data=lgg", f"data.root={lgg}")


def test_runs_that_are_none(refusal: Refusal, tmp_path: Path) -> None:
    assert "no finished run there" in refusal("evaluate", "run=nowhere")
    (tmp_path / "results.json").write_text("{")
    assert "damaged or unreadable" in refusal("evaluate", "run=.")
    (tmp_path / "results.json").write_text("{}")
    assert "not a record of brain_tumor" in refusal("evaluate", "run=.")
    assert "run" in refusal("evaluate")


def test_a_folder_that_holds_a_run(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "taken" / "checkpoints").mkdir(parents=True)
    assert "taken: holds a run already" in refusal("train", "hydra.run.dir=taken", "resume=false")


def test_a_folder_of_another_configuration(refusal: Refusal, tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    (folder / "checkpoints").mkdir(parents=True)
    run_folder.mark(folder, "12345678")
    run_folder.mark(folder, "12345678")
    assert "taken: holds a run of another configuration" in refusal("train", *SMALL, "hydra.run.dir=taken")
    assert not (folder / "error.txt").exists()


def test_no_network_for_the_real_data(refusal: Refusal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(handle: str, output_dir: str) -> None:
        Path(output_dir, "half.zip").touch()
        raise ConnectionError(f"{handle} is out of reach")

    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=download))
    message = refusal("train", "data=lgg", "data.root=lgg")
    assert "cannot be fetched (mateuszbuda/lgg-mri-segmentation is out of reach). Download it in a browser" in message
    assert [path.name for path in tmp_path.iterdir() if "lgg" in path.name and path.suffix != ".lock"] == []


def test_foreign_weights_and_checkpoints(refusal: Refusal, tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(1)}, tmp_path / "foreign.pth")
    assert "weights of another model" in refusal("train", *SMALL[:-1], "model.weights=foreign.pth")
