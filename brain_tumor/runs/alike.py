"""Tell which runs differ only in what they test, or in their seed."""

from typing import Any

from brain_tumor.runs import identity
from brain_tumor.runs.record import Record

# The keys of `data` by which runs may differ, by what `same_but_for` calls them.
_DIFFER = {
    "split": {
        "split", "folds", "fold", "inner_folds", "inner_fold", "test_cases", "test_fraction", "split_seed", "together",
        "site", "site_by", "gap",
    },
    "gap": {"gap"}, "draw": {"train_patients", "draw_seed"}, "labels": {"root", "target_seed"},
}  # fmt: skip


def same_but_for(record: Record, *differ: str) -> str:
    """Return an id of a run's configuration without "seed", "fold", "split", "gap", "draw" or "labels".

    Data and weights count by their content, and not by their paths. Without the split, neither does how often a
    training is validated.
    """
    config, weights = record["config"], record["weights"]
    model = {**config["model"], "weights": [weights["source"], weights["detail"]]}
    # An earlier version changed the configured momentum, so that one configuration may mean two momenta.
    optimizer = {**config["optimizer"], "used": record["hyperparameters"].get("momentum_used")}
    tested = "fold" if config["data"].get("inner_fold") is None else "inner_fold"
    data = {**config["data"], "root": record["data"]["key"]} | ({tested: None} if "fold" in differ else {})
    ignored = {key for name in differ for key in _DIFFER.get(name, ())}
    data = {name: value for name, value in data.items() if name not in ignored}
    changed: dict[str, Any] = {"model": model, "optimizer": optimizer, "data": data}
    changed |= {"seed": 0} if "seed" in differ else {}
    if "split" in differ:
        trainer = {name: value for name, value in config["trainer"].items() if name != "check_val_every_n_epoch"}
        changed["trainer"] = trainer
    return identity.run_id({**config, **changed})
