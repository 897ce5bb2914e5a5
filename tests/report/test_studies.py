"""The chapters on what a training must see: a site left out, neighbours left out, fewer patients, labels at random."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain_tumor.io import tables
from brain_tumor.metrics import classification, crossed
from brain_tumor.report import formatting, page
from brain_tumor.report.aggregates import Groups
from brain_tumor.report.chapters import errors, gaps, learning, optimizers, random_labels, sites
from brain_tumor.report.compose import compose
from brain_tumor.report.runs import Run, collect
from brain_tumor.runs import identity
from tests.report.test_report import CLASSES, _count, _numbers, _slices, make_run


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of row 10 by slice, of which the others are copies, since composing a configuration takes time."""
    return make_run(tmp_path_factory.mktemp("template"), 10, [])


@pytest.fixture
def home(template: Path, tmp_path: Path) -> "Home":
    return Home(template, tmp_path)


class Home:
    """A folder of runs.

    Args:
        template: the run that others are copies of.
        path: the folder.
    """

    def __init__(self, template: Path, path: Path) -> None:
        self._template, self.path = template, path

    def plain(self, **record: Any) -> Path:
        """Write the run by slice as it is, with some keys of its record's data."""
        folder = self.path / f"run-{len(list(self.path.iterdir()))}"
        shutil.copytree(self._template, folder)
        _change(folder, lambda content: content["data"].update(record))
        return folder

    def run(
        self, tested: "pd.Series[bool]", wrong: list[int], said: dict[str, Any], seed: int = 0, **data: Any
    ) -> Path:
        """Write a run that tests these of the 120 slices, and is wrong about some of them.

        Args:
            tested: bool (120,).
            wrong: places among the tested slices.
            said: what the record says of the split; `trained` may be bool (120,), the training part.
            seed: of the run.
            data: keys of the configuration's group.
        """
        folder = self.plain()
        table = _slices("slice")
        table["part"] = np.select([tested, said.pop("trained", ~tested)], ["test", "train"], "")
        scores = np.where(table["label"] == 1, 0.9, 0.2)[tested]
        scores[wrong] = 1 - scores[wrong]
        predictions = classification.predictions(table[tested], np.stack([1 - scores, scores], 1), CLASSES)
        tables.write_csv(folder / "predictions.csv", predictions)
        tables.write_csv(folder / "split.csv", table[["path", "case", "slice", "label", "part"]])
        counts = {part: _count(table[table["part"] == part]) for part in ("train", "test")}

        def change(content: dict[str, Any]) -> None:
            content["config"]["seed"] = seed
            content["config"]["data"] |= data
            content["split"] |= {"fold": None, "folds": None, **counts, **said}
            content["id"] = identity.run_id(content["config"])

        _change(folder, change)
        return folder

    def fold(self, fold: int, wrong: list[int], trained: Any = None, seed: int = 0, **data: Any) -> Path:
        """Write a run of one of two folds, of the patients 0 to 4 and 5 to 9."""
        split = {"method": "folds", "folds": 2, "fold": fold, **data}
        if trained is not None:
            split["trained"] = trained
        tested = _patients(*range(5 * fold, 5 * fold + 5))
        return self.run(tested, wrong, split, seed, folds=2, fold=fold, **data)

    @property
    def runs(self) -> list[Run]:
        return collect([self.path]).runs


