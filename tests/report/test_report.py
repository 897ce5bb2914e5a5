"""The report: its numbers by hand, its files, and what it says of runs that are missing or failed."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from brain_tumor.config import typed
from brain_tumor.io import tables
from brain_tumor.metrics import baselines, classification
from brain_tumor.report import page, paired, paper, patients_table
from brain_tumor.report.aggregates import Groups
from brain_tumor.report.chapters import (
    comparisons,
    errors,
    expectations,
    folds,
    leakage,
    optimizers,
    short,
    table1,
    table2,
)
from brain_tumor.report.compose import compose as compose_report
from brain_tumor.report.runs import Collection, Run, collect
from brain_tumor.runs import identity, run_folder
from tests.conftest import Command

CLASSES = ["no tumour", "tumour"]


def _slices(split: str) -> pd.DataFrame:
    """Ten patients of twelve slices, tumours in the middle; every fourth slice, or every fourth patient, to test."""
    lines = [
        {"path": f"{case}_{number}", "case": f"P{case}", "slice": number, "label": int(4 <= number < 8)}
        for case in range(10)
        for number in range(12)
    ]
    table = pd.DataFrame(lines)
    chosen = (table["slice"] % 4 == 0) if split == "slice" else table["case"].isin(["P0", "P4", "P8"])
    return table.assign(part=np.where(chosen, "test", "train"))


def _count(table: pd.DataFrame) -> dict[str, Any]:
    labels = {name: int((table["label"] == index).sum()) for index, name in enumerate(CLASSES)}
    return {"slices": len(table), "patients": table["case"].nunique(), "labels": labels}


def make_run(home: Path, row: int, wrong: list[int], **overrides: Any) -> Path:
    """Write the folder of a finished run of a row that is wrong about the given test slices, in format 1."""
    options = {"data.split": "slice", "seed": 0, "optimizer": "sgd", **overrides}
    arguments = [f"paper='{row}'", *(f"{name}={value}" for name, value in options.items())]
    with initialize_config_dir(typed.CONF, version_base="1.3"):
        composed = compose("train", arguments)
    config: Any = OmegaConf.to_container(composed, resolve=False)
    config["name"] = "phantom"
    table = _slices(options["data.split"])
    test = table[table["part"] == "test"]
    scores = np.where(test["label"] == 1, 0.9, 0.2)
    scores[wrong] = 1 - scores[wrong]
    predictions = classification.predictions(test, np.stack([1 - scores, scores], 1), CLASSES)
    import torch

    chances = torch.tensor(np.stack([1 - scores, scores], 1))
    tested, _ = classification.score_probabilities(test, CLASSES, chances, CLASSES[1])
    epochs = range(1, config["trainer"]["max_epochs"] + 1)
    found = {
        "id": identity.run_id(config),
        "config": config,
        "data": {"key": "k", "classes": CLASSES, **_count(table)},
        "split": {
            "method": options["data.split"],
            "seed": 0,
            "duplicates_dropped": 0,
            **{part: _count(table[table["part"] == part]) for part in ("train", "val", "test")},
        },
        "weights": {"requested": "imagenet", "source": "imagenet", "missing": [], "detail": "", "warning": ""},
        "baselines": classification.score_baselines(table, CLASSES, CLASSES[1]),
        "history": [
            {"epoch": epoch, "train": {"loss": 1 / epoch, "accuracy": 0.9}, "test": {"loss": 0.5, "accuracy": 0.8}}
            for epoch in epochs
        ],
        "test": {**tested, "epoch": len(epochs)},
        "timing": {
            "setup_seconds": 10.0,
            "fit_seconds": 100.0,
            "test_seconds": 10.0,
            "epoch_seconds": [5.0] * len(epochs),
            "images_per_second": 100.0,
            "trained_parameters": 1000,
        },
        "versions": {"hardware": "a machine", "arithmetic": "32-true"},
    }
    folder = home / f"run-{found['id']}-{len(list(home.glob('*')))}"
    (folder / ".hydra").mkdir(parents=True)
    tables.write_csv(folder / "predictions.csv", predictions)
    tables.write_csv(folder / "split.csv", table[["path", "case", "slice", "label", "part"]])
    tables.write_json(folder / "results.json", found)
    return folder


def _numbers(blocks: list[page.Block]) -> pd.DataFrame:
    """Return the numbers of a chapter's first table."""
    return next(block.numbers for block in blocks if isinstance(block, page.Table))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Rows 17 and 9 by slice with three seeds each, 17 by patient with one, 4 with one under each optimizer."""
    home = tmp_path_factory.mktemp("runs")
    for seed in range(3):
        make_run(home, 17, [seed], seed=seed)
        make_run(home, 9, list(range(3 + seed)), seed=seed)
    make_run(home, 17, [0, 1, 2, 3, 20, 21], **{"data.split": "patient"})
    make_run(home, 4, [1])
    make_run(home, 4, list(range(15)), optimizer="adam")
    return collect([home]).runs


def test_the_grid_averages_seeds_and_resamples_patients(runs: list[Run]) -> None:
    groups = Groups(runs)
    grid = _numbers(table1.chapter(groups))
    assert [run.accuracy for run in groups.cell(9, "SGD", "slice").runs] == pytest.approx([27 / 30, 26 / 30, 25 / 30])
    # The first patient's three slices are wrong with every seed, the second's none, one or two; the others' are right.
    shares = np.array([0, (0 + 1 / 3 + 2 / 3) / 3, *[1] * 8])
    shares[1] = 1 - shares[1]
    assert grid["slice accuracy"][9] == pytest.approx(shares.mean())
    drawn = np.random.default_rng(1).choice(shares, (4000, 10)).mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert [grid["slice low"][9], grid["slice high"][9]] == pytest.approx([low, high], abs=0.03)
    assert [grid["slice lowest"][9], grid["slice highest"][9]] == pytest.approx([25 / 30, 27 / 30])
    assert grid.loc[9, "slice n"] == 3
    assert grid.loc[9, "paper accuracy"] == 0.96
    assert grid.loc[9, "slice note"] == ""
    # One seed: the run's own interval over patients.
    alone = groups.cell(17, "SGD", "patient").runs[0].record["test"]["accuracy"]
    assert [grid["patient low"][17], grid["patient high"][17]] == [alone["low"], alone["high"]]
    assert math.isnan(grid["slice accuracy"][20])
    assert grid.loc[20, "slice n"] == 0


def _both_against_resized(runs: list[Run], split: str) -> dict[str, Any]:
    """The comparison of rows 17 and 9."""
    table = _numbers(comparisons.chapter(Groups(runs)))
    chosen = table[(table["better"] == 17) & (table["worse"] == 9) & (table["split"] == split)]
    return {str(name): value for name, value in chosen.iloc[0].items()}


def test_comparisons_average_over_seeds(runs: list[Run]) -> None:
    found = _both_against_resized(runs, "slice")
    assert found["difference"] == pytest.approx(np.mean([2 / 30, 3 / 30, 4 / 30]))
    # All that differs lies in two of ten patients, whom a third of all bootstrap samples leave out or nearly so.
    assert found["low"] <= 0 < found["high"]
    assert found["verdict"] == "cannot tell"
    assert (found["n"], found["n worse"]) == (3, 3)
    assert _both_against_resized(runs, "patient")["verdict"] == "not run"


@pytest.mark.parametrize(("wrong", "verdict"), [(range(20), "does not hold"), ([0, 3], "cannot tell")])
def test_one_pair_is_bootstrapped_over_patients(tmp_path: Path, wrong: list[int], verdict: str) -> None:
    make_run(tmp_path, 17, list(wrong))
    make_run(tmp_path, 9, [1, 4])
    found = _both_against_resized(collect([tmp_path]).runs, "slice")
    assert found["verdict"] == verdict
    assert found["low"] <= found["difference"] <= found["high"]


def test_leakage_counts_neighbours_in_training(runs: list[Run]) -> None:
    groups = Groups(runs)
    table = _numbers(leakage.chapter(groups))
    # Every fourth slice is tested, so each has a neighbour in training.
    assert table.loc[17, "neighbour n"] == 30
    assert table.loc[17, "neighbour"] == pytest.approx(29 / 30)
    assert table.loc[17, "no neighbour n"] == 0
    assert math.isnan(table["no neighbour majority"][17])
    labels = groups.cell(17, "SGD", "slice").runs[0].predictions()["label"]
    assert table.loc[17, "neighbour majority"] == pytest.approx(labels.value_counts(normalize=True).max())
    assert table.loc[17, "difference"] == pytest.approx(29 / 30 - 30 / 36)


def test_optimizers_stand_side_by_side(runs: list[Run]) -> None:
    table = _numbers(optimizers.chapter(Groups(runs)))
    assert table.loc[4, "SGD"] == pytest.approx(29 / 30)
    assert table.loc[4, "Adam"] == pytest.approx(15 / 30)
    assert table.loc[17, "SGD first train loss"] == 1
    assert math.isnan(table["Adam"][17])


def _change(folder: Path, **values: Any) -> None:
    """Change a run's record; double underscores in a key lead into it."""
    content = json.loads((folder / "results.json").read_text())
    for key, value in values.items():
        *path, last = key.split("__")
        place = content
        for name in path:
            place = place[name]
        place[last] = value
    tables.write_json(folder / "results.json", content)


