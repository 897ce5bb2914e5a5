"""The README says what is so: its commands compose, and its numbers are the records'."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from brain_tumor.benchmark import measure
from brain_tumor.report.compose import compose
from brain_tumor.report.page import Table
from brain_tumor.report.runs import collect
from brain_tumor.runs import record
from tests.conftest import environment, unpack

ROOT = Path(__file__).resolve().parents[1]
README = ROOT.joinpath("README.md").read_text()
RECIPE = ROOT.joinpath("docs", "recipe.md").read_text()
REPORT = ROOT / "docs" / "results" / "report"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = [
    line
    for page in PAGES
    for line in re.findall(r"^    python -m (brain_tumor\..+?)(?:\s+#.*)?$", page.read_text(), flags=re.MULTILINE)
]


def test_the_steps_of_a_recipe_are_the_records(tmp_path: Path) -> None:
    """The reports on the archives, whose inner folds are shown nowhere else, say what docs/recipe.md does."""
    shown = []
    for archive, folder in (("runs", "recipe-runs"), ("mended", "mended-runs")):
        unpack(ROOT / "docs" / "results" / "recipe" / f"{archive}.tar.xz", tmp_path)
        tables = {block.name: block for block in compose(collect([tmp_path / folder])) if isinstance(block, Table)}
        shown += tables["steps"].shown[["whole", "median", "without skull", "score"]].to_numpy().tolist()
    _check_rule(tables["two_stage_folds"].shown)
    written = re.findall(r"^\| .*\| (\.\d{3}) \| (\.\d{3}) \| (\.\d{3}) \| (\.\d{3}) \|", RECIPE, re.MULTILINE)
    assert len(written) == 8
    assert {tuple(f"0{value}" for value in row) for row in written} <= {tuple(row) for row in shown}


def _check_rule(chains: pd.DataFrame) -> None:
    """The table of whom to believe is the report's, heads as they are and without skulls side by side."""
    chosen = chains[chains["segmenter, detector"].str.contains("(c913a173)", regex=False)]  # not the averaged weights
    sides = [chosen[chosen["heads"] == heads].set_index("masks") for heads in ("as they are", "skulls removed")]
    titles = {"the segmenter alone": "alone", "a detector empties slices below .5": "detector"}
    titles |= {f"and `keep_from={value}`": f"detector, keep_from={value}" for value in ("0.9", "0.99", "0.995")}
    for title, masks in titles.items():
        (line,) = re.findall(rf"^\| {re.escape(title)} \| (.+) \|$", RECIPE, re.MULTILINE)
        first, second = (side.loc[masks] for side in sides)
        dice = [str(side["Dice per volume"]).removeprefix("0") for side in (first, second)]
        shares = [str(side[name]) for name in ("empty slices clean", "slices right") for side in (first, second)]
        assert line.split(" | ") == [*dice, *(share.replace("%", " %") for share in shares)]


def test_names_the_two_commands_and_the_limits_of_use() -> None:
    assert "    make demo" in README
    assert "    make test" in README
    assert "not a medical device" in README
    assert len(README.encode()) < 8_000
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_composes(line: str, tmp_path: Path) -> None:
    module, *arguments = shlex.split(line)
    # Composing a sweep is not possible; its values are, one by one.
    single = [re.sub(r"^([\w.]+=[\w]+),.*", r"\1", argument) for argument in arguments if argument != "--multirun"]
    single = [re.sub(r"^paper=\w+\(.*\)$", "paper=1", argument) for argument in single]
    single = [re.sub(r"^([\w.]+)=range\((\d+),.*\)$", r"\1=\2", argument) for argument in single]
    single = [re.sub(r"^([\w.]+)=tag\(log,interval\(([\d.]+),.*$", r"\1=\2", argument) for argument in single]
    subprocess.run(
        [sys.executable, "-m", module, "--cfg", "job", *single],
        cwd=tmp_path,
        env=environment(tmp_path),
        check=True,
        capture_output=True,
    )


def test_its_table_is_the_reports() -> None:
    report = (REPORT / "report.md").read_text()
    table = report.partition("## In short")[2].partition("\n## ")[0].strip()
    assert table.count("\n") >= 6
    assert table in README


