"""Which GPU a job of a parallel sweep gets."""

from types import SimpleNamespace

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from brain_tumor import train


@pytest.mark.parametrize(
    ("mode", "jobs", "number", "gpus", "asked", "given"),
    [
        (RunMode.MULTIRUN, 4, 5, 4, 1, [1]),
        (RunMode.MULTIRUN, -1, 2, 2, 1, [0]),
        (RunMode.MULTIRUN, 4, 5, 1, 1, 1),
        (RunMode.MULTIRUN, 4, 5, 4, 2, 2),
        (RunMode.MULTIRUN, 1, 5, 4, 1, 1),
        (RunMode.RUN, 4, 0, 4, 1, 1),
    ],
)
def test_parallel_jobs_take_gpus_in_turn(
    monkeypatch: pytest.MonkeyPatch, mode: RunMode, jobs: int, number: int, gpus: int, asked: int, given: object
) -> None:
    config = SimpleNamespace(mode=mode, launcher={"n_jobs": jobs}, job=SimpleNamespace(num=number))
    monkeypatch.setattr(HydraConfig, "get", lambda: config)
    assert train._devices(asked, gpus) == given