def test_a_diverged_run_does_not_stop_the_report(tmp_path: Path) -> None:
    folder = make_run(tmp_path, 17, [0])
    make_run(tmp_path, 9, [0])
    undefined = {"value": None, "low": None, "high": None}
    content = json.loads((folder / "results.json").read_text())
    for epoch in content["history"]:
        epoch["train"]["loss"] = epoch["test"]["loss"] = None
    _change(folder, test__loss=undefined, test__auroc=undefined, history=content["history"])
    predictions = folder / "predictions.csv"
    predictions.write_text(re.sub(r",0\.\d+,0\.\d+$", ",,", predictions.read_text(), flags=re.MULTILINE))
    found = collect([tmp_path])
    text = page.markdown("", compose_report(found))
    assert "| 17 | resnet18, finetune" in text
    assert "1 of 1 gave no numbers (NaN)" in text
    assert found.runs[1].predictions().filter(regex="^p[(]").isna().all(axis=None)


def test_the_papers_data_comes_first(tmp_path: Path) -> None:
    for seed in range(3):
        make_run(tmp_path, 17, [0], seed=seed)
    assert "Not the paper's data (phantom)" in page.markdown("", compose_report(collect([tmp_path])))
    lgg = {"config__data___target_": "brain_tumor.data.sources.LggDataModule", "data__key": "lgg", "id": "lgg"}
    _change(make_run(tmp_path, 9, [0]), **lgg)
    text = page.markdown("", compose_report(collect([tmp_path])))
    assert "1 finished run on" in text
    assert "Left out: 3 finished runs on other data" in text
    assert "Not the paper's data" not in text