def test_what_a_new_patient_gets_is_the_reports() -> None:
    titles = {
        "ResNet-18, fine-tuned (six": "resnet18, finetune, flipped, normalized, AdamW",
        "ResNet-18, fine-tuned (row 17": "experiment 17, resnet18, finetune, flipped, normalized, SGD",
        "ResNet-18, last block": "resnet18, partial layer4, flipped, normalized, SGD",
        "ResNet-50, last block": "resnet50, partial layer4, flipped, normalized, SGD",
        "ResNet-18, frozen": "experiment 10, resnet18, freeze, SGD",
        "ResNet-50, frozen": "experiment 12, resnet50, freeze, SGD",
        "the paper's plain network": "cnn, finetune, flipped, normalized, SGD",
        "slice position alone": "slice position alone",
    }
    table = pd.read_csv(REPORT / "folds.csv", index_col="model")
    page = (ROOT / "docs" / "findings.md").read_text()
    for title, name in titles.items():
        (line,) = re.findall(rf"^\| {re.escape(title)}.* \| (.+ \| .+ \| .+ \| .+) \| .*\|$", page, flags=re.MULTILINE)
        numbers = table.loc[name]
        accuracy = "{:.1f} % ({:.1f} to {:.1f})".format(*(100 * numbers[["accuracy", "accuracy low", "accuracy high"]]))
        rates = [f"{100 * numbers[rate]:.1f} %" for rate in ("sensitivity", "specificity")]
        area = f"{numbers['auroc']:.3f}".removeprefix("0")
        assert line.replace("**", "").split(" | ") == [accuracy, *rates, area]


def test_the_optimizers_numbers_are_the_reports() -> None:
    page = (ROOT / "docs" / "findings.md").read_text()
    tables = {
        name: pd.read_csv(REPORT / f"table1_{name.lower()}.csv", index_col="experiment") for name in ("SGD", "Adam")
    }
    counts = pd.read_csv(REPORT / "optimizers.csv", index_col="experiment")
    lines = re.findall(r"^\| (\d+) \| ResNet-.* \| (.*) \| (.*) \|$", page, flags=re.MULTILINE)
    assert len(lines) == 9
    for row, *cells in lines:
        for cell, (name, table) in zip(cells, tables.items(), strict=True):
            numbers = table.loc[int(row)].filter(like="slice ").to_dict()
            collapsed = int(counts[f"{name} collapsed"][int(row)])
            loss = f"{numbers['slice train loss']:.2f}".removeprefix("0")
            limits = [100 * numbers[f"slice {key}"] for key in ("accuracy", "low", "high")]
            expected = "{}, {:.1f} % ({:.1f} to {:.1f})".format(loss, *limits) if numbers["slice n"] else "not run"
            assert cell == expected + f", {collapsed} of {numbers['slice n']:.0f} collapsed" * bool(collapsed)


def test_the_packed_runs_are_the_reports(tmp_path: Path) -> None:
    for archive in (REPORT, REPORT.parent / "localization"):
        unpack(archive / "runs.tar.xz", tmp_path)
    runs = pd.read_csv(REPORT / "runs.csv", index_col="folder")
    for folder in tmp_path.glob("*-runs/*"):
        assert record.final(record.read(folder)) == pytest.approx(runs.loc[folder.name, record.read(folder)["measure"]])
        runs = runs.drop(folder.name)
    assert runs.empty
    tested = [
        pd.read_csv(path) for path in tmp_path.glob("lgg-runs/lgg-resnet18-finetune-*-fold?of5-*/predictions.csv")
    ]
    pooled = pd.concat(tested)
    assert len(pooled) == pooled["path"].nunique() == 3929
    right = ((pooled["p(tumour)"] > 0.5) == pooled["label"]).mean()
    assert f"**{100 * right:.1f} % (" in README


def test_the_speeds_are_the_benchmarks() -> None:
    saved = json.loads((ROOT / "docs" / "results" / "benchmark" / "benchmark.json").read_text())
    lines = {measure.line(measure.Row.of(row)) for row in saved["rows"]}
    page = (ROOT / "docs" / "performance.md").read_text()
    shown = re.findall(r"^\| (?:resnet|loader).*\|$", page, flags=re.MULTILINE)
    assert len(shown) >= 7
    assert set(shown) <= lines


def test_what_it_points_to_is_there() -> None:
    for page in (*PAGES, *(ROOT / "docs").glob("*/*.md")):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"
