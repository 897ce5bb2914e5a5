"""Nothing that a training keeps in memory grows with the data."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import environment
from tests.many import PER_CASE

MEGABYTE = 2**20
_SETTINGS = [
    "data=custom", "data._target_=tests.many.Many", "data.size=64", "data.batch_size=16", "model.weights=none",
    "trainer.max_epochs=1", "+trainer.limit_train_batches=4", "+trainer.limit_val_batches=4",
    "trainer.enable_progress_bar=false",
]  # fmt: skip


def _peak(home: Path, slices: int, *arguments: str) -> int:
    """Train on so many slices; return the most private memory that the process had at a time, in bytes.

    Arrays that are mapped from files are not counted, unless they are written to.
    """
    command = [sys.executable, "-m", "brain_tumor.train", f"+data.cases={slices // PER_CASE}", *_SETTINGS, *arguments]
    with (home / "printed").open("w") as printed:
        process = subprocess.Popen(command, cwd=home, env=environment(home), stdout=printed, stderr=printed)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _private(process.pid))
            time.sleep(0.05)
    assert process.returncode == 0, (home / "printed").read_text()
    return peak


def _private(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is private")
@pytest.mark.parametrize("arguments", [["model=resunet18"], ["model=cnn"]], ids=["segmenter", "classifier"])
def test_memory_is_flat(tmp_path: Path, arguments: list[str]) -> None:
    """The maps and masks of 6,000 tested slices alone would take half a gigabyte."""
    few, many = (_peak(tmp_path, slices, *arguments) for slices in (4_000, 40_000))
    print(f"{arguments[0]}: {few / MEGABYTE:.0f} MB at 4,000 slices, {many / MEGABYTE:.0f} MB at 40,000")
    assert few > 200 * MEGABYTE, "torch alone takes as much"
    assert many - few < 300 * MEGABYTE
