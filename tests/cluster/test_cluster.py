"""What goes to a cluster and comes back, as far as it needs neither Java nor AWS nor Slurm."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from brain_tumor.cluster import files, scoring, sweep, task
from brain_tumor.cluster.task import Run
from brain_tumor.config import processes
from brain_tumor.inference import trained
from brain_tumor.inference.predictor import Predictor
from brain_tumor.io import walk
from tests import told
from tests.conftest import REPOSITORY, Command, write_image

DOCS = REPOSITORY / "docs" / "cluster"
needs_arrow = pytest.mark.skipif(not importlib.util.find_spec("pyarrow"), reason="needs pyarrow: the extra `spark`")


def _run(start: Path, *arguments: str, **changes: Any) -> Run:
    return Run(0, arguments, arguments, "outputs/run", str(start), {}, **changes)


def test_only_a_record_proves_that_a_run_is_finished(tmp_path: Path) -> None:
    run = _run(tmp_path)
    assert task.conclude(run, 1, "something\nerror: data.cases=0: give one\n").reason == "data.cases=0: give one"
    assert task.conclude(run, -9, "").reason == "its process ended with -9"
    assert task.conclude(run, 0, "").reason == task.UNDER_WAY
    (tmp_path / "outputs" / "run").mkdir(parents=True)
    (tmp_path / "outputs" / "run" / "results.json").touch()
    assert task.conclude(run, 0, "").finished
    assert not task.conclude(run, 1, "error: of another").finished


@needs_arrow
def test_a_folder_that_is_not_shared_is_named(tmp_path: Path) -> None:
    outcome = task.train(_run(tmp_path / "elsewhere"))
    assert not outcome.finished
    assert f"{tmp_path}/elsewhere: not there on" in outcome.reason


def test_a_run_of_two_devices_is_the_same_on_two_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    hydras = SimpleNamespace(mode=None, launcher={}, job=SimpleNamespace(num=0))
    monkeypatch.setattr(processes, "HydraConfig", SimpleNamespace(get=lambda: hydras))
    asked = {"devices": 2, "strategy": "ddp"}
    assert processes.devices(asked, 0) == {"devices": 2, "num_nodes": 1}
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert processes.devices(asked, 0) == {"devices": 2, "num_nodes": 1}
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    assert processes.devices(asked, 0) == {"devices": 1, "num_nodes": 2}
    # Another number of processes stays what was asked for, and is refused later.
    assert processes.devices({"devices": 4}, 0) == {"devices": 4, "num_nodes": 1}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["resume=false"], "resume=false: on Spark a lost run could not go on"),
        (["trainer=ddp"], "trainer.devices=auto: on Spark say how many executors train together"),
        (["data.cases=2", "nothing=1"], "Key 'nothing' is not in struct"),
    ],
)
def test_refused_before_anything_starts(arguments: list[str], said: str, command: Command, tmp_path: Path) -> None:
    done = command("train", "--multirun", "hydra/launcher=spark", *arguments, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert said in done.stderr.strip().splitlines()[-1]
    assert not list(tmp_path.glob("outputs/*/"))


def test_what_a_run_is_started_with() -> None:
    given = ["hydra/launcher=spark", "hydra.launcher.master=x", "hydra.verbose=true"]
    config: Any = SimpleNamespace(hydra=SimpleNamespace(overrides=SimpleNamespace(hydra=given)))
    assert sweep._hydra_overrides(config) == ["hydra.verbose=true"]


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from brain_tumor.cluster import session

    with monkeypatch.context() as patch:
        for module in ("pyspark", "pyspark.sql"):  # which an earlier test may have imported
            patch.setitem(sys.modules, module, None)
        with pytest.raises(ValueError, match=r"pip install 'brain-tumor\[spark\]'"):
            session.start("test")
    pytest.importorskip("pyspark")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ValueError, match="needs Java 17"):
        session.start("test")


@needs_arrow
def test_a_store_has_the_record_last_and_needs_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    from brain_tumor.cluster import store

    def refuse(*_: object) -> None:
        raise OSError("no locks here")

    folder, home = tmp_path / "run-1", tmp_path / "store"
    for name in ("results.json", "predictions.csv", "checkpoints/last.ckpt", ".hydra/config.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(Path, "rename", refuse)
    assert not store.holds(home.as_uri(), "run-1")
    store.upload(folder, home.as_uri())
    assert store.holds(home.as_uri() + "/", "run-1")
    written = sorted((path for path in home.rglob("*") if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
    assert written[-1].name == "results.json"
    assert len(written) == 4
    with pytest.raises(ValueError, match="not a place that Arrow opens"):
        store.holds("nowhere://bucket", "run-1")


@needs_arrow
def test_the_rows_are_what_predict_says(segmenter: Path, command: Command, tmp_path: Path) -> None:
    """One process does what an executor does: files here and at URLs, one of them damaged, batches of a few bytes."""
    import pandas as pd
    import pyarrow

    for index in range(5):
        write_image(tmp_path / "scans" / f"{index}.png", seed=index)
    (tmp_path / "scans" / "torn.png").write_bytes(b"\x89PNG\r\n")
    command("predict", f"run={segmenter}", "input=scans", "overlays=false", cwd=tmp_path, check=False)
    known = pd.read_csv(tmp_path / "predictions" / "slices.csv", dtype={"case": str}).set_index("case")

    paths = files.find(str(tmp_path / "scans"))
    assert files.find((tmp_path / "scans").as_uri()) == [f"file://{path}" for path in paths]
    mixed = [[f"file://{path}" if number % 2 else path] for number, path in enumerate(paths)]
    predictor = Predictor(trained.open_run(segmenter), None, 0.5)
    settings = scoring.Settings("maximum", None, None, 10_000, ())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "_predictor", lambda _: predictor)
        batches = list(scoring.score(settings, iter([pyarrow.RecordBatch.from_pydict({"paths": mixed})])))
    assert len(batches) > 1
    rows = {row["case"]: row for batch in batches for row in batch.to_pylist()}
    assert set(rows) == set(known.index)
    for case, row in rows.items():
        if case == "torn":
            assert row["status"] == "failed"
            assert "not a readable image" in row["reason"]
            continue
        assert dict(row["probabilities"])["tumour"] == known.loc[case, "p(tumour)"]
        assert sum(map(int, row["run_lengths"].split()[1::2])) == known.loc[case, "area_px"]
        assert (row["height"], row["width"]) == (30, 40)


@needs_arrow
def test_an_archive_knows_what_predict_knows(segmenter: Path, detector: Path, tmp_path: Path) -> None:
    """Several runs, a detector and types travel with all that is known of them; a row says what predict says."""
    import numpy as np
    import pandas as pd
    import pyarrow

    from brain_tumor.inference.opening import open_run
    from brain_tumor.scans import cases

    shutil.copytree(segmenter, tmp_path / "other")
    shutil.copytree(detector, tmp_path / "types")
    record = json.loads((tmp_path / "types" / "results.json").read_text())
    record["data"] |= {"classes": ["glioma", "meningioma"], "positive": None}
    (tmp_path / "types" / "results.json").write_text(json.dumps(record))
    (tmp_path / "other" / "inherited.csv").write_text("case,digest\nx,\n")
    names = {
        "run": [str(segmenter), str(tmp_path / "other")],
        "detector": str(detector),
        "types": str(tmp_path / "types"),
    }
    runs = {key: open_run(own) for key, own in names.items()}
    scoring.pack(runs, tmp_path / "sent")
    sent = {path.relative_to(tmp_path / "sent").as_posix() for path in (tmp_path / "sent").rglob("*") if path.is_file()}
    assert {"run/000/novelty.npz", "run/001/novelty.npz", "run/001/inherited.csv", "detector/000/novelty.npz"} <= sent
    assert not {own for own in sent if own.endswith((".csv", ".png")) and "inherited" not in own}

    for name, seed in (("a", 1), ("b", 2)):
        write_image(tmp_path / "scans" / f"{name}.png", seed=seed, size=(64, 64))
    expected = Predictor(runs["run"], runs["detector"], 0.0, runs["types"])
    settings = scoring.Settings("maximum", 0.0, None, 10_000_000, ())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "_predictor", lambda own: scoring.unpack(tmp_path / "sent", own))
        paths = [[path] for path in files.find(str(tmp_path / "scans"))]
        (batch,) = scoring.score(settings, iter([pyarrow.RecordBatch.from_pydict({"paths": paths})]))
    assert batch.schema.names == list(scoring.FIELDS)
    rows = batch.to_pylist()
    read = [cases.read(own, "maximum", True) for own in cases.find(str(tmp_path / "scans"), {})[0]]
    for row, slices, said in zip(rows, read, expected.predict(read), strict=True):
        (line,) = said.table.to_dict("records")
        assert dict(row["probabilities"]) == {name: line[f"p({name})"] for name in said.classes}
        assert (row["novelty"], row["detector"]) == (line["novelty"], line["detector p(tumour)"])
        typed = {name: line[f"type p({name})"] for name in ("glioma", "meningioma")} if len(said.tumours) else None
        assert (row["types"] and dict(row["types"])) == typed
        assert row["type"] == (line["type"] if typed else None)
        assert row["warnings"] == "; ".join([*slices.warnings, *said.doubts])
        assert "unlike what the run was trained on" in row["warnings"]  # noise
    assert np.isfinite([row["novelty"] for row in rows]).all()
    assert pd.Series([row["type"] for row in rows]).notna().any()


@needs_arrow
def test_memory_is_no_fault_of_a_file() -> None:
    import numpy as np

    from brain_tumor.scans.cases import Slices

    class Full:
        def predict(self, cases: list[Slices]) -> list[str]:
            raise MemoryError

    waiting = [scoring._Read("", "a", Slices(np.zeros((1, 4, 4, 3), np.uint8)))]
    with pytest.raises(MemoryError):
        scoring._predict(Full(), waiting)  # type: ignore[arg-type]


@needs_arrow
def test_one_that_cannot_be_looked_at_takes_no_other_with_it() -> None:
    import numpy as np

    from brain_tumor.scans.cases import Slices

    class Fragile:
        def predict(self, cases: list[Slices]) -> list[str]:
            if any(case.images.max() for case in cases):
                raise RuntimeError("white")
            return ["fine"] * len(cases)

    slices = [Slices(np.full((1, 4, 4, 3), value, np.uint8)) for value in (0, 255, 0)]
    waiting = [scoring._Read("", str(number), own) for number, own in enumerate(slices)]
    found = scoring._predict(Fragile(), waiting)  # type: ignore[arg-type]
    assert found == ["fine", "cannot be predicted (RuntimeError: white)", "fine"]


@needs_arrow
def test_a_series_is_one_row(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    import numpy as np
    import pyarrow

    from tests.test_predict import _write_series

    _write_series(tmp_path / "a", np.arange(3 * 8 * 8, dtype=np.uint16).reshape(3, 8, 8))
    write_image(tmp_path / "b.png")
    (tmp_path / "c.dcm").touch()
    paths = [str(path) for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    (found,) = files.belonging(iter([pyarrow.RecordBatch.from_pydict({"path": paths})]))
    wholes = dict(zip(*(found.column(name).to_pylist() for name in ("path", "whole")), strict=True))
    assert len({wholes[path] for path in paths if "/a/" in path}) == 1
    assert len(set(wholes.values())) == 3
    assert wholes[str(tmp_path / "b.png")] == str(tmp_path / "b.png")


@needs_arrow
def test_images_are_put_together_as_predict_does(tmp_path: Path) -> None:
    """A series' UID for each image: what no hash of one file knows, the study's images together do; at URLs, too."""
    pytest.importorskip("pydicom")
    import numpy as np
    import pyarrow

    from brain_tumor.scans import cases
    from tests.test_predict import _write_series

    drawn = np.random.default_rng(0).integers(0, 200, (6, 16, 16), dtype=np.uint16)
    _write_series(tmp_path / "a", drawn, SeriesInstanceUID=lambda place: f"1.2.{place}", StudyInstanceUID="1")
    _write_series(tmp_path / "b", drawn, SeriesInstanceUID=lambda place: f"1.3.{place}", StudyInstanceUID="1")
    walk.make_results_folder(tmp_path / "out")
    write_image(tmp_path / "out" / "mask.png")
    write_image(tmp_path / "@eaDir" / "a.png")
    (tmp_path / "gone.nii").symlink_to("nowhere")
    here = files.find(str(tmp_path))
    there = files.find(tmp_path.as_uri())
    assert [Path(path).name for path in here] == [*(f"00{place}" for place in range(6))] * 2 + ["gone.nii"]
    assert there == [f"file://{path}" for path in here[:-1]]
    (found,) = files.belonging(iter([pyarrow.RecordBatch.from_pydict({"path": there})]))
    assert len(set(found.column("whole").to_pylist())) == 1
    pair = {"path": ["/a/s.hdr", "/a/s.IMG.GZ", "/a/t.img"]}
    (found,) = files.belonging(iter([pyarrow.RecordBatch.from_pydict(pair)]))
    assert found.column("whole").to_pylist() == ["/a/s", "/a/s", "/a/t"]
    known = [case.name for folder in "ab" for case in cases.find(str(tmp_path / folder), {}).cases]
    read = scoring._read(there, Predictor(told.segmenter()), "maximum")
    assert sorted(own.case for own in read) == sorted(known)
    assert {own.path.split("/")[-2] for own in read} == {"a", "b"}
    for own in read:
        assert not isinstance(own.slices, str)
        assert len(own.slices.images) == 6
        assert own.slices.warnings == ["6 images without a common series UID were put together by their geometry"]


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.sh")), ids=lambda path: path.name)
def test_shell_scripts(path: Path) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    subprocess.run(["shellcheck", str(path)], check=True)


@pytest.mark.parametrize(("name", "operation"), [("cluster.json", "RunJobFlow"), ("steps.json", "AddJobFlowSteps")])
def test_requests_are_what_emr_takes(name: str, operation: str) -> None:
    from botocore import loaders
    from botocore.model import ServiceModel
    from botocore.validate import ParamValidator

    model = ServiceModel(loaders.Loader().load_service_model("emr", "service-2"))
    request = json.loads((DOCS / name).read_text())
    shape = model.operation_model(operation).input_shape
    assert not (report := ParamValidator().validate(request, shape)).has_errors(), report.generate_report()
    broken = {**request, "Nmae": 1}
    assert ParamValidator().validate(broken, shape).has_errors()


def test_the_notebook_is_saved_without_output() -> None:
    (path,) = DOCS.glob("*.ipynb")
    cells = json.loads(path.read_text())["cells"]
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)
    assert not re.search(r"/work/|/home/|/tmp/", path.read_text())
