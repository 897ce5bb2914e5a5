"""Inputs that are damaged or odd: each has its row with a reason, memory is bounded, nothing ends in a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from brain_tumor.data import cases
from tests import damage
from tests.conftest import environment

GIGABYTE = 2**30


def _look(count: int, seed: int, run: Path, folder: Path, cache_dir: Path) -> pd.DataFrame:
    """Predict that many inputs by the command; return the table of cases."""
    (folder / "in").mkdir()
    damage.write(folder / "in", count, seed)
    command = [sys.executable, "-m", "brain_tumor.predict", f"run={run}", "input=in", "output_dir=out"]
    with (folder / "printed").open("w") as printed:
        process = subprocess.Popen(command, cwd=folder, env=environment(cache_dir), stdout=printed, stderr=printed)
        # Not wait(): only wait4() tells the memory of this one process.
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    output = (folder / "printed").read_text()
    assert process.returncode == 1, output
    assert "Traceback" not in output
    tables = [(folder / "out" / name).read_text() for name in ("cases.csv", "slices.csv", "predict.json")]
    assert not any("Doe" in text for text in [output, *tables])
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
    # In kilobytes; torch and what it brings take two thirds of a gigabyte of it.
    assert usage.ru_maxrss * 1024 < 2.5 * GIGABYTE
    return table


@pytest.mark.filterwarnings("ignore")  # of the files, when they are looked for once more
def test_forty_damaged_inputs(segmenter: Path, tmp_path: Path, cache_dir: Path) -> None:
    table = _look(40, 1, segmenter, tmp_path, cache_dir)
    assert (table["status"] == "failed").sum() >= 15
    assert (table["status"] == "ok").sum() >= 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_thousand_damaged_inputs(segmenter: Path, tmp_path: Path, cache_dir: Path) -> None:
    table = _look(1000, 0, segmenter, tmp_path, cache_dir)
    assert (table["status"] == "failed").sum() >= 500
    assert (table["status"] == "ok").sum() >= 200
