"""On real Spark: one machine's, and a standalone cluster of a master and two workers. Needs Java 17 and the extra."""

import contextlib
import importlib.util
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import REPOSITORY, SMALL, Command, environment, run_folder, write_image

pytestmark = [
    pytest.mark.skipif(not importlib.util.find_spec("pyspark"), reason="needs pyspark: pip install '.[spark]'"),
    pytest.mark.skipif(not shutil.which("java"), reason="needs Java 17 (Debian: openjdk-17-jre-headless)"),
    pytest.mark.slow,
]
TINY = [
    "data.cases=6",
    "data.size=32",
    "trainer.max_epochs=1",
    "trainer.enable_progress_bar=false",
    "model.weights=none",
]
LOCAL = ["hydra/launcher=spark", "hydra.launcher.master=local[2]"]
TOGETHER = [*SMALL, "trainer.max_epochs=1", "trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]


def _numbers(outputs: Path) -> dict[str, str]:
    """Every finished run's numbers, by configuration: all of its record but times, and its predictions."""
    found: dict[str, str] = {}
    for path in outputs.glob("*/results.json"):
        content: dict[str, Any] = json.loads(path.read_text())
        assert content["id"] not in found, "counted twice"
        content["config"]["output_dir"] = ""
        del content["timing"]
        found[content["id"]] = json.dumps(content) + (path.parent / "predictions.csv").read_text()
    return found


def _sweep(cwd: Path, cache_dir: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "brain_tumor.train", "--multirun", *arguments],
        cwd=cwd, env=environment(cache_dir), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def cluster(cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a standalone cluster: a master and two workers of one core, processes of their own."""
    import pyspark

    home = tmp_path_factory.mktemp("cluster")
    spark = str(Path(pyspark.__file__).parent)
    settings = {**environment(cache_dir), "SPARK_HOME": spark, "PYSPARK_PYTHON": sys.executable}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"spark://127.0.0.1:{port}"
    start, package = [f"{spark}/bin/spark-class"], "org.apache.spark.deploy"
    lines = [[*start, f"{package}.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"]]
    worker = [
        *start,
        f"{package}.worker.Worker",
        "--host",
        "127.0.0.1",
        "--cores",
        "1",
        "--memory",
        "2g",
        "--webui-port",
        "0",
    ]
    lines += [[*worker, "-d", str(home / number), url] for number in ("1", "2")]
    started = []
    for number, line in enumerate(lines):
        with (home / f"{number}.log").open("w") as log:
            started.append(subprocess.Popen(line, env=settings, stdout=log, stderr=log))
        time.sleep(4)
    yield url
    for process in reversed(started):
        process.terminate()
        process.wait()


def _kill_an_executor() -> None:
    """Kill an executor of this test's own cluster."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.ZombieProcess):
            if "CoarseGrainedExecutorBackend" in " ".join(process.cmdline()):
                process.send_signal(signal.SIGKILL)
                return
    raise AssertionError("no executor")


def test_a_sweep_says_what_became_of_each_run(command: Command, cache_dir: Path, tmp_path: Path) -> None:
    rows = [*TINY, "paper=2,10", "model.weights=none,missing.pth"]
    output, _ = (process := _sweep(tmp_path, cache_dir, *rows, *LOCAL)).communicate()
    assert process.returncode == 1
    states = re.findall(r"^#\d .*: (finished \(on|failed: model.weights=missing.pth: no such file)", output, re.M)
    assert len(states) == 4
    assert len(set(states)) == 2
    assert re.search(r"^error: outputs/\S+: model.weights=missing.pth: no such file", output, re.M)
    assert len(list(tmp_path.glob("outputs/*/error.txt"))) == 2
    output, _ = (process := _sweep(tmp_path, cache_dir, *TINY, "paper=2,10", *LOCAL)).communicate()
    assert process.returncode == 0, output
    command("train", "--multirun", *TINY, "paper=2,10", "output_dir=laptop", cwd=tmp_path)
    assert _numbers(tmp_path / "outputs") == _numbers(tmp_path / "laptop")


def test_a_store_holds_what_a_folder_would(cache_dir: Path, tmp_path: Path) -> None:
    store = ["hydra.launcher.store=" + (tmp_path / "store").as_uri(), f"hydra.launcher.scratch={tmp_path}/scratch"]
    written = []
    for _ in range(2):
        output, _ = (process := _sweep(tmp_path, cache_dir, *TINY, "paper=10", *LOCAL, *store)).communicate()
        assert process.returncode == 0, output
        assert not list(tmp_path.glob("scratch/*/results.json"))
        (record,) = tmp_path.glob("store/*/results.json")
        written.append(record.stat().st_mtime_ns)
    assert written[0] == written[1]
    assert {"predictions.csv", "checkpoints", "split.csv"} <= {path.name for path in record.parent.iterdir()}


def test_a_killed_executor_costs_nothing_but_time(
    command: Command, cache_dir: Path, cluster: str, tmp_path: Path
) -> None:
    rows = [*TINY, "paper=2,6,10,18", "trainer.max_epochs=3"]
    process = _sweep(tmp_path, cache_dir, *rows, "hydra/launcher=spark", f"hydra.launcher.master={cluster}")
    while not list(tmp_path.glob("outputs/*/checkpoints/last.ckpt")):
        assert process.poll() is None
        time.sleep(0.05)
    _kill_an_executor()
    output, _ = process.communicate()
    assert process.returncode == 0, output
    command("train", "--multirun", *rows, "output_dir=laptop", cwd=tmp_path)
    assert len(_numbers(tmp_path / "laptop")) == 4
    assert _numbers(tmp_path / "outputs") == _numbers(tmp_path / "laptop")


def test_two_executors_train_as_two_processes(command: Command, cache_dir: Path, cluster: str, tmp_path: Path) -> None:
    on = ["hydra/launcher=spark", f"hydra.launcher.master={cluster}"]
    output, _ = (process := _sweep(tmp_path, cache_dir, *TOGETHER, *on)).communicate()
    assert process.returncode == 0, output
    alone = tmp_path / run_folder(command("train", *TOGETHER, "output_dir=laptop", cwd=tmp_path).stdout)
    assert _numbers(tmp_path / "outputs") == _numbers(alone.parent)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trainer.devices=3"], "trainer.devices=3: this cluster runs 2 tasks at once; add executors"),
        (["+hydra.launcher.conf={spark.dynamicAllocation.enabled: true}"], "executors that stay"),
    ],
)
def test_too_little_room_is_said_before(arguments: list[str], said: str, cache_dir: Path, tmp_path: Path) -> None:
    output, _ = (process := _sweep(tmp_path, cache_dir, *TOGETHER, *arguments, *LOCAL)).communicate()
    assert process.returncode == 1
    assert said in output.strip().splitlines()[-1]
    assert not list(tmp_path.glob("outputs/*/"))


