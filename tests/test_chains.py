"""Detect, localize, type: runs in one command, each fed the sequences that it has learnt from."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from brain_tumor import predict
from brain_tumor.datasets import phantom
from brain_tumor.inference import trained
from brain_tumor.inference.opening import open_run
from brain_tumor.inference.prediction import summarise
from brain_tumor.inference.predictor import Predictor
from brain_tumor.scans import cases
from tests.conftest import SMALL, Command, run_folder
from tests.test_predict import write_nifti

_DEFAULTS: dict[str, Any] = {
    "input": None, "patient_pattern": None, "detector": None, "types": None, "threshold": 0.5, "preset": "maximum",
    "keep_from": None,
    "study": None, "register": "none", "mask_grids": None, "overlays": False, "pages": False, "part": None,
    "output_dir": "predictions", "trusted": [],
}  # fmt: skip
CLASSES = ["glioma", "meningioma", "pituitary tumour"]


@pytest.fixture(scope="module")
def pictures() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A phantom's slices (n, 256, 256, 3)."""
    return np.stack([image for image, _ in phantom.draw_case(0, 1)])


@pytest.fixture(scope="module")
def types(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classifier of three types, told apart by brightness, on a folder of pictures."""
    home = tmp_path_factory.mktemp("types")
    for place, name in enumerate(CLASSES):
        (home / "data" / name).mkdir(parents=True)
        for number in range(8):
            image = np.random.default_rng(number).integers(80 * place, 80 * place + 60, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(image).save(home / "data" / name / f"{number}.png")
    arguments = ["data=folder", "data.root=data", *(own for own in SMALL if "cases" not in own)]
    return home / run_folder(command("train", *arguments, cwd=home).stdout)


@pytest.fixture(scope="module")
def cheng(types: Path) -> Path:
    """The same classifier, as if it had been trained on the Cheng data, which is T1 after contrast alone."""
    copy = types.parent / "cheng"
    shutil.copytree(types, copy)
    record = json.loads((copy / "results.json").read_text())
    record["data"] |= {"kind": "cheng", "sequences": ["t1ce"] * 3}
    (copy / "results.json").write_text(json.dumps(record))
    return copy


def test_detect_localize_and_type_in_one_command(
    segmenter: Path, detector: Path, types: Path, pictures: Any, tmp_path: Path, command: Command
) -> None:
    write_nifti(tmp_path / "scan.nii.gz", pictures[..., 1])
    (case,), *_ = cases.find(str(tmp_path / "scan.nii.gz"), {})
    (alone,) = Predictor(trained.open_run(detector), None, 0.5).predict([cases.read(case, "maximum", True)])
    threshold = alone.table["p(tumour)"].median()  # which the detector of few epochs gives half of the slices
    runs = [f"run={segmenter}", f"detector={detector}", f"types={types}", f"threshold={threshold}"]
    finished = command("predict", *runs, "input=scan.nii.gz", "output_dir=out", "pages=true", cwd=tmp_path)
    slices = pd.read_csv(tmp_path / "out" / "slices.csv")
    columns = [f"type p({name})" for name in CLASSES]
    told = slices[slices["area_px"] > 0]
    assert 0 < len(told) < len(slices)
    np.testing.assert_allclose(told[columns].sum(axis=1), 1)
    assert slices.loc[slices["area_px"] == 0, ["type", *columns]].isna().all(axis=None)
    assert list(told["type"]) == [str(name)[len("type p(") : -1] for name in told[columns].idxmax(axis=1)]
    (row,) = pd.read_csv(tmp_path / "out" / "cases.csv").to_dict("records")
    assert row["type"] in CLASSES
    assert row["type"] in finished.stdout
    for name in columns:
        assert row[name] == pytest.approx(told[name].mean())
    described = json.loads((tmp_path / "out" / "predict.json").read_text())
    assert described["types"] == str(types)
    assert set(described["weights"]) == {str(own) for own in (segmenter, detector, types)}
    _check_page((tmp_path / "out" / "pages" / "scan.html").read_text(), len(slices), tmp_path)


def _check_page(page: str, count: int, home: Path) -> None:
    """A page stands by itself: pictures inside, nothing from elsewhere."""
    assert page.count("data:image/jpeg;base64,") == count
    assert "data:image/png;base64," in page
    assert not re.search(r"""(src|href)=["']|https?://|url\(|@import|""" + re.escape(str(home)), page)
    assert len(page) < 5_000_000


def test_a_segmenter_that_is_sure_keeps_its_masks_against_a_detector(
    segmenter: Path, detector: Path, pictures: Any, tmp_path: Path, command: Command
) -> None:
    """In `predict`; `evaluate` takes the same function."""
    write_nifti(tmp_path / "scan.nii.gz", pictures[..., 1])
    ((case,), *_) = cases.find(str(tmp_path / "scan.nii.gz"), {})
    read = cases.read(case, "maximum", True)
    runs = [trained.open_run(segmenter), trained.open_run(detector)]
    (alone,) = Predictor(runs[0]).predict([read])
    sure = alone.table["p(tumour)"].where(alone.table["area_px"] > 0)
    keep_from = float(sure.median())
    arguments = [f"run={segmenter}", f"detector={detector}", "threshold=1.0", f"keep_from={keep_from}"]
    command("predict", *arguments, "input=scan.nii.gz", "output_dir=out", cwd=tmp_path)
    kept = pd.read_csv(tmp_path / "out" / "slices.csv")["area_px"]
    np.testing.assert_array_equal(kept, alone.table["area_px"].where(sure >= keep_from, 0))
    assert 0 < (kept > 0).sum() < (alone.table["area_px"] > 0).sum()
    assert json.loads((tmp_path / "out" / "predict.json").read_text())["keep_from"] == keep_from


def test_each_run_sees_its_own_sequences(segmenter: Path, cheng: Path, pictures: Any, tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name}.nii.gz" for name in cases.SEQUENCES}
    for channel, path in enumerate(paths.values()):
        write_nifti(path, pictures[..., channel])
    runs = [trained.open_run(own) for own in (segmenter, cheng)]
    predictor = Predictor(runs[0], None, 0.5, runs[1])
    ((case,), *_) = cases.find(None, {name: str(path) for name, path in paths.items()}, ("flair", "t1ce"))
    slices = predictor.read(case, "maximum")
    assert not isinstance(slices, str)
    (found,) = predictor.predict([slices])
    # The same slices, T1 after contrast alone.
    ((alone,), *_) = cases.find(None, {"t1ce": str(paths["t1ce"])}, ("t1ce",))
    (expected,) = Predictor(runs[1], None, 0.5).predict([cases.read(alone, "maximum", True)])
    told = found.tumours
    assert len(told)
    for name in CLASSES:
        np.testing.assert_allclose(
            found.table.loc[told, f"type p({name})"], expected.table.loc[told, f"p({name})"], rtol=1e-5
        )
    np.testing.assert_array_equal(cases.read(alone, "maximum", True).images[..., 0], slices.images[..., 2])


def test_types_are_told_of_what_a_classifier_finds(detector: Path, types: Path, pictures: Any, tmp_path: Path) -> None:
    for place, image in enumerate(pictures[:6]):
        Image.fromarray(image).save(tmp_path / f"{place}.png")
    found, *_ = cases.find(str(tmp_path), {})
    read = [cases.read(case, "maximum", True) for case in found]
    runs = [trained.open_run(own) for own in (detector, types)]
    chances = [own.table["p(tumour)"][0] for own in Predictor(runs[0], None, 0.5).predict(read)]
    threshold = float(np.median(chances))
    together = Predictor(runs[0], None, threshold, runs[1]).predict(read)
    assert [bool(own.table["type"].notna()[0] and own.table["type"][0]) for own in together] == [
        chance >= threshold for chance in chances
    ]
    none = Predictor(runs[0], None, 1.0, runs[1]).predict(read)
    assert summarise(read[0], none[0])["type"] == ""


def test_runs_that_do_not_go_together_are_refused(
    segmenter: Path,
    detector: Path,
    types: Path,
    cheng: Path,
    pictures: Any,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_nifti(tmp_path / "flair.nii", pictures[:4, :, :, 0])
    monkeypatch.chdir(tmp_path)
    for arguments, message in (
        ([f"run={segmenter}", f"types={cheng}", "input=flair.nii"], "sees t1ce, but run="),
        ([f"run={segmenter}", f"types={cheng}", "sequences.flair=flair.nii"], "sequences.t1ce: is needed"),
        ([f"run={cheng}", "sequences.flair=flair.nii"], "sequences.t1ce: is needed"),
        ([f"run={types}", f"types={cheng}", "input=flair.nii"], "needs a run that tells whether there is a tumour"),
        ([f"run={segmenter}", f"types={detector}", "input=flair.nii"], "not its type; give it as detector="),
        ([f"run={detector}", f"types={segmenter}", "input=flair.nii"], "must be a classifier"),
    ):
        settings = dict(argument.split("=") for argument in arguments)
        config = {**_DEFAULTS, **settings, "sequences": {"flair": settings.get("sequences.flair")}}
        with pytest.raises(ValueError, match=re.escape(message)):
            predict.predict(config)
    finished = command("predict", f"run={segmenter}", f"types={cheng}", "input=flair.nii", cwd=tmp_path, check=False)
    assert finished.returncode == 1
    assert "instead of input=..., give sequences.t1=..., sequences.flair=..., sequences.t1ce=..." in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (tmp_path / "predictions").exists()


def test_several_runs_answer_together(
    segmenter: Path, detector: Path, types: Path, pictures: Any, tmp_path: Path, command: Command
) -> None:
    """What two folds' runs say, calibrated, is averaged; one run twice says what it says alone."""
    other, same_run = tmp_path / "runs" / "fold1", tmp_path / "runs" / "fold0"
    for folder, temperature in ((other, 0.5), (same_run, 3.0)):
        shutil.copytree(segmenter, folder)
        record = json.loads((folder / "results.json").read_text())
        record["calibration"] = {"temperature": temperature}  # as of a run with a validation part
        (folder / "results.json").write_text(json.dumps(record))
    shutil.copytree(same_run, tmp_path / "again")
    checkpoint = other / "checkpoints" / "last.ckpt"
    weights = torch.load(checkpoint, weights_only=True)
    head = next(name for name in weights["state_dict"] if name.endswith("segmentation_head.0.bias"))
    weights["state_dict"][head] += 1
    torch.save(weights, checkpoint)
    write_nifti(tmp_path / "scan.nii.gz", pictures[..., 1])
    (case,), *_ = cases.find(str(tmp_path / "scan.nii.gz"), {})
    slices = cases.read(case, "maximum", True)
    raw, low, high, same = (
        Predictor(open_run(names), None, 0.5).predict([slices])[0].table
        for names in (str(segmenter), str(same_run), str(other), [str(same_run), str(tmp_path / "again")])
    )
    np.testing.assert_array_equal(raw["area_px"], low["area_px"])
    assert raw["p(tumour)"].ne(low["p(tumour)"]).all()
    pd.testing.assert_frame_equal(same, low)
    assert open_run([str(other), str(other.parent / "*1")]).name == str(other), "named twice, it counts once"
    command("predict", "run=runs/fold*", "input=scan.nii.gz", "output_dir=out", "overlays=false", cwd=tmp_path)
    found = pd.read_csv(tmp_path / "out" / "slices.csv")
    np.testing.assert_allclose(found["p(tumour)"], (low["p(tumour)"] + high["p(tumour)"]) / 2, rtol=1e-12)
    assert low["area_px"].sum() < found["area_px"].sum() < high["area_px"].sum()
    assert json.loads((tmp_path / "out" / "predict.json").read_text())["run"] == "runs/fold0, runs/fold1"
    with pytest.raises(ValueError, match=f"{detector}: cannot answer together with {types}: its dataset is phantom"):
        open_run([str(types), str(detector)])
    with pytest.raises(ValueError, match="no finished run there"):
        open_run("nothing*")
