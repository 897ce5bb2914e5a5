"""Open run folders, exported files, models by name, or several of them together."""

import difflib
from collections.abc import Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import Any

from brain_tumor.inference.base import Run
from brain_tumor.inference.ensemble import Ensemble
from brain_tumor.inference.onnx_file import SUFFIX
from brain_tumor.inference.onnx_run import OnnxRun
from brain_tumor.models import named

KEYS = ("run", "detector", "types")  # of a command; each names a run


def open_run(names: str | Sequence[str], trusted: Sequence[str] = ()) -> Run:
    """Open a run's folder, or an exported file, which does not need torch; several runs become one ensemble.

    Args:
        names: a path, a pattern of paths, a model's name, or several of these.
        trusted: modules of the user whose classes a run may name.

    Raises:
        ValueError: there is no run, one is damaged, or several cannot predict together.
    """
    found = _found(names)
    if not found:
        raise ValueError(f"run={names}: no run is named")
    runs = [_open(path, name, trusted) for path, name in found]
    return runs[0] if len(runs) == 1 else Ensemble(runs)


def open_runs(config: Mapping[str, Any]) -> dict[str, Run]:
    """Open the runs that a command's keys `run`, `detector` and `types` name (see `with_default_chain`).

    Raises:
        ValueError: as for `open_run`.
    """
    keys = [key for key in KEYS if config.get(key)]
    return {key: open_run(config[key], config["trusted"]) for key in keys}


def with_default_chain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a command's configuration with the pretrained models, unless it names a run; what it gives stays."""
    if config["run"]:
        return dict(config)
    chain = named.CHAIN if not config["detector"] else {"run": named.CHAIN["run"]}
    if config.get("sequences", {}).get("t1ce"):
        chain = {**chain, "types": named.TYPES}
    return {**config, **{key: value for key, value in chain.items() if config.get(key) is None}}


def chain(config: Mapping[str, Any]) -> str:
    """Return a command's keys `run`, `detector`, `types` and `keep_from` as they would be written."""
    return " ".join(f"{key}={config[key]}" for key in (*KEYS, "keep_from") if config.get(key) is not None)


def introduction(runs: Mapping[str, Run]) -> str:
    """Return what a reader of the answers has to know of pretrained models, a line each; "" for other runs."""
    known = [(key, named.models()[run.name]) for key, run in runs.items() if run.name in named.models()]
    return "\n".join(f"{key}={model.name}: trained on {model.data}; {model.expected}" for key, model in known)


def paths(names: str | Sequence[str]) -> list[Path]:
    """Return the paths that names, or patterns of them, stand for."""
    return [path for path, _ in _found(names)]


def _found(names: str | Sequence[str]) -> list[tuple[Path, str]]:
    """Return the paths that names, or patterns of them, stand for, and the names of models among them."""
    patterns = [names] if isinstance(names, str) else names
    # Each once: two patterns may match the same run, which would then count twice.
    return list({path.resolve(): (path, name) for pattern in patterns for path, name in _match(pattern)}.values())


def _match(name: str) -> list[tuple[Path, str]]:
    """Return the path of that name, or the paths that match a pattern, or a model's file and its name.

    Raises:
        ValueError: it is a model's name, whose file is nowhere, or damaged; or no name at all.
    """
    if Path(name).exists():
        return [(Path(name), "")]
    if name in named.models():
        return [(named.find(name), name)]
    if paths := sorted(map(Path, glob(name))):
        return [(path, "") for path in paths]
    if near := difflib.get_close_matches(name, named.models(), 1):
        raise ValueError(f"run={name}: there is no such folder, file or model; is {near[0]} meant?")
    return [(Path(name), "")]


def _open(path: Path, name: str, trusted: Sequence[str]) -> Run:
    if path.suffix.lower() == SUFFIX:
        return OnnxRun.open(path, name)
    from brain_tumor.inference import trained  # late: it brings torch

    return trained.open_run(path, trusted)
