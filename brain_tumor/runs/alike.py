"""Tell which runs differ only in what they test, or in their seed."""

from typing import Any

from brain_tumor.runs import identity
from brain_tumor.runs.record import Record

_SPLIT = {
    "split", "folds", "fold", "inner_folds", "inner_fold", "test_cases", "test_fraction", "split_seed", "together",
}  # fmt: skip


def same_but_for(record: Record, *differ: str) -> str:
    """Return an id of a run's configuration without "seed", "fold" or "split".

    Data and weights count by their content, and not by their paths. Without the split, neither does how often a
    training is validated.
    """
    config, weights = record["config"], record["weights"]
    model = {**config["model"], "weights": [weights["source"], weights["detail"]]}
    # An earlier version changed the configured momentum, so that one configuration may mean two momenta.
    optimizer = {**config["optimizer"], "used": record["hyperparameters"].get("momentum_used")}
    tested = "fold" if config["data"].get("inner_fold") is None else "inner_fold"
    data = {**config["data"], "root": record["data"]["key"]} | ({tested: None} if "fold" in differ else {})
    changed: dict[str, Any] = {"model": model, "optimizer": optimizer, "data": data}
    if "seed" in differ:
        changed["seed"] = 0
    if "split" in differ:
        changed["data"] = {name: value for name, value in data.items() if name not in _SPLIT}
        trainer = {name: value for name, value in config["trainer"].items() if name != "check_val_every_n_epoch"}
        changed["trainer"] = trainer
    return identity.run_id({**config, **changed})
