"""The paper's grid: its rows, the sweep that goes on where it was cut off, and the launchers."""

import itertools
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir

from brain_tumor.config import names, typed
from brain_tumor.report import paper
from tests.conftest import LAST, Command, Start, environment

# A row of the grid for a moment: everything that costs time made small.
TINY = ["data.cases=6", "data.size=32", "trainer.max_epochs=1", "trainer.enable_progress_bar=false"]


@pytest.mark.parametrize("number", range(1, 21))
def test_a_row_sets_what_the_table_says(number: int) -> None:
    with initialize_config_dir(typed.CONF, version_base="1.3"):
        plain, config = compose("train"), compose("train", [f"paper='{number}'"])
    row = paper.table().loc[number]
    assert config.model.backbone == row["model"]
    assert config.model.strategy == row["strategy"]
    assert config.model.weights == "imagenet"
    assert config.data.batch_size == row["batch_size"]
    assert config.data.size == row["resize"]
    assert config.trainer.max_epochs == row["epochs"]
    assert config.optimizer._target_ == "torch.optim.SGD"
    assert config.optimizer.lr == row["lr"]
    assert config.optimizer.momentum == row["momentum"]
    assert bool(config.transforms.flip) == row["horizontal_flip"]
    assert config.transforms.normalize == row["normalize"]
    assert config.experiment == number
    assert config.seed == plain.seed
    assert config.data.split == plain.data.split
    # It sets exactly these: apart from them nothing differs from the run without a row.
    for group, keys in {
        "model": {"backbone", "strategy", "weights"},
        "data": {"batch_size", "size"},
        "trainer": {"max_epochs"},
        "optimizer": {"lr"},
        "transforms": {"flip", "normalize"},
    }.items():
        assert {name for name in config[group] if config[group][name] != plain[group].get(name)} <= keys


def test_the_table_is_the_papers() -> None:
    published = Path(typed.CONF).parents[1] / "shared" / "paper" / "table1.csv"
    if not published.exists():
        pytest.skip("the paper's table is not at hand")
    pd.testing.assert_frame_equal(paper.table(), pd.read_csv(published, index_col="experiment"))


def test_another_optimizer_takes_the_rows_learning_rate() -> None:
    with initialize_config_dir(typed.CONF, version_base="1.3"):
        config = compose("train", ["paper='19'", "optimizer=adam"])
    assert config.optimizer == {
        "_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.0001, "weight_decay": 0, "fused": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        ("paper=19", "paper='19'"),
        ("paper='19'", "paper='19'"),
        ("paper=1,12", "paper='1','12'"),
        ("paper=range(1,4)", "paper='1','2','3'"),
        ("paper=glob(1*)", "paper=" + ",".join(f"'{row}'" for row in [1, *range(10, 20)])),
        ("paper=null", "paper=null"),
        ("seed=1,2", "seed=1,2"),
    ],
)
def test_rows_are_named_by_numbers(written: str, understood: str) -> None:
    assert names._quote_rows(written) == understood


def _sweep(cwd: Path, cache_dir: Path, *arguments: str, threads: str = "1") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "brain_tumor.train", "--multirun", *TINY, *arguments],
        cwd=cwd,
        env={**environment(cache_dir), "OMP_NUM_THREADS": threads},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _kill_when(process: "subprocess.Popen[str]", outputs: Path, finished: int) -> None:
    """Kill the sweep when it has finished so many runs and has a checkpoint of the next."""
    while True:
        done = {path.parent for path in outputs.glob("*/results.json")}
        begun = {path.parents[1] for path in outputs.glob("*/checkpoints/last.ckpt")}
        if len(done) >= finished and begun - done:
            break
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def _numbers(outputs: Path) -> dict[str, str]:
    """Every finished run's numbers, by configuration: all of its record but times, and its predictions."""
    found = {}
    for path in outputs.glob("*/results.json"):
        content = json.loads(path.read_text())
        content["config"]["output_dir"] = ""
        assert content["id"] not in found, "counted twice"
        kept = {key: value for key, value in content.items() if key != "timing"}
        found[content["id"]] = json.dumps(kept) + (path.parent / "predictions.csv").read_text()
    return found


def _tables(folder: Path) -> dict[str, str]:
    return {
        path.name: re.sub(r"-[0-9a-f]{6}\b", "", path.read_text())
        for path in folder.glob("*.csv")
        if path.name != "cost.csv"
    }


