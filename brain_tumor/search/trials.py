"""The trials of a search, in a folder that every start of the same search goes on with.

journal.log    Optuna's own, to which it appends; a search that is killed loses nothing
search.json    what is searched, and every trial: state, value, settings (see `record`); the report reads it
.lock          whoever has it runs the search
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock, Timeout
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from brain_tumor.io import tables, walk
from brain_tumor.search.space import Space

SAMPLERS: dict[str, type[TPESampler] | type[RandomSampler]] = {"tpe": TPESampler, "random": RandomSampler}
FORMAT = 1
_DEFAULT, _REASON = "default", "reason"  # attributes of trials; one that has failed without a reason was killed


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a search's lock, which is released at the latest when the process ends.

    Raises:
        ValueError: another process runs this search.
    """
    walk.make_results_folder(folder)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(f"{folder}: this search is under way in another process") from error
    try:
        yield
    finally:
        lock.release()


class Trials:
    """The trials of one search.

    Args:
        folder: of the search; its lock is held.
        space: what is searched.
        objective: the name of the score.
        direction: of better scores.
        sampler: a name of `SAMPLERS`.
        seed: of the sampler.
        default: the values that the configuration has without a search; they are tried first. {} if they are not
            all in the space.

    Raises:
        ValueError: there is no such sampler.
    """

    def __init__(
        self,
        folder: Path,
        space: Space,
        *,
        objective: str,
        direction: Literal["minimize", "maximize"],
        sampler: str,
        seed: int,
        default: Mapping[str, Any],
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder, self.space, self.objective, self.direction = folder, space, objective, direction
        storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
        self.study = optuna.create_study(
            storage=storage, study_name=folder.name, direction=direction, load_if_exists=True
        )
        # Not the same draws again after a restart: those are finished.
        self.study.sampler = _sampler(sampler, seed + len(self.study.trials))
        self._go_on()
        if default and not self.study.trials:
            self.study.enqueue_trial(dict(default), user_attrs={_DEFAULT: True})
        self.write()

    def _go_on(self) -> None:
        """Record trials that a killed search has left running, and try their settings again, from their checkpoints."""
        for trial in self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            self.study.tell(trial.number, state=TrialState.FAIL)
            self.study.enqueue_trial(trial.params, user_attrs=trial.user_attrs)

    def ask(self) -> Trial:
        """Return a new trial with all of its settings."""
        return self.study.ask(self.space.varied)

    def tell(self, trial: Trial, score: float | None, reason: str = "") -> None:
        """Record a trial's score, or why it has none."""
        if score is None:
            trial.set_user_attr(_REASON, reason)
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, score)
        self.write()

    @property
    def finished(self) -> list[FrozenTrial]:
        """The trials that have a score."""
        return self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])

    @property
    def failed(self) -> int:
        """How many trials have failed by themselves."""
        failed = self.study.get_trials(deepcopy=False, states=[TrialState.FAIL])
        return sum(_REASON in trial.user_attrs for trial in failed)

    @property
    def default(self) -> FrozenTrial | None:
        """The trial of the configuration as it is; None if it has no score."""
        return next((trial for trial in self.finished if trial.user_attrs.get(_DEFAULT)), None)

    def write(self) -> None:
        """Write `search.json`."""
        tables.write_json(self.folder / "search.json", self.record())

    def record(self) -> dict[str, Any]:
        """Return what is searched, and every trial: number, state, value, settings."""
        return {
            "format": FORMAT,
            "objective": self.objective,
            "direction": self.direction,
            "fixed": list(self.space.fixed.values()),
            "space": self.space.described(),
            "trials": [_described(trial) for trial in self.study.get_trials(deepcopy=False) if trial.params],
        }


def _sampler(name: str, seed: int) -> BaseSampler:
    if name not in SAMPLERS:
        raise ValueError(f"hydra.sweeper.sampler={name}: choose one of {', '.join(SAMPLERS)}")
    return SAMPLERS[name](seed=seed)


def _described(trial: FrozenTrial) -> dict[str, Any]:
    failed = "failed" if _REASON in trial.user_attrs else "killed"
    states = {TrialState.COMPLETE: "finished", TrialState.FAIL: failed}
    return {
        "number": trial.number,
        "state": states.get(trial.state, "under way"),
        "value": trial.value,
        "settings": trial.params,
        "default": bool(trial.user_attrs.get(_DEFAULT)),
        "reason": trial.user_attrs.get(_REASON, ""),
        "seconds": trial.duration.total_seconds() if trial.duration else None,
    }
