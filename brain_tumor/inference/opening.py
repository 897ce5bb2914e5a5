"""Open whatever answers: run folders, exported files, or several of them together."""

from collections.abc import Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import Any

from brain_tumor.inference.base import Run
from brain_tumor.inference.ensemble import Ensemble
from brain_tumor.inference.onnx_file import SUFFIX
from brain_tumor.inference.onnx_run import OnnxRun

KEYS = ("run", "detector", "types")  # of a command, each naming a run


def open_run(names: str | Sequence[str], trusted: Sequence[str] = ()) -> Run:
    """Open a run's folder, or what `export` made of one, for which torch is not needed; of several make one.

    Args:
        names: a path, a pattern of several paths, or several of these.
        trusted: modules of the user's own whose classes a run may name.

    Raises:
        ValueError: there is none, one is damaged, or they have learnt unlike things.
    """
    patterns = [names] if isinstance(names, str) else names
    # Each once: two patterns may find the same run, which would then count twice.
    paths = {path.resolve(): path for pattern in patterns for path in _paths(pattern)}
    if not paths:
        raise ValueError(f"run={names}: no run is named")
    runs = [_open(path, trusted) for path in paths.values()]
    return runs[0] if len(runs) == 1 else Ensemble(runs)


def open_runs(config: Mapping[str, Any]) -> dict[str, Run]:
    """Open what a command's keys `run`, `detector` and `types` name, as far as they name any.

    Raises:
        ValueError: as for `open_run`.
    """
    keys = [key for key in KEYS if config.get(key)]
    return {key: open_run(config[key], config["trusted"]) for key in keys}


def _paths(name: str) -> list[Path]:
    """Return the path of that name, or the paths that a pattern finds."""
    if Path(name).exists():
        return [Path(name)]
    return sorted(map(Path, glob(name))) or [Path(name)]


def _open(path: Path, trusted: Sequence[str]) -> Run:
    if path.suffix.lower() == SUFFIX:
        return OnnxRun.open(path)
    from brain_tumor.inference import trained  # late: it brings torch

    return trained.open_run(path, trusted)
