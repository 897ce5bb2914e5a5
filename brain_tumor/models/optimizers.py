"""Build optimizers and learning-rate schedules, and describe them for the record."""

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

SCHEDULES = ("constant", "onecycle")
_BETA = 0.9  # the default of the first beta in torch's Adam
OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


def settings(make_optimizer: OptimizerFactory | None, schedule: str) -> dict[str, bool | int | float | str]:
    """Check an optimizer and a schedule before any work starts; return the optimizer's settings for the record.

    Args:
        make_optimizer: returns the optimizer of some parameters; None for a network that is not trained.
        schedule: one of `SCHEDULES`.

    Raises:
        ValueError: the schedule is unknown, the optimizer refuses its settings, or the learning rate is 0 or less.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule={schedule}: choose one of {', '.join(SCHEDULES)}")
    if make_optimizer is None:
        return {}
    try:
        trial = make_optimizer([nn.Parameter(torch.zeros(1))])
    except TypeError as error:
        raise ValueError(f"optimizer: {error}") from error
    if trial.defaults["lr"] <= 0:
        raise ValueError(f"optimizer.lr={trial.defaults['lr']}: must be above 0")
    common = {name: trial.defaults.get(name, 0.0) for name in ("lr", "momentum", "weight_decay")}
    momentum = trial.defaults.get("betas", [common["momentum"]])[0]
    used = "0.95 to 0.85" if schedule == "onecycle" and _cycles_momentum(trial) else f"{momentum:g}"
    return {"optimizer": type(trial).__name__, **common, "momentum_used": used}


def one_cycle(optimizer: Optimizer, steps: int) -> OneCycleLR:
    """Return the schedule that rises to the optimizer's learning rate and falls to nearly nothing over all steps."""
    return OneCycleLR(
        optimizer, optimizer.defaults["lr"], total_steps=steps, cycle_momentum=_cycles_momentum(optimizer)
    )


def _cycles_momentum(optimizer: Optimizer) -> bool:
    """Return whether one cycle moves Adam's first beta: only if it has torch's default, so nobody has asked for it."""
    return bool(optimizer.defaults.get("betas", [None])[0] == _BETA)
