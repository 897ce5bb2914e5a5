"""Runs and evaluations that look alike in a report and are not."""

from pathlib import Path
from typing import Any

import pytest

from brain_tumor.io import tables
from brain_tumor.report.aggregates import Groups
from brain_tumor.report.chapters import folds
from brain_tumor.report.page import Table, Text
from brain_tumor.report.pooled import pool_folds
from brain_tumor.report.runs import Run, collect
from brain_tumor.runs import record
from tests.report.test_report import _in_folds, make_run


def _change(folder: Path, **sections: dict[str, Any]) -> None:
    """Write a record in today's format, with other values in its sections."""
    found: Any = record.read(folder)
    for name, values in sections.items():
        found[name] |= values
    tables.write_json(folder / "results.json", found)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schedule": "onecycle"}, "schedule onecycle"),
        ({"missing": 0.3}, "sequences missing"),
        ({"empty": 1.0}, "empty slices left out"),
        ({"schedule": "constant", "missing": 0, "empty": -1.0}, ""),
    ],
)
def test_what_the_paper_has_not_done_is_a_deviation(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    folder = make_run(tmp_path, 17, [])
    _change(folder, hyperparameters=changes)
    assert Groups([Run.read(folder)]).cell(17, "SGD", "slice").note == said
    _change(folder, hyperparameters={"experiment": 0})
    assert Run.read(folder).row == (None if said else 17)


def test_one_configuration_with_two_momenta_is_not_averaged(tmp_path: Path) -> None:
    first, second = (make_run(tmp_path, 17, [], seed=seed) for seed in range(2))
    _change(first, hyperparameters={"momentum_used": "0.95 to 0.85"})
    assert [run.seed for run in Groups(collect([tmp_path]).runs).cell(17, "SGD", "slice").runs] != [0, 1]
    _change(second, hyperparameters={"momentum_used": "0.95 to 0.85"})
    assert [run.seed for run in Groups(collect([tmp_path]).runs).cell(17, "SGD", "slice").runs] == [0, 1]


def test_folds_of_two_data_sets_are_not_pooled(tmp_path: Path) -> None:
    _in_folds(tmp_path, {(0, 0): [], (1, 0): []})
    runs = collect([tmp_path]).runs
    assert [own.missing for own in pool_folds(runs)] == [[]]
    _change(runs[1].folder, data={"key": "another"})
    found = pool_folds(collect([tmp_path]).runs)
    assert sorted(own.missing for own in found) == [["fold 0 of seed 0"], ["fold 1 of seed 0"]]


def test_sensitivity_says_to_what(tmp_path: Path) -> None:
    _in_folds(tmp_path, {(0, 0): [], (1, 0): []})
    for run in collect([tmp_path]).runs:
        _change(run.folder, data={"positive": "no tumour"})
    table = next(own for own in folds.chapter(Groups(collect([tmp_path]).runs)) if isinstance(own, Table))
    assert all(str(title).endswith("'no tumour' positive") for title in table.shown["model"])


def _evaluate(run: Run, number: int, checkpoint: str, data: dict[str, Any], slices: int) -> None:
    folder = run.folder / "evaluations" / str(number)
    folder.mkdir(parents=True)
    own = {name: run.record["data"][name] for name in ("kind", "classes", "slices", "patients", "labels")}
    found = {"data": {**own, **data}, "checkpoint": f"a/{checkpoint}.ckpt", "test": {"slices": slices}}
    tables.write_json(folder / "results.json", {**found, "explanation": {"number": number}})


def test_evaluations_of_other_data_stand_for_no_run(tmp_path: Path) -> None:
    run = Run.read(make_run(tmp_path, 17, []))
    assert run.evaluation("explanation") is None
    _evaluate(run, 1, "last", {}, 30)
    _evaluate(run, 2, "last", {}, 120)  # all of it, also what it was trained on
    _evaluate(run, 3, "last", {"kind": "folder"}, 30)
    _evaluate(run, 4, "best", {}, 30)
    _evaluate(run, 5, "last", {"labels": {"no tumour": 81, "tumour": 39}}, 30)
    found = run.evaluation("explanation")
    assert found is not None
    assert found[1] == {"number": 1}


@pytest.mark.parametrize(("first", "kind"), [(0, "cheng"), (0, "folder"), (1, "folder")])
def test_folds_of_the_data_begin_where_they_begin(tmp_path: Path, first: int, kind: str) -> None:
    _in_folds(tmp_path, {(0, 0): [], (1, 0): []})
    for run in collect([tmp_path]).runs:
        number = first + (run.record["split"]["fold"] or 0)
        half = {**run.record["split"]["test"], "slices": 60}
        _change(run.folder, split={"method": "given", "folds": None, "fold": number, "test": half}, data={"kind": kind})
    runs = collect([tmp_path]).runs
    (own,) = pool_folds(runs)
    assert own.missing == []
    assert len(own.tables[0]) == 120
    (cut,) = pool_folds([run for run in runs if run.record["split"]["fold"] == first])
    assert (cut.missing, cut.runs) == ([f"fold {first + 1} of seed 0"], {})


def test_folds_without_patients_do_not_say_that_they_are_apart(tmp_path: Path) -> None:
    _in_folds(tmp_path, {(0, 0): [], (1, 0): []})
    said = "the model knew other slices"
    text = [own.text for own in folds.chapter(Groups(collect([tmp_path]).runs)) if isinstance(own, Text)]
    assert not any(said in own for own in text)
    _change(collect([tmp_path]).runs[0].folder, split={"patients_on_both_sides": 2})
    text = [own.text for own in folds.chapter(Groups(collect([tmp_path]).runs)) if isinstance(own, Text)]
    assert any(said in own for own in text)