def _change(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads((folder / "results.json").read_text())
    change(content)
    tables.write_json(folder / "results.json", content)


def _patients(*numbers: int) -> "pd.Series[bool]":
    return _slices("slice")["case"].isin([f"P{number}" for number in numbers])


def test_patients_of_a_site_are_compared_with_themselves_in_folds(home: Home) -> None:
    """P0 and P1 are of A: in folds 1 of 24 slices is wrong, left out 3 and 6 of 12. P9 is of B: never wrong."""
    home.fold(0, [0])
    home.fold(1, [])
    for fold in (0, 1):
        home.fold(fold, list(range(60)), seed=7)  # another seed, which no site has
    for site, patients, wrong in (("A", (0, 1), [0, 1, 2, *range(12, 18)]), ("B", (9,), [])):
        split = {"method": "site", "site": site, "sites": {"A": 2, "B": 8}}
        home.run(_patients(*patients), wrong, split, split="site", site=site)
    groups = Groups(home.runs)
    assert (len(groups.apart), len(groups.runs)) == (2, 4)
    table = _numbers(sites.chapter(groups)).set_index("site")
    line = table.loc["A"]
    assert (line["patients"], line["trained"], line["trained in folds"]) == (2, 8, 5)
    assert line["in folds"] == pytest.approx((11 / 12 + 1) / 2)
    assert line["left out"] == pytest.approx((9 / 12 + 6 / 12) / 2)
    assert line["difference"] == pytest.approx((-2 / 12 - 6 / 12) / 2)
    assert [line["difference low"], line["difference high"]] == pytest.approx([-6 / 12, -2 / 12])
    assert table.loc["all of these", "difference"] == pytest.approx((-2 / 12 - 6 / 12) / 3)
    assert formatting.suffixes(["a", "b", "a"]) == ["", "", " (other settings, 2)"]
    alone = Groups([run for run in groups.apart if run.record["split"]["site"] == "A"])
    text = page.markdown("", sites.chapter(alone))
    assert "| not run |" in text


def test_a_gap_is_compared_on_the_same_slices(home: Home) -> None:
    """In each fold slices 0 and 6 of the patients are tested; the plain folds are the widest gap."""
    table = _slices("slice")
    for fold in (0, 1):
        own, numbers = _patients(*range(5 * fold, 5 * fold + 5)), table["slice"]
        home.fold(fold, [0, 6] if fold else [])  # P5's slices 0 and 6
        tested = own & numbers.isin([0, 6])
        for gap, wrong in ((0, []), (2, [0])):
            near = own & (numbers.isin(range(gap + 1)) | ((numbers - 6).abs() <= gap))
            split = {"method": "folds", "folds": 2, "fold": fold, "gap": gap, "trained": ~near}
            home.run(tested, wrong if fold else [], split, folds=2, fold=fold, gap=gap)
    lines = _numbers(gaps.chapter(Groups(home.runs))).set_index("gap")
    assert list(lines.index) == ["0", "2", "all of the patient"]
    assert list(lines["score"]) == pytest.approx([1, 19 / 20, 18 / 20])
    assert set(lines["slices"]) == {20}
    assert list(lines["trained"]) == [110, 80, 60]
    assert list(lines["above"]) == pytest.approx([2 / 20, 1 / 20, np.nan], nan_ok=True)
    assert lines["above low"]["0"] == 0 < lines["above high"]["0"]
    # With a gap of 2, slice 6 (a tumour) lies next to 3 and 9, slice 0 next to 3: none of these has a tumour.
    assert list(lines["copying"]) == pytest.approx([1, 1 / 2, np.nan], nan_ok=True)


def test_runs_by_slice_are_the_narrow_end(home: Home) -> None:
    home.plain()
    table = _slices("slice")
    tested = table["part"] == "test"
    home.run(tested, [0, 1, 2], {"method": "slice", "gap": 1, "trained": table["slice"] % 4 == 2}, gap=1)
    groups = Groups(home.runs)
    assert [len(cell.runs) for cell in groups.of_split("slice")] == [1], "runs with a gap stand beside no row"
    lines = _numbers(gaps.chapter(groups)).set_index("gap")
    assert list(lines["score"]) == pytest.approx([1, 27 / 30])
    assert list(lines["trained"]) == [90, 30]


def test_the_curve_of_patients_and_the_spread_of_draws_and_seeds(home: Home) -> None:
    """Fold 0 tests five patients; of 2 patients, 6 or 12 slices are wrong by draw, and 3 more with the second seed."""
    for draw, count in ((0, 6), (1, 12)):
        for seed in (0, 1):
            wrong, trained = list(range(count + 3 * seed)), _patients(5 + draw, 6 + draw)
            home.fold(0, wrong, trained, seed, train_patients=2, draw_seed=draw)
    for fold in (0, 1):
        home.fold(fold, [0])
    lines = _numbers(learning.chapter(Groups(home.runs)))
    assert list(lines["patients"]) == [2, 5]
    assert list(lines["mean"]) == pytest.approx([1 - (6 + 9 + 12 + 15) / 4 / 60, 1 - 1 / 60])
    line = lines.iloc[0]
    assert (line["draws"], line["seeds"], line["tested"]) == (2, 2, 5)
    assert (line["lowest"], line["highest"]) == (pytest.approx(1 - 15 / 60), pytest.approx(1 - 6 / 60))
    assert line["mean low"] < line["mean"] < line["mean high"]
    assert [line["draws sd"], line["seeds sd"]] == pytest.approx(
        [np.std([6, 12], ddof=1) / 60, np.std([0, 3], ddof=1) / 60]
    )
    assert line["rest sd"] == pytest.approx(0, abs=1e-9)
    assert np.isnan(lines["draws sd"][1])


def test_the_spread_of_what_was_crossed() -> None:
    generator = np.random.default_rng(0)
    rows, columns = generator.normal(0, 3, (300, 1)), generator.normal(0, 2, (1, 200))
    found = crossed.spread(10 + rows + columns + generator.normal(0, 1, (300, 200)))
    assert found == pytest.approx((3, 2, 1), rel=0.1)
    assert crossed.spread([[0, 2], [6, 10]]) == pytest.approx((24**0.5, 2, 1))
    assert np.isnan(crossed.spread([[1.0, 2.0]])).all()
    assert crossed.spread([[1, 0], [0, 1]])[:2] == (0, 0)


def _tossed(home: Home, method: str, seed: int, wrong: list[int]) -> None:
    said = {"method": method}
    folder = home.run(_patients(0, 4, 8), wrong, said, target="random", target_seed=seed, split=method)
    target = {"name": "random", "patients_left_out": {}, "seed": seed}
    _change(folder, lambda content: content["data"].update(target=target, key=f"k{seed}"))


def test_random_labels_stand_by_themselves(home: Home) -> None:
    for seed in (0, 1):
        _tossed(home, "slice", seed, [0])
        _tossed(home, "patient", seed, list(range(16 + seed)))
    home.plain()
    home.run(_patients(0), [0], {"method": "site", "site": "A", "sites": {"A": 1, "B": 9}}, split="site", site="A")
    found = collect([home.path])
    lines = _numbers(random_labels.chapter([run for run in found.runs if run.study == "random"])).set_index("split")
    assert list(lines.index) == ["by patient", "by slice"]
    assert list(lines["accuracy"]) == pytest.approx([1 - 16.5 / 36, 35 / 36])
    assert list(lines["draws"]) == [2, 2]
    text = page.markdown("", compose(found))
    assert "## Labels that mean nothing" in text
    assert "2 finished runs on" in text
    assert "## Tumour types" not in text
    assert "## A site left out" in text


def test_patients_who_lack_sequences_are_a_group(home: Home) -> None:
    """P0, who lacks T1ce, has three of twelve slices wrong; the runs that tell it need not be those in folds."""
    home.fold(0, [0, 1, 2])
    home.fold(1, [])
    runs = home.runs
    assert "sequences missing" not in set(_numbers(errors.chapter(Groups(runs)))["by"])
    told = Run.read(home.plain(missing={"P0": ["t1ce"], "P9": ["t1", "t1ce"]}))
    lines = _numbers(errors.chapter(Groups([*runs, told]))).set_index(["by", "group"]).loc["sequences missing"]
    assert list(lines.index) == ["none", "t1 and t1ce", "t1ce"]
    assert list(lines["accuracy"]) == pytest.approx([1, 1, 9 / 12])
    assert lines.loc["t1ce", "of errors"] == 1


def test_grey_slices_stand_beside_the_papers_losses(home: Home) -> None:
    home.plain()
    grey = home.plain()

    def change(content: dict[str, Any]) -> None:
        content["config"]["transforms"] |= {"grey": True, "normalize": True}
        content["id"] = identity.run_id(content["config"])

    _change(grey, change)
    read = Run.read(grey)
    read.record["hyperparameters"] |= {"grey": True, "normalized_by": "mean 0.08, deviation 0.12"}
    groups = Groups([run for run in home.runs if run.folder != grey] + [read])
    assert [run.folder == grey for run in groups.cell(10, "SGD", "slice").runs] == [False]
    (table,) = (block for block in optimizers.chapter(groups) if getattr(block, "name", "") == "preparations")
    assert isinstance(table, page.Table)
    line = table.shown.iloc[0]
    assert line["slices"] == "grey; mean 0.08, deviation 0.12"
    assert line["the paper: train loss, test loss"] == "0.32, 0.25"
    assert line["train loss, test loss"].startswith("0.05, ")