def test_table_2_has_the_papers_rows_and_the_best_of_all_optimizers(runs: list[Run], tmp_path: Path) -> None:
    make_run(tmp_path, 12, [], optimizer="adam")
    lines = table2.chapter(Groups([*runs, *collect([tmp_path]).runs]))[-1]
    assert isinstance(lines, page.Table)
    assert list(lines.shown["the paper's best"]) == ["experiment 19: 97%", "experiment 20: 96%"]
    assert lines.shown["ours by slice"][1] == "experiment 12, Adam: 100.0%"


def test_a_sweep_over_something_else_is_not_averaged_as_seeds(tmp_path: Path) -> None:
    for seed in range(2):
        for dropout in (0.3, 0.5):
            make_run(tmp_path, 12, [0], seed=seed, **{"model.dropout": dropout})
    make_run(tmp_path, 12, [0], seed=2, **{"model.dropout": 0.5})
    chosen = Groups(collect([tmp_path]).runs).cell(12, "SGD", "slice").runs
    assert [(run.seed, run.record["config"]["model"]["dropout"]) for run in chosen] == [(0, 0.5), (1, 0.5), (2, 0.5)]


def test_unlike_runs_decide_no_claim(tmp_path: Path) -> None:
    make_run(tmp_path, 17, [])
    folder = make_run(tmp_path, 9, [0, 3, 6, 9, 12])
    assert _both_against_resized(collect([tmp_path]).runs, "slice")["verdict"] == "holds"
    _change(folder, weights__source="none")
    assert _both_against_resized(collect([tmp_path]).runs, "slice")["verdict"] == "cannot tell, unlike weights"
    _change(folder, split__seed=1)
    assert _both_against_resized(collect([tmp_path]).runs, "slice")["verdict"] == "not run"


