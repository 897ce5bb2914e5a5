"""Inputs that are damaged or odd: each has its row with a reason, memory is bounded, nothing ends in a traceback."""

import contextlib
import json
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from brain_tumor.scans import cases
from tests import damage
from tests.conftest import environment

GIGABYTE = 2**30


def _look(count: int, seed: int, run: Path, folder: Path, cache_dir: Path) -> pd.DataFrame:
    """Predict that many inputs by the command; return the table of cases."""
    (folder / "in").mkdir()
    damage.write(folder / "in", count, seed)
    command = [sys.executable, "-m", "brain_tumor.predict", f"run={run}", "input=in", "output_dir=out"]
    with (folder / "printed").open("w") as printed:
        process = psutil.Popen(command, cwd=folder, env=environment(cache_dir), stdout=printed, stderr=printed)
        # Looked at while it runs: what the system counts for an ended process is at least what its parent held.
        peak = 0
        while process.poll() is None:
            with contextlib.suppress(psutil.Error):
                peak = max(peak, process.memory_info().rss)
            time.sleep(0.02)
    output = (folder / "printed").read_text()
    assert process.returncode == 1, output
    assert "Traceback" not in output
    tables = [(folder / "out" / name).read_text() for name in ("cases.csv", "slices.csv", "predict.json")]
    assert not any("Doe" in text for text in [output, *tables])
    found, passed, _ = cases.find(str(folder / "in"), {})
    assert passed == 0
    assert {path for case in found for path in case.paths} == set((folder / "in").iterdir())
    table = pd.read_csv(folder / "out" / "cases.csv")
    assert sorted(table["case"]) == sorted(case.name for case in found)
    assert set(pd.read_csv(folder / "out" / "slices.csv")["case"]) == set(table["case"])
    failed = table[table["status"] == "failed"]
    assert failed["reason"].str.len().between(10, 400).all()
    assert json.loads((folder / "out" / "predict.json").read_text())["failed"] == len(failed)
    masks = [path for path in (folder / "out" / "masks").iterdir() if not path.name.startswith(".")]
    assert len(masks) == len(table) - len(failed)
    # Torch and what it brings take two thirds of a gigabyte of it.
    assert GIGABYTE / 4 < peak < 2.5 * GIGABYTE
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
