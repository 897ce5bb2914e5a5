"""A network that sees volumes: standardized, neighbours, mirrored, cleaned, averaged; in test, predict and file."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.folder import Folder
from brain_tumor.datasets.phantom import Phantom
from brain_tumor.inference import doubts, trained
from brain_tumor.io import run_lengths
from brain_tumor.scans import fitted
from brain_tumor.scans.cases import Slices
from brain_tumor.scans.volumes import Grid, Volume
from tests import told, toy_data
from tests.conftest import Command, data_of, run_folder, write_image

pytest.importorskip("onnxruntime")
VOLUMES = [
    "data.intensities=volume", "data.neighbours=1", "transforms.strip=0.5", "transforms.elastic=0.01",
    "transforms.gamma=0.2", "transforms.contrast=0.2", "transforms.brightness=0.2", "model.mirror=true",
    "model.components=0.3", "average_weights=0.9", "data.cases=6", "data.size=64", "data.folds=3", "data.fold=0",
    "model.weights=none",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("volumes")
    return folder / run_folder(
        command("train", "recipe=localization", "trainer.max_epochs=2", *VOLUMES, cwd=folder).stdout
    )


def test_the_record_says_what_the_network_sees(run: Path) -> None:
    record = json.loads((run / "results.json").read_text())
    seen = {name: record["hyperparameters"][name] for name in ("intensities", "neighbours", "strip", "mirror")}
    assert seen == {"intensities": "volume", "neighbours": 1, "strip": 0.5, "mirror": True}
    assert record["hyperparameters"]["average_weights"] == 0.9
    assert record["hyperparameters"]["components"] == 0.3
    assert record["data"]["neighbours"] == {"count": 1, "mm": None}


def test_predict_and_the_exported_file_give_the_recorded_test(run: Path, command: Command, tmp_path: Path) -> None:
    recorded = pd.read_csv(run / "predictions.csv", keep_default_na=False)
    opened = trained.open_run(run)
    root = opened.data().dataset.listing().root
    for case in set(recorded["case"]):
        (tmp_path / "in").mkdir(exist_ok=True)
        for path in (root / case).glob("*[0-9].tif"):
            (tmp_path / "in" / path.name).symlink_to(path)
    pattern = "patient_pattern='^(?P<patient>.+)_(?P<slice>[0-9]+)'"
    command("export", f"run={run}", "to=model.onnx", cwd=tmp_path)
    for name, exact in ((run, True), ("model.onnx", False)):
        arguments = [f"run={name}", "input=in", pattern, f"output_dir=out{exact}"]
        command("predict", *arguments, cwd=tmp_path)
        slices = pd.read_csv(tmp_path / f"out{exact}" / "slices.csv")
        table = recorded.merge(slices, on=["case", "slice"], suffixes=("", " now"))
        assert len(table) == len(recorded) == len(slices)
        np.testing.assert_allclose(table["p(tumour) now"], table["p(tumour)"], atol=0 if exact else 0.01)
        if exact:
            np.testing.assert_array_equal(table["area_px"], table["predicted_area"])
    masks = sorted((tmp_path / "outTrue" / "masks").glob("*_mask.png"))
    assert len(masks) == len(recorded)
    own = run_lengths.from_kaggle(recorded["run_lengths"].iloc[0], 256, 256)
    named = f"{recorded['case'].iloc[0]}_{recorded['slice'].iloc[0]}_mask.png"
    assert own.sum() == recorded["predicted_area"].iloc[0]
    assert (tmp_path / "outTrue" / "masks" / named).exists()


def test_evaluate_gives_the_recorded_test_and_others_where_asked(run: Path, command: Command, tmp_path: Path) -> None:
    recorded = json.loads((run / "results.json").read_text())["test"]
    scores: dict[str, Any] = {}
    for name, how in {
        "same": [],
        "plain": ["mirror=false", "components=0"],
        "bare": ["skull=remove"],
    }.items():
        folder = command("evaluate", f"run={run}", *how, cwd=tmp_path).stdout.strip().rpartition("evaluation: ")[2]
        scores[name] = json.loads(Path(folder, "results.json").read_text())["test"]
    assert scores["same"]["dice"] == recorded["dice"]
    assert scores["same"]["auroc"] == recorded["auroc"]
    assert scores["plain"]["auroc"] != recorded["auroc"]
    assert scores["bare"]["auroc"] != recorded["auroc"]
    for wrong, message in (
        ("components=20", "components=20: a share of the largest"),
        ("mirror=no", "mirror=no: choose"),
    ):
        refused = command("evaluate", f"run={run}", wrong, cwd=tmp_path, check=False)
        assert refused.returncode == 1
        assert f"error: {message}" in refused.stderr


def test_a_training_cut_off_after_its_last_epoch_is_tested_as_its_checkpoint_is(
    run: Path, command: Command, tmp_path: Path
) -> None:
    """The average of its weights is in the checkpoint; Lightning does not bring it back into the model."""
    recorded = json.loads((run / "results.json").read_text())["test"]
    again = tmp_path / run.parent.name / run.name
    shutil.copytree(run, again, ignore=shutil.ignore_patterns("results.json", "predictions.csv", "evaluations"))
    finished = command("train", "recipe=localization", "trainer.max_epochs=2", *VOLUMES, cwd=tmp_path)
    assert "goes on from its last checkpoint" in finished.stdout
    assert json.loads((again / "results.json").read_text())["test"]["dice"] == recorded["dice"]


def test_rows_of_a_data_module_are_what_predict_makes_of_a_case(cache_dir: Path) -> None:
    transforms = Transforms(normalize=True)
    settings = {"cache_dir": str(cache_dir), "cases": 6, "size": 64, "intensities": "volume", "neighbours": 1}
    data = data_of(Phantom, transforms=transforms, split="patient", **settings)
    data.setup()
    case = data.table["case"].iloc[-1]
    rows = np.flatnonzero(data.table["case"] == case)
    numbers = data.table["slice"].to_numpy(np.int64)[rows]
    expected = fitted.of_volume(data.decoded.images[rows], standardized=True, neighbours=1, numbers=numbers)
    served = data.store.fitted(rows)
    np.testing.assert_array_equal(served.images, expected.images)
    assert served.statistics is not None
    assert expected.statistics is not None
    np.testing.assert_array_equal(served.statistics, expected.statistics)


def test_masks_of_brains_take_the_place_of_the_outline(tmp_path: Path, cache_dir: Path) -> None:
    disc: NDArray[np.bool_] = np.hypot(*(np.indices((toy_data.SIDE, toy_data.SIDE)) - toy_data.SIDE / 2)) < 15

    class Masked(toy_data.Spots):
        def brain_mask(self, path: str) -> NDArray[np.bool_]:
            assert (tmp_path / path).exists()
            return disc

    transforms = Transforms(normalize=True, strip=1)
    settings = {"root": str(tmp_path), "cache_dir": str(cache_dir), "size": toy_data.SIDE, "intensities": "volume"}
    data = data_of(Masked, transforms=transforms, **settings)
    data.setup()
    depths = data.store.depths
    assert depths is not None
    assert ((depths.numpy() > 0) == disc).all()
    seen = data.store.batch(torch.arange(4), torch.device("cpu")).inputs
    background = seen[:, :, ~torch.from_numpy(disc)]
    assert torch.equal(background, background[:, :, :1].expand_as(background))
    outlined = data_of(toy_data.Spots, transforms=transforms, **settings)
    outlined.setup()
    assert outlined.store.depths is not None
    assert not torch.equal(outlined.store.depths, depths)


def test_a_full_disk_is_said_before_it_is_written(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing into a map of a file that the disk has no room for would kill the process."""
    settings: dict[str, Any] = {"root": str(tmp_path), "cache_dir": str(cache_dir), "size": 40}
    data_of(toy_data.Spots, transforms=Transforms(), **settings).setup()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    data = data_of(toy_data.Spots, transforms=Transforms(normalize=True), intensities="volume", **settings)
    with pytest.raises(ValueError, match="Make room, or choose another cache_dir"):
        data.setup()


