"""Whatever happens to files, of a call before and during it: a reason, a row, and the others' results."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from brain_tumor import predict
from brain_tumor.inference import opening, pipeline
from brain_tumor.inference.base import Outputs
from brain_tumor.inference.output_folder import Predictions
from brain_tumor.inference.predictor import Predictor
from brain_tumor.scans import cases
from tests.test_predict import write_nifti
from tests.told import Told, classifier, segmenter

YES = classifier(["no", "yes"], "yes", "yes")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Three pictures, each of its own brightness."""
    (tmp_path / "in").mkdir()
    for name, value in (("001", 100), ("1e5", 150), ("NA", 200)):
        _write(tmp_path / "in" / f"{name}.png", value)
    return tmp_path / "in"


def _write(path: Path, value: int) -> None:
    Image.fromarray(np.full((32, 32, 3), value, np.uint8)).save(path)


def _run(predictor: Predictor, folder: Path, out: Path, **settings: Any) -> tuple[pd.DataFrame, Predictions]:
    """Predict what is in a folder; return cases.csv as it stands there."""
    found = cases.find(str(folder), {})[0]
    written = Predictions(out, predictor.identity)
    pipeline.run(predictor, found, written, "maximum", overlays=False, **settings)
    written.finish([case.name for case in found], predictor.describe())
    return pd.read_csv(out / "cases.csv", dtype=str, keep_default_na=False).set_index("case"), written


def _times(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / ".cases").glob("*.json")}


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command's own function on a run that is told what to say."""
    defaults: dict[str, Any] = {
        "run": "told", "input": None, "detector": None, "types": None, "threshold": None, "preset": "maximum",
        "keep_from": None,
        "overlays": False, "pages": False, "part": None, "output_dir": "out", "trusted": [], "sequences": {},
        "patient_pattern": None, "study": None, "register": "none", "mask_grids": None,
    }  # fmt: skip

    def run(told: Told, **settings: Any) -> int:
        monkeypatch.setattr(opening, "open_run", lambda *_: told)
        return predict.predict({**defaults, **settings})

    return run


def test_names_stay_as_they_are(scans: Path, tmp_path: Path) -> None:
    table, written = _run(Predictor(YES), scans, tmp_path / "out")
    assert list(table.index) == ["001", "1e5", "NA"]
    lines = written.overview("yes").splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["001", "1e5", "NA"]
    assert lines[0].split() == ["case", "slices", "largest", "p(yes)", "note"]
    assert lines[2].split() == ["1e5", "1", "0.588"]


