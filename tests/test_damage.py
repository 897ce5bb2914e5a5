"""Inputs that are damaged or odd: each has its row with a reason, memory is bounded, nothing ends in a traceback."""

import json
import resource
from pathlib import Path

import pandas as pd
import pytest

from brain_tumor.data import cases
from tests import damage
from tests.conftest import Command

GIGABYTE = 2**30


def _look(count: int, seed: int, run: Path, folder: Path, command: Command) -> pd.DataFrame:
    """Predict that many inputs by the command; return the table of cases."""
    (folder / "in").mkdir()
    damage.write(folder / "in", count, seed)
    finished = command("predict", f"run={run}", "input=in", "output_dir=out", cwd=folder, check=False)
    assert finished.returncode == 1, finished.stderr
    assert "Traceback" not in finished.stderr
    tables = [(folder / "out" / name).read_text() for name in ("cases.csv", "slices.csv", "predict.json")]
    assert not any("Doe" in text for text in [finished.stdout, finished.stderr, *tables])
    found, passed = cases.find(str(folder / "in"), {})
    assert passed == 0
    assert {path for case in found for path in case.paths} == set((folder / "in").iterdir())
    table = pd.read_csv(folder / "out" / "cases.csv")
    assert sorted(table["case"]) == sorted(case.name for case in found)
    assert set(pd.read_csv(folder / "out" / "slices.csv")["case"]) == set(table["case"])
    failed = table[table["status"] == "failed"]
    assert failed["reason"].str.len().between(10, 400).all()
    assert json.loads((folder / "out" / "predict.json").read_text())["failed"] == len(failed)
    assert len(list((folder / "out" / "masks").iterdir())) == len(table) - len(failed)
    # Of the largest process of the session; torch and what it brings take two thirds of a gigabyte of it.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < 2.5 * GIGABYTE
    return table


@pytest.mark.filterwarnings("ignore")  # of the files, when they are looked for once more
def test_forty_damaged_inputs(segmenter: Path, tmp_path: Path, command: Command) -> None:
    table = _look(40, 1, segmenter, tmp_path, command)
    assert (table["status"] == "failed").sum() >= 15
    assert (table["status"] == "ok").sum() >= 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_thousand_damaged_inputs(segmenter: Path, tmp_path: Path, command: Command) -> None:
    table = _look(1000, 0, segmenter, tmp_path, command)
    assert (table["status"] == "failed").sum() >= 500
    assert (table["status"] == "ok").sum() >= 200
