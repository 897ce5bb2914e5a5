"""The sweeper `hydra/sweeper=optuna`. Hydra imports this at every start; `brain_tumor.search.sweep` does the work.

hydra-optuna-sweeper 1.3.0 is not used: it allows no Optuna later than 2.10 of 2022, whose storage needs SQLAlchemy 1,
it trains as many trials anew as a search has already, and ends at the first trial that fails.
"""

from collections.abc import Mapping
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Train trials whose settings Optuna chooses.

    Args:
        n_trials: how many are to finish, those of earlier starts included.
        n_jobs: how many run at once.
        sampler: "tpe" or "random".
        params: what is searched, and what is set besides, by key; values are written as on the command line.
    """

    def __init__(self, n_trials: int, n_jobs: int, sampler: str, params: Mapping[str, Any]) -> None:
        self.n_trials, self.n_jobs, self.sampler, self.params = n_trials, n_jobs, sampler, params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store what Hydra passes, and make the launcher that will run the trials."""
        self.context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the search."""
        from brain_tumor.search import sweep

        assert self.config is not None
        assert self.launcher is not None
        settings = sweep.Settings(self.n_trials, self.n_jobs, self.sampler)
        written = [f"{key}={value}" for key, value in self.params.items()]
        sweep.search(settings, written, arguments, self.config, self.context.config_loader, self.launcher)
