"""Run a search: compose what all trials share, train trials until enough have finished, and name the best one."""

import hashlib
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from brain_tumor.config import typed
from brain_tumor.config.errors import one_line
from brain_tumor.runs import identity, objective

try:
    from brain_tumor.search import space as spaces
    from brain_tumor.search.space import Space
    from brain_tumor.search.trials import Trials, locked
except ImportError as error:
    raise ValueError(f"hydra/sweeper=optuna: needs {error.name}: pip install 'brain-tumor[optuna]'") from error

_ABSENT = object()


class Settings(NamedTuple):
    """The settings of a search (see conf/hydra/sweeper/optuna.yaml)."""

    n_trials: int
    n_jobs: int
    sampler: str


def search(
    settings: Settings,
    ready: Sequence[str],
    arguments: Sequence[str],
    config: DictConfig,
    loader: ConfigLoader,
    launcher: Launcher,
) -> None:
    """Search until enough trials have finished, those of earlier starts included.

    Args:
        settings: of the search.
        ready: the overrides that the sweeper's file has.
        arguments: the overrides of the command line.
        config: the sweep's.
        loader: Hydra's.
        launcher: runs trials.

    Raises:
        ValueError: there is no validation part, nothing is searched, the launcher returns no scores, another process
            runs the search, or no trial has finished.
    """
    for name in ("n_trials", "n_jobs"):
        if getattr(settings, name) < 1:
            raise ValueError(f"hydra.sweeper.{name}={getattr(settings, name)}: must be at least 1")
    if config.hydra.runtime.choices["hydra/launcher"] == "spark":
        raise ValueError("hydra/launcher=spark: returns no scores, so that nothing can be searched there; use joblib")
    space = spaces.read([*ready, *arguments])
    base = loader.load_sweep_config(config, list(space.fixed.values()))
    space = _without_absent(space, base, set(spaces.read(arguments).varied))
    HydraConfig.instance().set_config(base)
    plain = typed.plain(OmegaConf.masked_copy(base, [str(key) for key in base if key != "hydra"]), "train")
    _refuse_test_scores(plain)
    direction: Literal["minimize", "maximize"] = "minimize" if plain["objective"] == "loss" else "maximize"
    folder = Path(plain["output_dir"], "searches", _identity(plain, space, settings.sampler))
    with locked(folder):
        trials = Trials(
            folder, space, objective=plain["objective"], direction=direction, sampler=settings.sampler,
            seed=plain["seed"], default=_default(space, base),
        )  # fmt: skip
        _run(trials, settings, launcher)
        _print(trials)


def _run(trials: Trials, settings: Settings, launcher: Launcher) -> None:
    """Launch trials until so many have finished or failed that this start can go no further."""
    missing, launched = settings.n_trials - len(trials.finished), 0
    print(f"search: {len(trials.finished)} of {settings.n_trials} trials finished: {trials.folder}", flush=True)
    while launched < missing:
        asked = [trials.ask() for _ in range(min(settings.n_jobs, missing - launched))]
        overrides = [trials.space.overrides(trial.params) for trial in asked]
        for trial, returned in zip(asked, launcher.launch(overrides, initial_job_idx=launched), strict=True):
            trials.tell(trial, *_outcome(returned))
        launched += len(asked)


def _outcome(returned: JobReturn) -> tuple[float | None, str]:
    """Return a trial's score, or None and why it has none."""
    try:
        value = returned.return_value
    except Exception as error:  # whatever the trial has raised; the others go on
        return None, one_line(error)
    if not isinstance(value, float):
        return None, "returned no score; is it under way in another process?"
    return (value, "") if math.isfinite(value) else (None, f"diverged: its score is {value}")


def _print(trials: Trials) -> None:
    """Print the best trial, beside the configuration as it is, and the command that trains it."""
    if not trials.finished:
        reasons = [trial["reason"] for trial in trials.record()["trials"] if trial["reason"]]
        raise ValueError(f"{trials.folder}: no trial has finished; the last one: {reasons[-1]}")
    best, default = trials.study.best_trial, trials.default
    beside = f", {default.value:.4f} as configured" if default and default.value is not None else ""
    print(f"\n{len(trials.finished)} trials finished, {trials.failed} failed: {trials.folder}")
    print(f"best: trial {best.number}, validation {trials.objective} {best.value:.4f}{beside}\n")
    print(shlex.join(["python", "-m", "brain_tumor.train", *trials.space.overrides(best.params)]))


def _without_absent(space: Space, base: DictConfig, asked: set[str]) -> Space:
    """Leave out what the ready space varies and this configuration does not have, such as a segmenter's dropout."""
    absent = [
        key for key in space.varied if key not in asked and OmegaConf.select(base, key, default=_ABSENT) is _ABSENT
    ]
    if absent:
        print(f"not searched, since this configuration has none: {', '.join(absent)}")
    varied = {key: distribution for key, distribution in space.varied.items() if key not in absent}
    if not varied:
        raise ValueError("hydra/sweeper=optuna: nothing to search; write 'optimizer.lr=interval(0.0001,0.01)'")
    return Space(varied, space.fixed)


def _default(space: Space, base: DictConfig) -> dict[str, Any]:
    """Return the values that the configuration has of what is varied; {} if the space lacks one of them."""
    values = {key: OmegaConf.select(base, key) for key in space.varied}
    return values if all(spaces.holds(space.varied[key], value) for key, value in values.items()) else {}


def _refuse_test_scores(config: Mapping[str, Any]) -> None:
    """Refuse a search that has nothing but the test part to go by."""
    data = config["data"]
    if not data.get("val_fraction") and data.get("split") != "given":
        raise ValueError(f"hydra/sweeper=optuna: {objective.NO_VALIDATION}")


def _identity(config: Mapping[str, Any], space: Space, sampler: str) -> str:
    """Name a search by all that its trials share and what they vary: 8 hexadecimal digits."""
    material = [identity.run_id(config), config["objective"], space.described(), sampler]
    return hashlib.sha256(json.dumps(material).encode()).hexdigest()[:8]
