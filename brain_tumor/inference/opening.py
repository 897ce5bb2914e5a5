"""Open run folders, exported files, or several of them together."""

from collections.abc import Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import Any

from brain_tumor.inference.base import Run
from brain_tumor.inference.ensemble import Ensemble
from brain_tumor.inference.onnx_file import SUFFIX
from brain_tumor.inference.onnx_run import OnnxRun

KEYS = ("run", "detector", "types")  # of a command; each names a run


def open_run(names: str | Sequence[str], trusted: Sequence[str] = ()) -> Run:
    """Open a run's folder, or an exported file, which does not need torch; several runs become one ensemble.

    Args:
        names: a path, a pattern of paths, or several of these.
        trusted: modules of the user whose classes a run may name.

    Raises:
        ValueError: there is no run, one is damaged, or several cannot predict together.
    """
    found = paths(names)
    if not found:
        raise ValueError(f"run={names}: no run is named")
    runs = [_open(path, trusted) for path in found]
    return runs[0] if len(runs) == 1 else Ensemble(runs)


def open_runs(config: Mapping[str, Any]) -> dict[str, Run]:
    """Open the runs that a command's keys `run`, `detector` and `types` name.

    Raises:
        ValueError: as for `open_run`.
    """
    keys = [key for key in KEYS if config.get(key)]
    return {key: open_run(config[key], config["trusted"]) for key in keys}


def paths(names: str | Sequence[str]) -> list[Path]:
    """Return the paths that names, or patterns of them, stand for."""
    patterns = [names] if isinstance(names, str) else names
    # Each once: two patterns may match the same run, which would then count twice.
    return list({path.resolve(): path for pattern in patterns for path in _paths(pattern)}.values())


def _paths(name: str) -> list[Path]:
    """Return the path of that name, or the paths that match a pattern."""
    if Path(name).exists():
        return [Path(name)]
    return sorted(map(Path, glob(name))) or [Path(name)]


def _open(path: Path, trusted: Sequence[str]) -> Run:
    if path.suffix.lower() == SUFFIX:
        return OnnxRun.open(path)
    from brain_tumor.inference import trained  # late: it brings torch

    return trained.open_run(path, trusted)