def _weights(path: Path, name: str = "resnet18") -> None:
    from torchvision import models

    torch.manual_seed(0)
    torch.save(models.get_model(name, weights=None).state_dict(), path)


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_retries(command: Command, cache_dir: Path, tmp_path: Path) -> None:
    rows = ["paper=2,10", "model.weights=later.pth,none", "trainer.max_epochs=6"]
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    for folder in (broken, unbroken):
        folder.mkdir()
    # The file is missing: two of the four runs fail, the others go on, and the exit code tells.
    output, _ = (process := _sweep(broken, cache_dir, *rows)).communicate()
    assert process.returncode == 1
    assert len(_numbers(broken / "outputs")) == 2
    failed = sorted(path.parent for path in (broken / "outputs").glob("*/error.txt"))
    assert len(failed) == 2
    assert failed[0].joinpath("error.txt").read_text().startswith("model.weights=later.pth: no such file")
    assert "Traceback" in failed[0].joinpath("traceback.txt").read_text()
    assert output.count("failed: model.weights=later.pth: no such file") == 2
    shown = command("report", "outputs", cwd=broken)
    assert "no such file" in (broken / "outputs/report/report.md").read_text(), shown.stdout

    _weights(broken / "later.pth")
    _kill_when(_sweep(broken, cache_dir, *rows), broken / "outputs", 2)
    _kill_when(_sweep(broken, cache_dir, *rows), broken / "outputs", 3)
    again = _sweep(broken, cache_dir, *rows)
    output, _ = again.communicate()
    assert again.returncode == 0, output
    assert output.count("finished before") == 3
    assert output.count("goes on from its last checkpoint") == 1

    _weights(unbroken / "later.pth")
    output, _ = (process := _sweep(unbroken, cache_dir, *rows)).communicate()
    assert process.returncode == 0, output
    assert _numbers(broken / "outputs") == _numbers(unbroken / "outputs")
    for folder in (broken, unbroken):
        command("report", "outputs", cwd=folder)
    assert _tables(broken / "outputs/report") == _tables(unbroken / "outputs/report")
    assert not list((broken / "outputs").glob("*/error.txt"))


@pytest.mark.slow
def test_the_whole_grid_survives_two_kills_and_a_failure(command: Command, cache_dir: Path, tmp_path: Path) -> None:
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    for folder in (broken, unbroken):
        folder.mkdir()
    rows = ["paper=glob(*)", "model.weights=${model.backbone}.pth"]
    for folder, name in itertools.product((broken, unbroken), ("resnet18", "resnet50")):
        _weights(folder / f"{name}.pth", name)
    _kill_when(_sweep(broken, cache_dir, *rows), broken / "outputs", 5)
    _kill_when(_sweep(broken, cache_dir, *rows), broken / "outputs", 12)
    (broken / "resnet50.pth").rename(broken / "gone.pth")
    process = _sweep(broken, cache_dir, *rows)
    process.communicate()
    assert process.returncode == 1
    finished = len(_numbers(broken / "outputs"))
    assert 12 <= finished < 20
    assert list((broken / "outputs").glob("*/error.txt"))
    (broken / "gone.pth").rename(broken / "resnet50.pth")
    again = _sweep(broken, cache_dir, *rows)
    output, _ = again.communicate()
    assert again.returncode == 0
    assert output.count("finished before") == finished

    output, _ = (process := _sweep(unbroken, cache_dir, *rows)).communicate()
    assert process.returncode == 0, output
    assert len(_numbers(unbroken / "outputs")) == 20
    assert _numbers(broken / "outputs") == _numbers(unbroken / "outputs")
    for folder in (broken, unbroken):
        command("report", "outputs", cwd=folder)
    assert _tables(broken / "outputs/report") == _tables(unbroken / "outputs/report")


@pytest.mark.slow
def test_twenty_runs_do_not_grow_the_process(cache_dir: Path, tmp_path: Path) -> None:
    watch = (
        "import resource; from brain_tumor import train; from brain_tumor.config import cli\n"
        "from brain_tumor.training import job; inner = job.release_memory\n"
        "def watched():\n"
        "    inner()\n"
        "    pages = int(open('/proc/self/statm').read().split()[1])\n"
        "    print('resident', pages * resource.getpagesize(), flush=True)\n"
        "job.release_memory = watched\n"
        "cli.enter(train.main)\n"
    )
    (tmp_path / "watch.py").write_text(watch)
    finished = subprocess.run(
        [sys.executable, "watch.py", "--multirun", *TINY, "paper=glob(*)", "model.weights=none"],
        cwd=tmp_path,
        env=environment(cache_dir),
        capture_output=True,
        text=True,
        check=True,
    )
    resident = [int(size) for size in re.findall(r"^resident (\d+)$", finished.stdout, flags=re.MULTILINE)]
    assert len(resident) == 20
    assert resident[-1] < 1.2 * resident[1]


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_runs_started_together_make_the_cache_once(launcher: str, cache_dir: Path, tmp_path: Path) -> None:
    options = {
        "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
        "submitit_local": ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=4"],
    }[launcher]
    _weights(tmp_path / "own.pth")
    shared = [f"model.weights={tmp_path}/own.pth", f"cache_dir={tmp_path}/cache"]
    process = _sweep(tmp_path, cache_dir, "paper=10", "seed=0,1", *shared, *options, threads="")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert len(_numbers(tmp_path / "outputs")) == 2
    if launcher == "joblib":  # each has its share of the cores
        found = [json.loads(path.read_text()) for path in (tmp_path / "outputs").glob("*/results.json")]
        assert {run["versions"]["threads"] for run in found} == {str(max(1, joblib.cpu_count() // 2))}
    assert len(list((tmp_path / "cache" / "slices").glob("*/images.npy"))) == 1
    assert len(list((tmp_path / "cache" / "features").glob("*.npy"))) == 1


def test_a_run_under_way_is_left_alone(start: Start, tmp_path: Path) -> None:
    line = ["--multirun", *TINY, "paper=10", "model.weights=none", "trainer.max_epochs=500"]
    said: list[str] = []

    def left_alone() -> bool:
        if list(tmp_path.glob(LAST)):
            second = start("train", *line, cwd=tmp_path).wait()
            assert second.returncode == 0
            said.append(second.stdout)
        return bool(said)

    start("train", *line, cwd=tmp_path).kill_when(left_alone)
    assert "under way in another process" in said[0]
    assert len(list((tmp_path / "outputs").glob("*/.hydra"))) == 1