def test_a_report_removes_its_own_files_only(tmp_path: Path) -> None:
    folder = tmp_path / "thesis"
    tables = [page.Table(name, pd.DataFrame(), pd.DataFrame()) for name in ("first", "second")]
    page.write("", tables, folder)
    (folder / "mine.csv").touch()
    page.write("", tables[1:], folder)
    assert {path.name for path in folder.glob("*.csv")} == {"second.csv", "mine.csv"}


def test_a_collapsed_run_is_counted(tmp_path: Path) -> None:
    slices = _slices("slice")
    tumours = np.flatnonzero(slices[slices["part"] == "test"]["label"]).tolist()
    make_run(tmp_path, 4, tumours)
    make_run(tmp_path, 4, tumours[1:], seed=1)
    groups = Groups(collect([tmp_path]).runs)
    table = _numbers(optimizers.chapter(groups))
    assert (table.loc[4, "SGD collapsed"], table.loc[4, "SGD n"]) == (1, 2)
    assert "(1 of 2 collapsed)" in page.markdown("", optimizers.chapter(groups))


def test_a_bar_in_a_text_does_not_end_its_cell() -> None:
    table = pd.DataFrame({"error": ["choose a|b"]})
    assert page.markdown("", [page.Table("errors", table, table)]).splitlines()[-1] == r"| choose a\|b |"


def test_baselines_are_of_the_same_splits(runs: list[Run]) -> None:
    found = Groups(runs).baselines("patient")
    slices = _slices("patient")
    train, test = slices[slices["part"] == "train"], slices[slices["part"] == "test"]
    position = baselines.predict(train, test, 2)["position"].argmax(1)
    assert found["position"] == pytest.approx((position == test["label"]).mean())
    assert math.isnan(found["nearest_slice"])


def test_unlike_runs_are_not_averaged(tmp_path: Path) -> None:
    make_run(tmp_path, 17, [0])
    make_run(tmp_path, 17, [0, 1], seed=1, **{"trainer.max_epochs": 3})
    folder = make_run(tmp_path, 17, [0, 1, 2], seed=2)
    content = json.loads((folder / "results.json").read_text())
    content["weights"] |= {"source": "file", "missing": ["layer4"]}
    tables.write_json(folder / "results.json", content)
    found = collect([tmp_path]).runs
    assert [run.accuracy for run in Groups(found).cell(17, "SGD", "slice").runs] == pytest.approx([29 / 30])
    grid = _numbers(table1.chapter(Groups([run for run in found if run.seed == 2])))
    assert grid.loc[17, "slice note"] == "weights: a file, partial"
    grid = _numbers(table1.chapter(Groups([run for run in found if run.seed == 1])))
    assert grid.loc[17, "slice note"] == "epochs 3 instead of 20"


def test_a_run_is_known_by_its_settings_without_its_number(tmp_path: Path) -> None:
    make_run(tmp_path, 12, [0], experiment="null")
    assert [run.row for run in collect([tmp_path]).runs] == [12]
    assert {row for _, *rows in paper.COMPARISONS for row in rows} <= set(paper.table().index)


