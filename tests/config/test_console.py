"""The command `brain-tumor`: its list of commands, its completion in bash, and the report's two ways of writing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import brain_tumor
from brain_tumor.config import console
from tests.conftest import Command, environment

_SCRIPT = Path(sys.executable).with_name("brain-tumor")


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_SCRIPT, *arguments], cwd=cwd, env=environment(cwd), capture_output=True, text=True, check=False
    )


def test_help_lists_each_command_with_one_line(tmp_path: Path) -> None:
    shown = _run("--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert shown.stdout == console.usage()
    lines = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines()[2:])
    assert lines["train"] == "Train and test a model, and write a complete record."
    assert lines["report"].startswith("Report runs beside the paper's results")
    assert max(map(len, shown.stdout.splitlines())) < 140
    wrong = _run("trian", cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "no such command; choose one of train, evaluate" in wrong.stderr


def test_it_knows_every_command_of_the_root() -> None:
    root = {path.stem for path in Path(brain_tumor.__file__).parent.glob("*.py")} - {"__init__"}
    assert root - {line.split()[0] for line in console.usage().splitlines() if line} == set()


def test_it_starts_a_command(tmp_path: Path) -> None:
    started = _run("train", "--cfg", "job", "model=cnn", cwd=tmp_path)
    assert started.returncode == 0, started.stderr
    assert "backbone: cnn" in started.stdout
    refused = _run("train", "model=cmm", cwd=tmp_path)
    assert refused.returncode == 1
    assert "Could not find 'model/cmm'" in refused.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["ev"], {"evaluate "}),
        (["train", "optimizer=ada"], {"optimizer=adam", "optimizer=adamw"}),
        (["train", "model=cnn", "trainer.max_e"], {"trainer.max_epochs="}),
        (["predict", "thr"], {"threshold="}),
    ],
)
def test_bash_completes_commands_and_what_hydra_knows(words: list[str], completed: set[str], tmp_path: Path) -> None:
    line = ["brain-tumor", *words]
    script = (
        'eval "$(brain-tumor completion bash)"\n'
        f"COMP_WORDS=({' '.join(line)}); COMP_CWORD={len(words)}; _brain_tumor\n"
        "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    env = environment(tmp_path)
    env["PATH"] = f"{_SCRIPT.parent}:{env['PATH']}"
    found = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert set(found.stdout.splitlines()) == completed, found.stderr


def test_the_report_is_written_in_either_way(command: Command, tmp_path: Path) -> None:
    for name in ("outputs", "a, b"):
        (tmp_path / name).mkdir()
    assert "report: outputs/report/report.html" in command("report", "outputs", cwd=tmp_path).stdout
    command("report", "outputs", "a, b", "--to", "x=y", "--no-slices", cwd=tmp_path)
    assert (tmp_path / "x=y" / "report.html").exists()
    command("report", "folders=[outputs,'a, b']", "to=new", "slices=false", cwd=tmp_path)
    assert (tmp_path / "new" / "report.md").read_text() == (tmp_path / "x=y" / "report.md").read_text()
