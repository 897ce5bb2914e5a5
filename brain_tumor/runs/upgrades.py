"""Turn records of earlier formats into today's, one step per format.

Format 1 is that of revision 0205860 and before; its records do not name a format. Format 2 lacked the positive class,
its threshold, the channels' sequences and the momentum that was used. Format 3 lacked the licence of the data and
whether a program has drawn it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from brain_tumor.datasets import declared
from brain_tumor.datasets import positive as positive_
from brain_tumor.metrics.bootstrap import Interval

Values = dict[str, Any]


def _from_format_1(old: Values) -> Values:
    """Add what format 1 left in the configuration, where every key was written."""
    config = old["config"]
    data, model, transforms, optimizer = (config[name] for name in ("data", "model", "transforms", "optimizer"))
    dataset = data["_target_"].rpartition(".")[2].removesuffix("DataModule").lower()
    scale = list(transforms["scale"])
    return {
        **old,
        "format": 2,
        "task": "classification",
        "measure": "accuracy",
        "hyperparameters": {
            "experiment": config.get("experiment") or 0,
            "task": "classification",
            "data": dataset,
            "split": old["split"]["method"],
            "fold": -1,
            **{name: data[name] for name in ("split_seed", "test_fraction", "val_fraction", "batch_size", "size")},
            **{name: transforms[name] for name in ("flip", "normalize", "rotate")},
            "scale": "1" if scale == [1, 1] else " to ".join(f"{factor:g}" for factor in scale),
            "weights": old["weights"]["source"],
            "optimizer": optimizer["_target_"].rpartition(".")[2],
            **{name: optimizer.get(name, 0.0) for name in ("lr", "momentum", "weight_decay")},
            **{name: model[name] for name in ("backbone", "strategy", "dropout")},
            "hidden": ", ".join(map(str, model["hidden"])),
            "max_epochs": config["trainer"]["max_epochs"],
            "seed": config["seed"],
        },
        "data": {"kind": dataset, **old["data"]},
        "split": {"folds": None, "fold": None, **old["split"]},
        "weights": {"overlap": [], **old["weights"]},
        "test": {**old["test"], "checkpoint": "best" if data["val_fraction"] else "last"},
    }


def _from_format_2(old: Values) -> Values:
    """Add what the data set's declaration knows, and make the binary scores those of the class that means a tumour."""
    data, classes = old["data"], old["data"]["classes"]
    has_types = "target" in data  # a target of patients: the classes are types of tumours
    positive = "tumour" if classes == ["no tumour", "tumour"] else None if has_types else positive_.guess(classes)
    sequences = list(declared.facts(data["kind"]).sequences)
    new = {
        **old,
        "format": 3,
        "data": {**data, "positive": positive, "sequences": sequences, "skull": None},
        "hyperparameters": {**old["hyperparameters"], "momentum_used": _momentum_used(old["config"])},
        "threshold": {"value": 0.5, "origin": "default"},
    }
    if old["task"] == "classification" and len(classes) == 2 and positive != classes[1]:
        new["test"] = _rescore(old["test"], positive)
        new["baselines"] = {name: _rescore(scores, positive) for name, scores in old["baselines"].items()}
    return new


def _rescore(test: dict[str, Any], positive: str | None) -> dict[str, Any]:
    """Turn the binary scores of the second of two classes into those of the first.

    Without a positive class, both sensitivity and specificity become their mean. Other scores are undefined.
    """
    rescored = dict(test)
    undefined: Interval = {"value": None, "low": None, "high": None}
    rescored |= {name: undefined for name in ("precision", "f1", "average_precision") if name in test}
    if "sensitivity" in test:
        both = test["specificity"], test["sensitivity"]
        if positive is None:
            values = [score["value"] for score in both]
            mean = None if None in values else sum(values) / 2
            rescored["sensitivity"] = rescored["specificity"] = {**undefined, "value": mean}
        else:
            rescored["sensitivity"], rescored["specificity"] = both
    return rescored


def _momentum_used(config: Mapping[str, Any]) -> str:
    """Return the momentum, or first beta, that an optimizer used: onecycle moved it, whatever was configured."""
    if config.get("schedule", "constant") == "onecycle":
        return "0.95 to 0.85"
    optimizer = config["optimizer"]
    configured = optimizer.get("momentum", 0.0) if "SGD" in optimizer["_target_"] else optimizer.get("betas", [0.9])[0]
    return f"{configured:g}"


def _from_format_3(old: Values) -> Values:
    """Add the licence, and whether the data is drawn, from the data set's declaration."""
    facts = declared.facts(old["data"]["kind"])
    return {**old, "format": 4, "data": {**old["data"], "licence": facts.licence, "drawn": facts.drawn}}


# The first step turns format 1 into format 2, and so on; the last one gives today's format.
STEPS: tuple[Callable[[Values], Values], ...] = (_from_format_1, _from_format_2, _from_format_3)
