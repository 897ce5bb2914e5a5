"""What `pip install` of the built wheel gives: the commands with their configuration, without a checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import environment

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_an_installed_wheel_trains_from_any_folder(cache_dir: Path, tmp_path: Path) -> None:
    def run(*line: str | Path) -> str:
        kept = {name: value for name, value in environment(cache_dir).items() if name != "PYTHONPATH"}
        done = subprocess.run([*line], cwd=tmp_path, env=kept, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir=wheel", str(ROOT))
    (wheel,) = (tmp_path / "wheel").glob("brain_tumor-*.whl")
    with zipfile.ZipFile(wheel) as content:
        inside = {name.removeprefix("brain_tumor/conf/") for name in content.namelist() if "/conf/" in name}
    assert inside == {path.relative_to(ROOT / "conf").as_posix() for path in (ROOT / "conf").rglob("*.yaml")}

    run(sys.executable, "-m", "venv", "empty")
    python = tmp_path / "empty" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel)
    small = ["data.cases=6", "data.size=32", "trainer.max_epochs=1", "model.weights=none", "model.strategy=freeze"]
    assert "run: outputs/phantom-resnet18" in run(python, "-m", "brain_tumor.train", *small)
    assert "report: outputs/report" in run(python, "-m", "brain_tumor.report", "outputs")