def test_another_strategy_stands_for_no_row(tmp_path: Path) -> None:
    run = Run.read(make_run(tmp_path, 17, [], **{"model.strategy": "partial", "model.trained": "layer4"}))
    assert run.row is None
    assert run.title.startswith("resnet18, partial")


def test_one_configuration_counts_once(tmp_path: Path) -> None:
    make_run(tmp_path, 12, [0])
    make_run(tmp_path, 12, [0])
    assert len(collect([tmp_path]).runs) == 1


def _in_folds(home: Path, wrong: dict[tuple[int, int], list[int]]) -> None:
    """Write runs of row 10 in two folds, by fold and seed; fold 0 tests the first five of ten patients."""
    for (fold, seed), places in wrong.items():
        folder = make_run(home, 10, [], seed=seed, **{"data.folds": 2, "data.fold": fold})
        content = json.loads((folder / "results.json").read_text())
        content["split"] |= {"method": "folds", "folds": 2, "fold": fold}
        tables.write_json(folder / "results.json", content)
        table = _slices("slice")
        own = table["case"].str.removeprefix("P").astype(int) // 5 == fold
        table["part"] = np.where(own, "test", "train")
        scores = np.where(table["label"] == 1, 0.9, 0.2)[own]
        scores[places] = 1 - scores[places]
        predictions = classification.predictions(table[own], np.stack([1 - scores, scores], 1), CLASSES)
        tables.write_csv(folder / "predictions.csv", predictions)
        tables.write_csv(folder / "split.csv", table[["path", "case", "slice", "label", "part"]])


def test_folds_are_pooled(tmp_path: Path) -> None:
    _in_folds(tmp_path, {(0, 0): [0, 1, 2], (1, 0): [], (0, 1): [], (1, 1): [4], (0, 2): []})
    groups = Groups(collect([tmp_path]).runs)
    (own,) = groups.pools
    assert own.missing == ["fold 1 of seed 2"]
    table = _numbers(folds.chapter(groups)).set_index("model")
    line = table.loc["experiment 10, resnet18, freeze, SGD"]
    assert line["accuracy"] == pytest.approx(1 - (3 + 1) / 2 / 120)
    assert (line["lowest seed"], line["highest seed"], line["seeds"]) == (
        pytest.approx(117 / 120),
        pytest.approx(119 / 120),
        2,
    )
    assert line["accuracy low"] < line["accuracy"] < line["accuracy high"] == 1
    # Of four folds and seeds one has a tumour slice, of 20, below every other slice.
    assert line["auroc"] == pytest.approx(1 - 1 / 20 / 4)
    assert table.loc["always the commonest class", "accuracy"] == pytest.approx(80 / 120)
    assert line["minutes"] == pytest.approx(2)
    text = page.markdown("", folds.chapter(groups))
    assert "| 97.5% to 99.2%, n=2 | 2.0 |" in text
    assert "fold 1 of seed 2" in text


def test_the_short_table_has_the_papers_best_row_of_each_model(runs: list[Run], tmp_path: Path) -> None:
    _in_folds(tmp_path, {(0, 0): [0, 1, 2], (1, 0): []})
    both = [*runs, *collect([tmp_path]).runs]
    found = short.chapter(Groups(both))[-1]
    assert isinstance(found, page.Table)
    table = found.shown
    rows = ["resnet50, freeze (experiment 4)", "resnet18, freeze (experiment 10)", "resnet18, finetune (experiment 17)"]
    assert list(table[""][:3]) == rows
    assert len(table) == 6
    assert list(table["by slice"][1:3]) == ["not run", "96.7% (90.0% to 100.0%); 3 seeds 96.7% to 96.7%"]
    assert table["every patient once"][1].startswith("97.5%")
    assert table["every patient once"][2] == "not run"
    assert table["every patient once"][3].startswith("66.7%")


