"""Small data made once a session, and the commands as a user types them."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from brain_tumor.data import opening
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets import phantom
from brain_tumor.datasets.base import DataSet
from tests.warm import Interpreter, Running

REPOSITORY = Path(__file__).resolve().parents[1]
# A ResNet on small images for a moment: what every training in the tests shares.
SMALL = ["data.cases=6", "data.size=32", "data.batch_size=16", "trainer.max_epochs=2", "model.weights=none"]

_FOLD = ["data.folds=3", "data.fold=0"]
# A U-Net of three regions in phantom volumes of four sequences; add data.fold.
VOLUMES = [
    "data=phantom3d", "data.cases=5", "data.shape=[32,32,16]", "data.size=32", "data.folds=2", "model=resunet18",
    "model.weights=none", "trainer.max_epochs=2", "data.batch_size=16", "optimizer=adamw", "data.intensities=volume",
    "trainer.precision=32-true",
]  # fmt: skip
# What every run has from the end of its first epoch on, from the folder it was started in.
LAST = "outputs/*/checkpoints/last.ckpt"

# Two tests at a time; more threads than cores would slow each other down several times.
torch.set_num_threads(1)

Command = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., Running]


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the session, with six phantom cases in it."""
    folder = tmp_path_factory.mktemp("cache")
    phantom.generate(folder, 6, 0)
    return folder


@pytest.fixture(scope="session")
def phantoms(cache_dir: Path) -> Path:
    """The folder that holds the six cases' kaggle_3m; not to be changed."""
    return phantom.generate(cache_dir, 6, 0)


@pytest.fixture(scope="session")
def _interpreter(cache_dir: Path) -> Iterator[Interpreter]:
    interpreter = Interpreter(environment(cache_dir), ["-W", "error::DeprecationWarning:brain_tumor"])
    yield interpreter
    interpreter.close()


@pytest.fixture(scope="session")
def start(_interpreter: Interpreter) -> Start:
    """Start `python -m brain_tumor.<verb> ...` in a folder, to be killed or waited for."""
    return lambda verb, *arguments, cwd: _interpreter.start(f"brain_tumor.{verb}", arguments, cwd)


@pytest.fixture(scope="session")
def command(start: Start) -> Command:
    """Run `python -m brain_tumor.<verb> ...` in a folder; float32 and one thread unless told otherwise."""

    def run(verb: str, *arguments: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        finished = start(verb, *arguments, cwd=cwd).wait()
        if check:
            assert finished.returncode == 0, finished.stdout + finished.stderr
            assert "Warning: " not in finished.stderr, finished.stderr  # our own is in capitals
        return finished

    return run


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def segmenter(command: Command, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished segmenter's folder."""
    small = ["data.cases=6", "data.size=64", "trainer.max_epochs=2", "model.weights=none", *_FOLD]
    small += ["data.intensities=file", "transforms.strip=0"]  # a slice alone then says what it does in its volume
    return _once("segmenter", ["recipe=localization", *small], command, home, tmp_path_factory)


@pytest.fixture(scope="session")
def detector(command: Command, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished classifier's folder, of another size, tested on the segmenter's patients, frozen."""
    small = [*SMALL, "data.val_fraction=0.3", "model.strategy=freeze", *_FOLD]
    return _once("detector", small, command, home, tmp_path_factory)


@pytest.fixture(scope="session")
def volume_segmenter(command: Command, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished segmenter's folder: three regions in volumes of four sequences, fold 0 of two."""
    return _once("volume-segmenter", [*VOLUMES, "data.fold=0"], command, home, tmp_path_factory)


def _once(
    name: str, arguments: list[str], command: Command, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Train once for all processes that share the tests, and give each a copy to evaluate."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    kept = shared / "shared" / name
    with FileLock(shared / f"{name}.lock"):
        if not kept.exists():
            own = shared / f"{name}-training"
            own.mkdir(exist_ok=True)
            output = command("train", *arguments, cwd=own).stdout
            kept.parent.mkdir(exist_ok=True)
            own.rename(kept)
            (kept / "output.txt").write_text(output)
    folder = run_folder((kept / "output.txt").read_text())
    shutil.copytree(kept / folder, home / folder)
    return home / folder


def data_of(declared: type[DataSet], *, transforms: Transforms, **settings: Any) -> SliceDataModule:
    """Open a data set with settings as the configuration has them."""
    return opening.build(declared, settings, "data", transforms=transforms)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive of tar, with the filter for data where Python has it: since 3.11.4."""
    with tarfile.open(archive) as opened:
        opened.extraction_filter = getattr(tarfile, "data_filter", None)
        opened.extractall(folder)


def environment(cache_dir: Path) -> dict[str, str]:
    """Return the environment of a command: this checkout, the session's cache, and no weights from outside."""
    return {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
        "BRAIN_TUMOR_CACHE": str(cache_dir),
        "TORCH_HOME": str(cache_dir / "torch"),
    }


def run_folder(output: str) -> str:
    """Return the folder that a command's last line names."""
    last = output.strip().splitlines()[-1]
    assert last.startswith("run: "), output
    return last.removeprefix("run: ")


def write_image(path: Path, seed: int = 0, size: tuple[int, int] = (40, 30), mode: str = "RGB", **save: str) -> None:
    """Write a random image; `size` is width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **save)


def write_mask(path: Path, tumour: bool, size: tuple[int, int] = (40, 30)) -> None:
    """Write a mask, empty or with a rectangle; `size` is width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0]), np.uint8)
    pixels[5:15, 10:20] = 255 * tumour
    Image.fromarray(pixels).save(path)
