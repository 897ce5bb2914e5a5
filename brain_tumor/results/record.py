"""The files a run leaves behind, and how a run is known.

results.json      everything (see `RECORD_KEYS`)
predictions.csv   path, case, slice, label and one probability a class, for every test slice
split.csv         path, case, slice, label and part, for every slice
error.txt         one line, where the run has failed; the traceback is in traceback.txt
"""

import hashlib
import json
import math
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray

RECORD_KEYS = (
    "id", "config", "data", "split", "weights", "baselines", "history", "test", "timing", "versions",
)  # fmt: skip
# Changing one of these changes no number, so it is the same run.
_IMMATERIAL = {
    "output_dir", "cache_dir", "experiment", "resume", "name", "cache_features", "resident", "eval_batch_size",
    "enable_progress_bar",
}  # fmt: skip
_PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "numpy", "pillow")


def run_id(config: Mapping[str, Any]) -> str:
    """Name a run by its resolved configuration: 8 hexadecimal digits."""

    def material(values: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in values.items() if key not in _IMMATERIAL}
        return {key: material(value) if isinstance(value, Mapping) else value for key, value in kept.items()}

    return hashlib.sha256(json.dumps(material(config), sort_keys=True, default=str).encode()).hexdigest()[:8]


def find(output_dir: Path, identity: str) -> Path | None:
    """Return the newest run folder of this identity, a finished one first; None where there is none."""
    folders = [path for path in output_dir.glob(f"*-{identity}-*") if path.is_dir()]
    return max(folders, key=lambda path: (finished(path), path.stat().st_mtime), default=None)


def finished(folder: Path) -> bool:
    """Return whether the run in `folder` has ended and left its record, which is written last."""
    return (folder / "results.json").exists()


def read(folder: Path) -> dict[str, Any]:
    """Return a run's record.

    Raises:
        ValueError: `folder` is no finished run, or its record is damaged.
    """
    path = folder / "results.json"
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ValueError(f"{folder}: no finished run there (it has no results.json)") from error
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: damaged or unreadable ({error})") from error
    missing = [key for key in RECORD_KEYS if key not in record] if isinstance(record, dict) else list(RECORD_KEYS)
    if missing:
        raise ValueError(f"{path}: not a record of brain_tumor; it lacks {', '.join(missing)}")
    return dict(record)


def write_json(path: Path, value: object) -> None:
    """Write JSON, complete or not at all; NaN becomes null."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(_plain(value), indent=1, allow_nan=False) + "\n")
    temporary.replace(path)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table, complete or not at all."""
    temporary = path.with_suffix(".tmp")
    table.to_csv(temporary, index=False)
    temporary.replace(path)


def predictions(table: pd.DataFrame, probabilities: NDArray[np.floating], classes: list[str]) -> pd.DataFrame:
    """Put the test slices beside their probabilities (n, C), one column a class."""
    columns = pd.DataFrame(probabilities, columns=[f"p({name})" for name in classes], index=table.index)
    return pd.concat([table[["path", "case", "slice", "label"]], columns], axis=1)


def versions(device: torch.device) -> dict[str, str]:
    """Return the versions and the hardware that numbers may depend on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        "platform": platform.platform(),
        "device": device.type,
        "hardware": name,
        "threads": str(torch.get_num_threads()),
    }


def new_folder(home: Path) -> Path:
    """Make the next of the folders `home/1`, `home/2`, ... and return it."""
    number = 1
    while True:
        try:
            (home / str(number)).mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return home / str(number)


@contextmanager
def claim(folder: Path) -> Iterator[bool]:
    """Say whether this process may work on a run, because no other one does; a claim ends with its process."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
        discard_unstarted(folder)


def discard_unstarted(folder: Path) -> None:
    """Remove a run folder that holds nothing but the configuration it would have run with."""
    if not started(folder):
        shutil.rmtree(folder, ignore_errors=True)


def started(folder: Path) -> bool:
    """Return whether a run has left anything of its own in its folder."""
    return folder.is_dir() and not {path.name for path in folder.iterdir()} <= {".hydra", ".lock", ".id"}


def write_failure(folder: Path, line: str, trace: str) -> None:
    """Leave a failed run's error in its folder: one line, and the traceback in a file beside it."""
    (folder / "traceback.txt").write_text(trace)
    (folder / "error.txt").write_text(line + "\n")


def failure(folder: Path) -> str:
    """Return the line that a failed run has left; "" where it has not failed."""
    path = folder / "error.txt"
    return path.read_text().strip() if path.exists() else ""


def claim_identity(folder: Path, identity: str) -> None:
    """Note which configuration a folder belongs to.

    Raises:
        ValueError: it is another one's.
    """
    path = folder / ".id"
    known = read(folder)["id"] if finished(folder) else path.read_text() if path.exists() else identity
    if known != identity:
        raise ValueError(f"{folder}: holds a run of another configuration; choose another folder")
    path.write_text(identity)


def clear_failure(folder: Path) -> None:
    """Remove what an earlier attempt has left of its failure."""
    for name in ("error.txt", "traceback.txt"):
        (folder / name).unlink(missing_ok=True)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