@pytest.mark.parametrize(
    ("spacing", "count", "trained", "said"),
    [
        (5.0, 9, 5.0, ""),
        (1.0, 20, 5.0, ""),
        (4.0, 9, None, ""),
        (1.0, 4, 5.0, "here are none, and each slice stands in for them"),
        (10.0, 9, 5.0, "5 mm apart in training and 10 mm here"),
        (np.nan, 9, 5.0, "how far apart they are is unknown here"),
        (5.0, 1, 5.0, "here are none"),
    ],
)
def test_other_neighbours_than_in_training_are_said(
    spacing: float, count: int, trained: float | None, said: str
) -> None:
    volume = Volume(np.ones((20, 20, count), np.float32), np.diag([1.0, 1, spacing, 1]), measured=spacing == spacing)
    if np.isnan(spacing):
        volume = replace(volume, affine=np.eye(4))
    grid = Grid.of(volume)
    case = Slices(np.zeros((count, 20, 20, 3), np.uint8), (), grid.millimetres, volume, grid)
    lines = doubts.surroundings(case, {"run": told.segmenter(neighbours=1, neighbour_mm=trained)})
    assert len(lines) == bool(said)
    assert said in "".join(lines)
    picture = Slices(np.zeros((1, 20, 20, 3), np.uint8))
    (alone,) = doubts.surroundings(picture, {"run": told.segmenter(intensities="volume")})
    assert alone == "the run saw whole volumes in training; here is a single picture alone"
    assert doubts.surroundings(picture, {"run": told.segmenter()}) == []


