"""Models by name: where their files are found, what is refused, and what predicts where no run is given."""

import csv
import hashlib
import http.server
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest

from brain_tumor import predict
from brain_tumor.datasets import phantom
from brain_tumor.inference import check_slices, export, opening, trained
from brain_tumor.inference.onnx_run import OnnxRun
from brain_tumor.models import __main__ as command_
from brain_tumor.models import named
from tests.conftest import REPOSITORY
from tests.test_predict import write_nifti

EXTERNAL = REPOSITORY.parent / "shared" / "external"


@pytest.fixture(scope="module")
def files(segmenter: Path, detector: Path, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small segmenter and detector, exported under the names of models that come along."""
    folder = tmp_path_factory.mktemp("files")
    for name, home in (("lgg-localizer", segmenter), ("lgg-detector", detector)):
        run = trained.open_run(home)
        export.export(run, folder / f"{name}.onnx", check_slices.tested(run, None, str(cache_dir)), "maximum", None)
    return folder


@pytest.fixture(scope="module")
def pictures() -> Any:
    """A phantom's slices (n, 256, 256, 3)."""
    return np.stack([image for image, _ in phantom.draw_case(0, 1)])


@pytest.fixture
def listed(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installation that lists these models; the package's folder is empty, and so is the cache."""
    with (tmp_path / "models.csv").open("w", newline="") as lines:
        table = csv.DictWriter(lines, named.NamedModel._fields)
        table.writeheader()
        for path in sorted(files.glob("*.onnx")):
            facts = {"name": path.stem, "file": path.name, "bytes": path.stat().st_size}
            facts |= {"task": "x", "data": "40 phantoms", "channels": "t1, flair, t1ce", "licence": "none"}
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            table.writerow({**facts, "sha256": sha256, "expected": "Dice .5 (.4 to .6)", "start": "a random start"})
    (tmp_path / "package").mkdir()
    monkeypatch.setattr(named, "TABLE", tmp_path / "models.csv")
    monkeypatch.setattr(named, "FOLDER", tmp_path / "package")
    monkeypatch.setenv(named.CACHE, str(tmp_path / "cache"))
    for name in (named.FOLDERS, named.MIRROR):
        monkeypatch.delenv(name, raising=False)
    named.models.cache_clear()
    yield tmp_path
    named.models.cache_clear()


@pytest.fixture
def mirror(files: Path) -> Iterator[str]:
    """A server of the files on this machine."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(files))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_a_file_is_taken_from_a_given_folder_the_package_or_the_cache(
    listed: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (files / "lgg-detector.onnx").read_bytes()
    for folder in (listed / "cache" / "models", listed / "package", listed / "given"):  # the last one wins
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lgg-detector.onnx").write_bytes(content)
        monkeypatch.setenv(named.FOLDERS, str(listed / "given"))
        assert named.find("lgg-detector") == folder / "lgg-detector.onnx"
    run = opening.open_run("lgg-detector")
    assert isinstance(run, OnnxRun)
    assert (run.name, run.folder) == ("lgg-detector", listed / "given" / "lgg-detector.onnx")


def test_a_file_is_downloaded_once_and_goes_on(listed: Path, mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(named.MIRROR, mirror)
    path = named.find("lgg-detector")
    assert path == listed / "cache" / "models" / "lgg-detector.onnx"
    written = path.stat().st_mtime_ns
    assert named.find("lgg-detector") == path
    assert path.stat().st_mtime_ns == written


def test_what_is_refused_is_said_in_a_line(listed: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"^lgg-detector: lgg-detector.onnx did not come .*; put .* into .*cache"):
        named.find("lgg-detector")
    with pytest.raises(ValueError, match=r"^run=lgg-localiser: .* is lgg-localizer meant\?$"):
        opening.open_run("lgg-localiser")
    with pytest.raises(ValueError, match=r"^lgg-localiser: no such model; .* is lgg-localizer meant\?$"):
        command_.main(["show", "lgg-localiser"])
    monkeypatch.setenv(named.MIRROR, "http://127.0.0.1:9/")  # where nobody listens
    with pytest.raises(ValueError, match=r"^lgg-detector: cannot be downloaded \(.*refused.*\); put lgg-detector.onnx"):
        named.find("lgg-detector")
    content = (files / "lgg-detector.onnx").read_bytes()
    given = listed / "package" / "lgg-detector.onnx"
    given.write_bytes(content[:-9])
    with pytest.raises(ValueError, match=rf"has {len(content) - 9} bytes, lgg-detector has {len(content)}; delete it"):
        named.find("lgg-detector")
    given.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(ValueError, match=r"is not lgg-detector, its SHA-256 is \w{64}; delete it"):
        named.find("lgg-detector")
    with pytest.raises(ValueError, match="write no argument for the list, or show NAME"):
        command_.main(["list"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written(listed: Path, mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(named.MIRROR, mirror)
    (listed / "cache").mkdir(mode=0o500)
    with pytest.raises(ValueError, match=r"cannot be downloaded .*Permission denied"):
        named.find("lgg-detector")


def test_without_a_run_the_models_that_come_along_predict(
    listed: Path, files: Path, pictures: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(named.FOLDERS, str(files))
    write_nifti(listed / "scan.nii.gz", pictures[..., 1])
    config = predict_settings(input=str(listed / "scan.nii.gz"), output_dir=str(listed / "out"))
    assert predict.predict(config) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    models = "run=lgg-localizer detector=lgg-detector keep_from=0.935"
    assert first == f"no run= is given; the pretrained models predict: {models}"
    assert lines[0] == "run=lgg-localizer: trained on 40 phantoms; Dice .5 (.4 to .6)"
    assert "lgg-localizer  (x, t1, flair, t1ce" in command_.main([])
    assert command_.main(["show", "lgg-localizer"]).startswith("# lgg-localizer.onnx")
    config = {"run": None, "detector": None, "types": None, "sequences": {"t1ce": "c.nii.gz"}}
    assert opening.with_default_chain(config)["types"] == "cheng-types"
    config |= {"keep_from": 0.5, "types": "mine"}
    chosen = opening.with_default_chain(config)
    assert (chosen["run"], chosen["keep_from"], chosen["types"]) == ("lgg-localizer", 0.5, "mine")
    assert opening.with_default_chain(config | {"detector": "mine", "keep_from": None})["keep_from"] is None


def predict_settings(**changes: Any) -> dict[str, Any]:
    """The settings of `predict` as they stand in its file."""
    from omegaconf import OmegaConf

    from brain_tumor.config import typed

    settings: Any = OmegaConf.to_container(OmegaConf.load(Path(typed.CONF, "predict.yaml")))
    return {name: value for name, value in settings.items() if name not in {"defaults", "hydra"}} | changes


def test_a_file_says_how_new_a_slice_is(files: Path, detector: Path, pictures: Any) -> None:
    exported, run = OnnxRun.open(files / "lgg-detector.onnx").novelty, trained.open_run(detector).novelty
    assert exported is not None
    assert run is not None
    np.testing.assert_allclose(exported.score(pictures), run.score(pictures), rtol=0.01)
    assert (exported.score(255 - pictures) > 1).all()


def test_the_models_that_come_along_are_those_that_are_listed() -> None:
    """Each file is whole, small, and what its line and the documentation say of it; the default chain is among them."""
    named.models.cache_clear()
    page = (REPOSITORY / "docs" / "pretrained.md").read_text()
    for model in named.models().values():
        path = named.find(model.name)
        assert path.parent == named.FOLDER
        assert path.with_suffix(".md").read_text().startswith(f"# {model.file}")
        run = OnnxRun.open(path, model.name)
        assert (run.task, ", ".join(dict.fromkeys(run.sequences))) == (model.task, model.channels)
        assert run.facts["precision"] == "int8"
        assert run.novelty is not None
        assert model.bytes < 15e6
        assert f"| `{model.name}` | {model.bytes / 1e6:.1f} MB | {model.expected} |" in page
    assert sum(model.bytes for model in named.models().values()) < 40e6
    assert {*(named.CHAIN[key] for key in ("run", "detector")), named.TYPES} <= set(named.models())


def test_they_flag_what_no_patient_is(pictures: Any, tmp_path: Path) -> None:
    """A phantom is unlike what they were trained on, and the answer says so."""
    named.models.cache_clear()
    write_nifti(tmp_path / "phantom.nii.gz", pictures[..., 1])
    config = predict_settings(input=str(tmp_path / "phantom.nii.gz"), output_dir=str(tmp_path / "out"), overlays=False)
    assert predict.predict(config) == 0
    (row,) = pd.read_csv(tmp_path / "out" / "cases.csv").to_dict("records")
    assert "slices are unlike what the run was trained on" in row["warnings"]


@pytest.mark.skipif(not EXTERNAL.is_dir(), reason="the external patient is not here")
def test_a_large_tumour_of_a_head_without_skull_is_not_missed(tmp_path: Path) -> None:
    """What docs/pretrained.md says of a patient from elsewhere, by the default chain."""
    named.models.cache_clear()
    page = (REPOSITORY / "docs" / "pretrained.md").read_text()
    truth = np.asarray(nibabel.load(EXTERNAL / "seg.nii.gz").dataobj) > 0  # type: ignore[attr-defined]
    for title, given in (("three sequences", ("flair", "t1", "t1ce")), ("FLAIR alone", ("flair",))):
        names: dict[str, Any] = {name: str(EXTERNAL / f"{name}.nii.gz") for name in given}
        home = tmp_path / str(len(given))
        sequences = dict.fromkeys(("t1", "flair", "t1ce", "t2")) | names
        config = predict_settings(sequences=sequences, output_dir=str(home), overlays=False, types=None)
        assert predict.predict(config) == 0
        (file,) = (home / "masks").glob("*.nii.gz")
        mask = np.asarray(nibabel.load(file).dataobj) > 0  # type: ignore[attr-defined]
        dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
        right = (mask.any((0, 1)) == truth.any((0, 1))).mean()
        shown = f"{dice:.3f}".removeprefix("0"), f"{mask.sum() / 1000:.1f} of {truth.sum() / 1000:.1f} ml"
        assert f"| {title} | {' | '.join(shown)} | {right:.1%}".replace("%", " % |") in page
