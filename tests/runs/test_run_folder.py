"""How a run is known, and who may work on it."""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from omegaconf import OmegaConf

from brain_tumor.io import tables
from brain_tumor.models.weights import WeightsOrigin
from brain_tumor.runs import class_names, identity, leakage, record, run_folder
from tests.conftest import REPOSITORY

CONFIG: dict[str, Any] = {"seed": 0, "data": {"size": 32, "cache_dir": "a"}, "output_dir": "x", "resume": False}


def test_what_changes_no_number_changes_no_id() -> None:
    moved = {**CONFIG, "output_dir": "y", "resume": True, "data": {"size": 32, "cache_dir": "b"}}
    assert identity.run_id(CONFIG) == identity.run_id(moved)
    assert identity.run_id(CONFIG) != identity.run_id({**CONFIG, "seed": 1})
    # A key of a class of one's own may be called like one of ours, and means something.
    a, b = ({**CONFIG, "model": {"name": name}} for name in "ab")
    assert identity.run_id(a) != identity.run_id(b)


def test_a_later_key_with_its_neutral_value_changes_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity.run_id(CONFIG)
    later = {**CONFIG, "data": {**CONFIG["data"], "gamma": 1.0}}
    assert identity.run_id(later) != before
    monkeypatch.setitem(identity.NEUTRAL, "data.gamma", 1.0)
    assert identity.run_id(later) == before
    assert identity.run_id({**CONFIG, "data": {**CONFIG["data"], "gamma": 0.5}}) != before
    # Of the same name elsewhere it is another key.
    assert identity.run_id({**CONFIG, "gamma": 1.0}) != before


def test_the_published_runs_keep_their_ids() -> None:
    records = sorted((REPOSITORY / "docs" / "results" / "records").glob("localization-missing-*.json"))
    assert len(records) >= 5
    for path in records:
        found = record.load(path)
        data = {**found["config"]["data"], "positive": None, "test_cases": found["config"]["data"].get("test_cases")}
        assert identity.run_id({**found["config"], "allow_overlap": False, "data": data}) == found["id"]


def _recorded() -> Iterator[dict[str, Any]]:
    """Every published record as it was written, also those of the reports' runs, which are packed."""
    results = REPOSITORY / "docs" / "results"
    for path in sorted((results / "records").glob("*.json")):
        yield json.loads(path.read_text())
    for path in sorted(results.glob("*/runs.tar.xz")):
        with tarfile.open(path) as packed:
            for member in packed:
                whole = re.fullmatch(r"[\w-]+/[\w-]+/results.json", member.name)  # of a run, not of an evaluation
                if whole and (content := packed.extractfile(member)):
                    yield json.load(content)


def test_what_data_sets_are_called_today_changes_no_id() -> None:
    """A data set was a data module of its own, called otherwise in all these records."""
    today = {}
    for path in sorted((REPOSITORY / "conf" / "data").glob("*.yaml")):
        if path.stem not in {"common", "custom"}:
            written: Any = OmegaConf.load(path)
            today[path.stem] = written["_target_"]
    kept = []
    for recorded in _recorded():
        data = recorded["config"]["data"]
        if data["_target_"] in today.values():
            continue  # of a later version
        name = data["_target_"].rpartition(".")[2].removesuffix("DataModule").lower()
        assert class_names.current(data["_target_"]) == today[name]
        assert class_names.identifying(today[name]) == data["_target_"]
        renamed = identity.run_id({**recorded["config"], "data": {**data, "_target_": today[name]}})
        assert renamed == identity.run_id(recorded["config"])
        kept.append(renamed == recorded["id"])
    # Eleven were written between two revisions, with keys of neither.
    assert (len(kept), sum(kept)) == (304, 293)


def test_a_class_of_ones_own_is_called_as_it_is() -> None:
    for name in ("my_data.Mine", "brain_tumor.nowhere.Lgg", "brain_tumor.data.sources.OtherDataModule", ""):
        assert (class_names.current(name), class_names.identifying(name)) == (name, name)


@pytest.mark.parametrize("name", ["lgg-12b2c310", "lgg-12b2c310-a1b2c3", "other-12b2c310-2"])
def test_finds_a_run_by_its_id_alone(tmp_path: Path, name: str) -> None:
    for other in ("lgg-12b2c311", "lgg-x12b2c310x", "12b2c310-report"):
        (tmp_path / other).mkdir()
    assert run_folder.find(tmp_path, "12b2c310") is None
    (tmp_path / name).mkdir()
    assert run_folder.find(tmp_path, "12b2c310") == tmp_path / name


def test_a_finished_run_comes_first(tmp_path: Path) -> None:
    for name in ("a-12b2c310", "a-12b2c310-2"):
        (tmp_path / name).mkdir()
    (tmp_path / "a-12b2c310" / "results.json").touch()
    assert run_folder.find(tmp_path, "12b2c310") == tmp_path / "a-12b2c310"


def test_starting_anew_appends_a_number(tmp_path: Path) -> None:
    assert [run_folder.make_new(tmp_path, "run-id").name for _ in range(3)] == ["run-id", "run-id-2", "run-id-3"]


def test_one_process_works_on_a_run_whatever_its_folder_is_called(tmp_path: Path) -> None:
    first, renamed, anew = (tmp_path / name for name in ("a-12b2c310", "b-12b2c310", "a-12b2c310-2"))
    with run_folder.lock(first, tmp_path, "12b2c310") as free:
        assert free
        with run_folder.lock(renamed, tmp_path, "12b2c310") as also:
            assert not also
        with run_folder.lock(anew, tmp_path, "12b2c310") as own:
            assert own


def test_who_was_trained_on_is_known_by_name_and_by_image(tmp_path: Path) -> None:
    split = pd.DataFrame(
        {
            "path": list("abcd"),
            "case": ["P1", "P2", "P3", ""],
            "part": ["train", "val", "test", "train"],
            "digest": ["1", "2", "3", "4"],
        }
    )
    tables.write_csv(tmp_path / "split.csv", split)
    tested = pd.DataFrame(
        {
            "path": ["p", "q", "r", "s", "t"],
            "case": ["P1", "renamed", "P3", "", "new"],
            "digest": ["other", "2", "3", "4", "5"],
        }
    )
    assert leakage.refuse(tmp_path, tested, allow=True) == ["P1", "renamed", "s"]
    with pytest.raises(ValueError, match=r"was trained on what is tested here: P1, renamed, s\. .*allow_overlap=true"):
        leakage.refuse(tmp_path, tested, allow=False)
    assert leakage.refuse(tmp_path, tested.iloc[[2, 4]], allow=False) == []
    # What the run started from counts, too.
    tables.write_csv(tmp_path / leakage.INHERITED, pd.DataFrame({"case": ["P3"], "digest": ["x"]}))
    assert leakage.refuse(tmp_path, tested, allow=True) == ["P1", "P3", "renamed", "s"]
    # Revision 0205860 kept no digests.
    (tmp_path / leakage.INHERITED).unlink()
    tables.write_csv(tmp_path / "split.csv", split.drop(columns="digest"))
    assert leakage.refuse(tmp_path, tested, allow=True) == ["P1"]
    # Where it is allowed, the weights say so.
    weights = WeightsOrigin(f"run:{tmp_path}", "run", warning="partial")
    weights.refuse_leakage(tested, allow=True)
    assert weights.overlap == ["P1"]
    assert weights.warning.startswith("partial; 1 of the patients tested were trained on in")