def test_slices_without_a_volume_are_measured_alone(tmp_path: Path, cache_dir: Path) -> None:
    for number in range(4):
        for place, name in enumerate(("yes", "no")):
            write_image(tmp_path / "data" / name / f"{number}.png", 4 * place + number)
    settings = {"root": str(tmp_path / "data"), "cache_dir": str(cache_dir), "size": 32, "intensities": "volume"}
    data = data_of(Folder, transforms=Transforms(normalize=True), **settings)
    data.setup()
    served = data.store.fitted(np.arange(8))
    for row in range(8):
        alone = fitted.of_volume(data.decoded.images[[row]], standardized=True)
        assert served.statistics is not None
        assert alone.statistics is not None
        np.testing.assert_array_equal(served.statistics[row], alone.statistics[0])
    for changed, message in (
        ({"neighbours": 1}, "data.neighbours=1: this data names no neighbouring slices"),
        ({"skull": "remove"}, "data.skull=remove: needs volumes"),
    ):
        other = data_of(Folder, transforms=Transforms(normalize=True), **settings, **changed)
        with pytest.raises(ValueError, match=message):
            other.setup()


@pytest.mark.parametrize(
    ("settings", "transforms", "message"),
    [
        ({"intensities": "volume"}, {}, "data.intensities=volume: standardizes; set transforms.normalize=true"),
        ({"intensities": "volume", "crop": "tumour"}, {"normalize": True}, "needs whole slices, not data.crop=tumour"),
        ({}, {"strip": 0.5}, "transforms.strip=0.5: without its skull a slice is scaled otherwise"),
        ({"intensities": "case"}, {}, "data.intensities=case: choose one of file, volume"),
        ({"skull": "no"}, {}, "data.skull=no: choose one of keep, remove"),
        ({"neighbours": -1}, {}, "data.neighbours=-1: must be at least 0"),
        ({"neighbours": 1, "crop": "tumour"}, {}, "data.neighbours=1: needs whole slices, not data.crop=tumour"),
        ({"skull": "remove", "crop": "tumour"}, {}, "data.skull=remove: needs whole slices, not data.crop=tumour"),
    ],
)
def test_refuses_what_does_not_fit(
    settings: dict[str, Any], transforms: dict[str, Any], message: str, cache_dir: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        data_of(Phantom, transforms=Transforms(**transforms), cache_dir=str(cache_dir), cases=6, **settings).setup()