def test_the_command_writes_every_file(runs: list[Run], command: Command, tmp_path: Path) -> None:
    home = runs[0].folder.parent
    for name in ("failed", "cut-off"):
        (tmp_path / "more" / name / ".hydra").mkdir(parents=True)
    run_folder.write_failure(tmp_path / "more" / "failed", "data: a <broken> file", "Traceback ...")
    output = command("report", str(home), "more", "--to", "page", cwd=tmp_path).stdout
    assert output.strip() == "report: page/report.html"
    written = {path.name for path in (tmp_path / "page").iterdir()}
    assert {"report.md", "report.html", "table1_sgd.csv", "table1_adam.csv", "comparisons.csv", "runs.csv"} <= written
    assert {"accuracy_sgd.png", "curves_17_sgd.png", "roc.png", "reliability.png", "confusion.png"} <= written
    page, text = ((tmp_path / "page" / f"report.{kind}").read_text() for kind in ("html", "md"))
    # Self-contained: nothing is loaded from anywhere.
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "<script" not in page
    assert "data: a &lt;broken&gt; file" in page
    for words in ("not run", "not a medical device", "cut off, or under way", "Experiment 19, SGD: not run."):
        assert words in page
        assert words in text
    assert "; 3 seeds 96.7% to 96.7%" in text
    for picture in re.findall(r"\]\((\S+\.png)\)", text):
        assert (tmp_path / "page" / picture).read_bytes().startswith(b"\x89PNG")
    grid = pd.read_csv(tmp_path / "page" / "table1_sgd.csv", index_col="experiment")
    assert grid.loc[17, "slice accuracy"] == pytest.approx(29 / 30)


