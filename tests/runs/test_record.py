"""Records and run folders of yesterday stay readable, and what is no record is refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from brain_tumor.runs import record
from tests.conftest import REPOSITORY, Command, unpack

# Three runs that revision 0205860 has trained: frozen by slice, frozen by patient with a validation part, and
# fine-tuned on train/ and test/ folders of three classes. Their backbones are a pattern of thirteen numbers, and the
# learning rate of the fine-tuned one is 1e-20, so that what weighs 45 MB each packs into some kilobytes.
OLD = REPOSITORY / "tests" / "fixtures" / "runs_of_0205860.tar.xz"
# And three of revision 52be3ca: a detector with a validation part, a folder of two classes of which the tumour's comes
# first, and a segmenter with AdamW over one cycle, whose weights are a pattern, too. The optimizers' states are left
# out.
NEWER = REPOSITORY / "tests" / "fixtures" / "runs_of_52be3ca.tar.xz"
LICENCES = {
    "lgg": "CC BY-NC-SA 4.0 (LGG Segmentation Dataset; Buda, Saha, Mazurowski 2019)",
    "cheng": "CC BY 4.0 (tumour types, figshare 1512427; Cheng et al. 2015, 2016)",
    "phantom": "none needed: drawn by a program",
}
RECORDS = REPOSITORY / "docs" / "results" / "records"


def _unpacked(archive: Path, home: Path) -> Path:
    unpack(archive, home)
    return home


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _unpacked(OLD, tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _unpacked(NEWER, tmp_path_factory.mktemp("newer"))


@pytest.mark.parametrize("name", ["69a289fc", "857d703c", pytest.param("71846207", marks=pytest.mark.slow)])
def test_an_old_run_is_scored_to_its_recorded_numbers(old: Path, name: str, command: Command) -> None:
    (folder,) = old.glob(f"outputs/*-{name}-*")
    command("evaluate", f"run={folder}", cwd=old)
    again = json.loads((folder / "evaluations" / "1" / "results.json").read_text())
    recorded = json.loads((folder / "results.json").read_text())
    assert Path(again["checkpoint"]).stem == ("best" if name == "857d703c" else "last")
    for score, interval in record.scores(recorded["test"]).items():
        # One run's probabilities are equal but for their last digits, by which each machine ranks slices its own way.
        if score not in {"auroc", "average_precision"} or name != "69a289fc":
            assert again["test"][score] == pytest.approx(interval, abs=1e-4)


@pytest.mark.parametrize("name", ["103ff32a", "68d68ec1", "80e4ed9a"])
def test_a_run_of_format_2_is_scored_to_its_recorded_numbers(newer: Path, name: str, command: Command) -> None:
    (folder,) = newer.glob(f"outputs/*-{name}")
    command("evaluate", f"run={folder}", cwd=newer)
    again = json.loads((folder / "evaluations" / "1" / "results.json").read_text())
    recorded = json.loads((folder / "results.json").read_text())
    assert recorded["format"] == 2
    for score, interval in record.scores(recorded["test"]).items():
        if name != "68d68ec1" or score in {"loss", "accuracy", "auroc", "calibration_error"}:
            assert again["test"][score] == pytest.approx(interval, abs=1e-4), score
    if name == "68d68ec1":  # whose sensitivity was that to healthy pictures
        assert again["test"]["sensitivity"] == pytest.approx(recorded["test"]["specificity"], abs=1e-4)
        assert again["test"]["specificity"] == pytest.approx(recorded["test"]["sensitivity"], abs=1e-4)


@pytest.mark.parametrize(
    ("name", "positive", "sequences", "momentum"),
    [
        ("103ff32a", "tumour", ["t1", "flair", "t1ce"], "0.5"),
        ("68d68ec1", "Brain Tumor", [], "0.9"),
        ("80e4ed9a", "tumour", ["t1", "flair", "t1ce"], "0.95 to 0.85"),
    ],
)
def test_what_format_2_left_unsaid_is_said(
    newer: Path, name: str, positive: str, sequences: list[str], momentum: str
) -> None:
    (folder,) = newer.glob(f"outputs/*-{name}")
    found, recorded = record.read(folder), json.loads((folder / "results.json").read_text())
    assert (found["data"]["positive"], found["data"]["sequences"]) == (positive, sequences)
    assert (found["format"], found["data"]["drawn"]) == (record.FORMAT, bool(sequences))
    assert (found["data"]["skull"], found["threshold"]) == (None, {"value": 0.5, "origin": "default"})
    assert found["hyperparameters"]["momentum_used"] == momentum
    if name == "68d68ec1":
        assert found["test"]["sensitivity"] == recorded["test"]["specificity"]
        assert found["baselines"]["majority"]["specificity"] == recorded["baselines"]["majority"]["sensitivity"]
        # Of these it recorded those of the healthy class alone.
        assert found["test"]["precision"]["value"] is None
    else:
        assert (found["test"], found["baselines"]) == (recorded["test"], recorded["baselines"])


def test_old_runs_are_reported_and_not_trained_again(old: Path, command: Command) -> None:
    command("report", "outputs", cwd=old)
    report = (old / "outputs" / "report" / "report.md").read_text()
    assert "2 finished runs on" in report
    assert "Left out: 1 finished runs on other data" in report
    same = [
        "data.cases=6", "data.size=32", "data.batch_size=16", "trainer.max_epochs=3", "model.weights=weights.pth",
        "model.hidden=[8,4]", "trainer.precision=32-true", "model.strategy=freeze", "optimizer.lr=0.1",
    ]  # fmt: skip
    assert "finished before" in command("train", *same, cwd=old).stdout


@pytest.mark.parametrize("path", sorted(RECORDS.glob("*.json")), ids=lambda p: p.stem)
def test_published_records_are_read(path: Path) -> None:
    found = record.load(path)
    measure = "dice" if "resunet" in path.stem or path.stem.startswith("localization") else "accuracy"
    kind = next((name for name in ("phantom", "cheng") if name in path.stem), "lgg")
    assert (found["format"], found["measure"], found["data"]["kind"]) == (record.FORMAT, measure, kind)
    assert (found["data"]["licence"], found["data"]["drawn"]) == (LICENCES[kind], kind == "phantom")
    assert record.final(found) == found["test"][measure]["value"]
    assert found["hyperparameters"]["lr"] == found["config"]["optimizer"]["lr"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda found: found.update(format=99), "of format 99, which this version does not know"),
        (lambda found: found.pop("config"), "not a record of brain_tumor"),
        (lambda found: found.pop("timing"), "it lacks timing"),
        (lambda found: found["split"]["train"].pop("slices"), "it lacks split.train.slices"),
        (lambda found: found.update(weights=[]), "not a record of brain_tumor"),
        (lambda found: found["config"].pop("optimizer"), "not a record of brain_tumor"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, damage: Any, message: str) -> None:
    found = json.loads((RECORDS / "experiment-18-sgd-slice-seed0.json").read_text())
    assert "format" not in found, "of format 1, which is brought up to date as it is read"
    damage(found)
    (tmp_path / "results.json").write_text(json.dumps(found))
    with pytest.raises(ValueError, match=message):
        record.read(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "null", '"text"', '{"format": "2"}'])
def test_what_is_not_even_that(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError, match=r"damaged or unreadable|not a record|does not know"):
        record.read(tmp_path)