def test_an_archive_is_scored_once(command: Command, cache_dir: Path, detector: Path, tmp_path: Path) -> None:
    import pandas as pd
    import pyarrow.dataset

    for index in range(40):
        write_image(tmp_path / "scans" / f"{index}.png", seed=index)
    (tmp_path / "scans" / "torn.png").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "paths.txt").write_text("".join(f"{path}\n" for path in sorted((tmp_path / "scans").iterdir())))
    line = [
        "cluster.score",
        f"run={detector}",
        "input=paths.txt",
        "to=scores",
        "files_per_commit=15",
        "master=local[2]",
    ]
    # Killed after its first part.
    process = subprocess.Popen(
        [sys.executable, "-m", f"brain_tumor.{line[0]}", *line[1:]], cwd=tmp_path, env=environment(cache_dir)
    )
    while not list(tmp_path.glob("scores/part=*/_SUCCESS")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("scores/part=0/*.parquet")}
    output = command(*line, cwd=tmp_path).stdout
    assert "failed: 1 rows\nok: 40 rows" in output
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("scores/part=0/*.parquet")} == kept
    table = pyarrow.dataset.dataset(sorted(map(str, tmp_path.glob("scores/part=*/*.parquet")))).to_table().to_pylist()
    assert len({row["path"] for row in table}) == len(table) == 41

    command("predict", f"run={detector}", "input=scans", "overlays=false", cwd=tmp_path, check=False)
    known = pd.read_csv(tmp_path / "predictions" / "slices.csv", dtype={"case": str}).set_index("case")["p(tumour)"]
    for row in table:
        if row["status"] == "ok":
            assert dict(row["probabilities"])["tumour"] == pytest.approx(known[row["case"]], abs=1e-6)
    refused = command(*line, "preset=percentile", cwd=tmp_path, check=False)
    assert "/scores: holds scores of another run, input or preset" in refused.stderr


def test_the_notebook_runs(cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    for name, value in environment(cache_dir).items():
        monkeypatch.setenv(name, value)
    path = REPOSITORY / "docs" / "cluster" / "one_epoch.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(tmp_path)}}).execute()
    pictures = [own for cell in notebook.cells for own in cell.get("outputs", []) if "image/png" in own.get("data", {})]
    assert len(pictures) == 2
    assert "accuracy" in str(notebook.cells[2].outputs)