def test_nothing_finished_is_said(command: Command, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    command("report", "outputs", cwd=tmp_path)
    assert "No finished run yet." in (tmp_path / "outputs" / "report" / "report.md").read_text()
    refused = command("report", "nowhere", cwd=tmp_path, check=False)
    assert refused.returncode == 1
    assert (
        refused.stderr.splitlines()[-1]
        == "error: nowhere: no such folder; give the one that training wrote to, such as outputs"
    )
    assert collect([tmp_path / "outputs"]) == Collection([], [], [], [])


def test_folds_alone_are_not_put_beside_the_papers_splits(tmp_path: Path) -> None:
    _in_folds(tmp_path, {(0, 0): [0, 1, 2], (1, 0): []})
    text = page.markdown("", compose_report(collect([tmp_path])))
    assert "## Every patient tested once" in text
    assert "## Cost" in text
    for left_out in ("## In short", "## Table 1", "## SGD or Adam", "not run"):
        assert left_out not in text


def test_a_split_by_slice_is_compared_on_its_own_slices(tmp_path: Path) -> None:
    """By slice all is right; in folds 0's first three slices are wrong, one of which was tested by slice."""
    make_run(tmp_path, 10, [], **{"+trainer.check_val_every_n_epoch": 20})
    _in_folds(tmp_path, {(0, 0): [0, 1, 2], (1, 0): []})
    (line,) = list(paired.by_split(collect([tmp_path]).runs))
    assert (line["slice"], line["patient"], line["n"]) == (1.0, pytest.approx(29 / 30), 30)
    assert line["difference"] == pytest.approx(1 / 30)
    assert line["low"] == 0 < line["high"]
    text = page.markdown("", compose_report(collect([tmp_path])))
    assert "## Leakage on the same slices" in text
    assert "| 100.0% | 96.7% | +3.3 (+0.0 to" in text


def test_configurations_in_folds_are_compared_on_the_same_slices(tmp_path: Path) -> None:
    _in_folds(tmp_path, {(0, 0): [0, 1, 2], (1, 0): []})
    groups = Groups(collect([tmp_path]).runs)
    (line,) = list(paired.ranked(groups.pools))
    position = groups.pools[0].baselines["position"]["accuracy"]["value"]
    assert position is not None
    assert line["to_position"] == pytest.approx(117 / 120 - position)
    assert math.isnan(line["to_next"])


def test_errors_are_divided_by_place_and_by_facts_of_patients(tmp_path: Path) -> None:
    """Ten patients of twelve slices with the tumour in slices 4 to 7; slices 0 to 2 of the first patient are wrong."""
    _in_folds(tmp_path, {(0, 0): [0, 1, 2], (1, 0): []})
    facts = tmp_path / "patients.csv"
    lines = [f"P{case};{40 + case};{'high' if case < 5 else 'low'};x" for case in range(10)]
    facts.write_text("\n".join(["Patient;age;grade;same", *lines[1:]]))  # the first patient is unknown
    known = patients_table.Known(patients_table.read(facts, ["age", "grade"]))
    table = _numbers(errors.chapter(Groups(collect([tmp_path]).runs, known))).set_index(["by", "group"])
    place, counts = "slices to the tumour's end", {"-4 or more": 20, "-3": 20, "-2": 20, "-1": 20, "0": 20, "1": 20}
    assert table.loc[place]["slices"].to_dict() == counts
    assert table.loc[(place, "-4 or more"), "accuracy"] == pytest.approx(19 / 20)
    assert table.loc[place]["of errors"].to_dict() == pytest.approx(
        {**dict.fromkeys(counts, 0), "-4 or more": 1 / 3, "-3": 1 / 3, "-2": 1 / 3}
    )
    assert table.loc["grade"]["slices"].to_dict() == {"high": 48, "low": 60, "unknown": 12}
    assert table.loc[("grade", "unknown"), "accuracy"] == pytest.approx(9 / 12)
    assert list(table.loc["age"].index) == ["up to 43.6667", "above 43.6667 to 46.3333", "above 46.3333", "unknown"]
    for tested, said in (([0, 1], False), ([0], True)):
        few = [run for run in collect([tmp_path]).runs if run.record["split"]["fold"] in tested]
        text = page.markdown("", compose_report(Collection(few, [], [], []), known=known))
        assert ("`by` divides nothing" in text) == said
    cases = pd.Series([f"P{case}" for case in range(10)])
    with pytest.raises(ValueError, match="by=same: has 1 value for the runs' patients"):
        patients_table.of_cases(patients_table.read(facts, ["same"]), cases)
    with pytest.raises(ValueError, match="names none of the runs' patients: it has P1, and the runs have Q0"):
        patients_table.of_cases(patients_table.read(facts, ["age"]), cases.str.replace("P", "Q"))
    with pytest.raises(ValueError, match="adjust=grade: holds no number"):
        patients_table.Known(covariates=patients_table.read(facts, ["grade"])).of(cases, "")


def test_a_table_of_patients_that_cannot_be_used_is_named(command: Command, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    table = tmp_path / "patients.csv"
    for content, words in (
        ("name,age\nA,3\n", "no column with patients' names; call it one of case, patient"),
        ("case,age\nA,3\nA,4\n", "A has two rows; keep one per patient"),
        ("case,weight\nA,3\n", "age: patients.csv has no such column, but weight"),
        ("", "not a table of comma-separated values"),
    ):
        table.write_text(content)
        refused = command("report", "outputs", "patients=patients.csv", "by=age", cwd=tmp_path, check=False)
        assert refused.returncode == 1
        assert words in refused.stderr
        assert refused.stderr.count("error: ") == 1
    refused = command("report", "outputs", "by=age", cwd=tmp_path, check=False)
    assert "give it as patients=FILE" in refused.stderr


def test_what_to_expect_of_a_patient(tmp_path: Path) -> None:
    _in_folds(tmp_path, {(0, 0): [0, 1, 2], (1, 0): [4]})
    line = _numbers(expectations.chapter(Groups(collect([tmp_path]).runs))).iloc[0]
    assert (line["median"], line["worst"]) == (1.0, pytest.approx(9 / 12))
    # Right answers have .2 or .9, so a squared error of .04 or .01; wrong ones .64 (a slice without a tumour) or .81.
    wrong = 3 * 0.64 + 0.81
    assert line["brier"] == pytest.approx((77 * 0.04 + 39 * 0.01 + wrong) / 120)
    assert line["brier low"] < line["brier"] < line["brier high"]