def test_every_case_has_failed(
    scans: Path, tmp_path: Path, whole: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for path in scans.iterdir():
        path.write_text("no picture")
    assert whole(YES, input=str(scans), output_dir=str(tmp_path / "out")) == 3
    table = pd.read_csv(tmp_path / "out" / "cases.csv", dtype=str, keep_default_na=False)
    assert list(table["status"]) == ["failed"] * 3
    assert list(pd.read_csv(tmp_path / "out" / "slices.csv", dtype=str, keep_default_na=False)["case"]) == [
        "001", "1e5", "NA",
    ]  # fmt: skip
    assert json.loads((tmp_path / "out" / "predict.json").read_text())["failed"] == 3
    said = capsys.readouterr()
    failed = [line for line in said.err.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 3
    assert all("001.png" in line and "not a readable image" in line for line in failed[:1])
    assert "not a medical device" in said.out


def test_a_failure_names_its_file(
    tmp_path: Path, whole: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    write_nifti(tmp_path / "scan.nii.gz", np.ones((4, 8, 8), np.float32))
    content = (tmp_path / "scan.nii.gz").read_bytes()
    (tmp_path / "scan.nii.gz").write_bytes(content[: len(content) // 2])
    assert whole(YES, input=str(tmp_path / "scan.nii.gz"), output_dir=str(tmp_path / "out")) == 1
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("failed: scan: "))
    assert str(tmp_path / "scan.nii.gz") in line


def test_what_was_skipped_is_said(
    scans: Path, tmp_path: Path, whole: Callable[..., int], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    found = cases.find(str(scans), {})
    skipped = {scans / f"{number}.nrrd": "NRRD is not read here" for number in range(13)}
    monkeypatch.setattr(cases, "find", lambda *_: (found[0], 5, skipped))
    assert whole(YES, input=str(scans), output_dir=str(tmp_path / "out")) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("skipped: ")]
    assert len(lines) == 11
    assert lines[0] == f"skipped: {scans}/0.nrrd: NRRD is not read here"
    assert lines[-1] == "skipped: 3 more, which predict.json lists"
    described = json.loads((tmp_path / "out" / "predict.json").read_text())
    assert described["passed over"] == 5
    assert described["skipped"] == {str(path): reason for path, reason in skipped.items()}


def test_the_record_says_what_counts(scans: Path, tmp_path: Path, whole: Callable[..., int]) -> None:
    told = classifier(["ill", "well"], "ill", "ill", threshold=0.37, threshold_origin="validation part")
    whole(told, input=str(scans), output_dir=str(tmp_path / "out"))
    described = json.loads((tmp_path / "out" / "predict.json").read_text())
    assert described["positive"] == {"told": "ill"}
    assert (described["threshold"], described["threshold_from"]) == (0.37, "validation part")
    assert described["thresholds"] == {"told": {"value": 0.37, "origin": "validation part"}}
    times = _times(tmp_path / "out")
    whole(told, input=str(scans), output_dir=str(tmp_path / "out"))
    assert _times(tmp_path / "out") == times
    # With another threshold, temperature or class that is positive, the same weights say something else.
    for changes in ({"threshold": 0.4}, {"temperatures": {"told": 2.0}}, {"positive": "well"}):
        whole(Told(**{**vars(told), **changes}), input=str(scans), output_dir=str(tmp_path / "out"))
        again = _times(tmp_path / "out")
        assert all(again[name] != times[name] for name in times), changes
        times = again


def test_a_file_that_vanishes_fails_alone(scans: Path, tmp_path: Path) -> None:
    real = YES.say

    def say(fitted: NDArray[np.uint8]) -> Outputs:
        (scans / "NA.png").unlink(missing_ok=True)  # while the first is looked at
        return real(fitted)

    class Slow(Predictor):
        @property
        def batch(self) -> int:
            return 1

    told = Told(say, YES.classes, YES.positive)
    (scans / "001.png").rename(scans / "000.png")
    for number in range(6):
        _write(scans / f"0{number}.png", 90)
    table, _ = _run(Slow(told), scans, tmp_path / "out")
    assert (table["status"] == "ok").sum() == 8
    assert table.loc["NA", "status"] == "failed"
    assert "NA.png" in str(table.loc["NA", "reason"])


def test_a_volume_that_vanishes_before_its_mask_is_written_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        write_nifti(tmp_path / "in" / f"{name}.nii.gz", np.random.default_rng(0).uniform(0, 1, (4, 16, 16)))
    real = segmenter().say

    def say(fitted: NDArray[np.uint8]) -> Outputs:
        (tmp_path / "in" / "a.nii.gz").unlink(missing_ok=True)
        return real(fitted)

    told = Told(say, ["no tumour", "tumour"], "tumour", task="segmentation")
    table, _ = _run(Predictor(told), tmp_path / "in", tmp_path / "out")
    assert dict(table["status"]) == {"a": "failed", "b": "ok"}
    assert table.loc["a", "reason"] == "has changed, or gone, while it was looked at"
    assert (tmp_path / "out" / "masks" / "b.nii.gz").exists()


def test_a_file_that_changes_meanwhile_is_done_again(scans: Path, tmp_path: Path) -> None:
    real = YES.say

    def say(fitted: NDArray[np.uint8]) -> Outputs:
        _write(scans / "NA.png", 20)
        return real(fitted)

    first, _ = _run(Predictor(Told(say, YES.classes, YES.positive)), scans, tmp_path / "out")
    assert float(str(first.loc["NA", "p_max"])) == pytest.approx(200 / 255)
    table, _ = _run(Predictor(Told(real, YES.classes, YES.positive)), scans, tmp_path / "out")
    assert float(str(table.loc["NA", "p_max"])) == pytest.approx(20 / 255)
    times = _times(tmp_path / "out")
    _run(Predictor(Told(real, YES.classes, YES.positive)), scans, tmp_path / "out")
    assert _times(tmp_path / "out") == times


def test_what_is_kept_damaged_or_of_another_format_is_done_again(scans: Path, tmp_path: Path) -> None:
    predictor, out = Predictor(segmenter()), tmp_path / "out"
    expected, _ = _run(predictor, scans, out)
    kept = out / ".cases" / "001.json"
    whole = json.loads(kept.read_text())
    old = {**whole, "made with": {**whole["made with"], "format": 2}}
    del old["files"]
    for content in (b"", b"{", b"[]", b"\xff\xfe", b'{"made with": 3}', json.dumps(old).encode()):
        kept.write_bytes(content)
        # Until it is done again, it is no result.
        written = Predictions(out, predictor.identity)
        written.finish(["001", "1e5", "NA"], {})
        assert list(pd.read_csv(out / "cases.csv", keep_default_na=False)["case"]) == ["1e5", "NA"]
        table, _ = _run(predictor, scans, out)
        pd.testing.assert_frame_equal(table, expected)
    (out / "masks" / "NA_mask.png").unlink()
    _run(predictor, scans, out)
    assert (out / "masks" / "NA_mask.png").exists()


def test_pictures_of_other_models_and_of_what_a_file_was_before_go(scans: Path, tmp_path: Path) -> None:
    def written() -> set[str]:
        out = tmp_path / "out"
        return {path.name for name in ("masks", "pages") for path in (out / name).glob("[!.]*")}

    names = ("001", "1e5", "NA")
    _run(Predictor(segmenter()), scans, tmp_path / "out", pages=True)
    assert written() == {f"{name}{suffix}" for name in names for suffix in ("_mask.png", ".html")}
    _run(Predictor(segmenter()), scans, tmp_path / "out")
    assert len(written()) == 6, "nothing is done again for want of a wish"
    (scans / "NA.png").write_text("no picture")
    _run(Predictor(segmenter()), scans, tmp_path / "out", pages=True)
    assert written() == {f"{name}{suffix}" for name in names[:2] for suffix in ("_mask.png", ".html")}
    _run(Predictor(YES), scans, tmp_path / "out")
    assert written() == set()


def test_a_network_that_gives_no_numbers_is_no_verdict() -> None:
    told = Told(lambda fitted: Outputs(np.full((len(fitted), 2), np.nan), None, None), YES.classes, "yes")
    with pytest.raises(ValueError, match=r"run=told: its network gives no numbers \(NaN\)"):
        Predictor(told).predict([cases.Slices(np.zeros((1, 8, 8, 3), np.uint8))])


def test_what_it_writes_is_marked_as_no_input(scans: Path) -> None:
    """Also where it is written into the folder of the input itself, which is not marked."""
    _, written = _run(Predictor(segmenter()), scans, scans / "predictions", pages=True)
    assert {path.parent.name for path in scans.rglob(".brain_tumor")} == {".cases", "masks", "pages"}
    assert written.folder == scans / "predictions"


def test_a_name_that_is_no_unicode_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    _write(tmp_path / "a.png", 100)
    shutil.copy(tmp_path / "a.png", tmp_path / "in" / os.fsdecode(b"T\xeate.png"))
    table, written = _run(Predictor(YES), tmp_path / "in", tmp_path / "out")
    assert list(table["status"]) == ["ok"]
    assert table["source"].item().endswith(r"T\xeate.png")
    assert "0.392" in written.overview("yes")
