"""Turn records of earlier formats into today's, a step a format.

Format 1 is that of revision 0205860 and before, which did not say so. Format 2 did not say what is positive, from which
probability on, what the channels show, nor which momentum was used. Format 3 did not say the licence of the data, nor
whether a program has drawn it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from brain_tumor.datasets import declared
from brain_tumor.datasets import positive as positive_
from brain_tumor.metrics.bootstrap import Interval

Values = dict[str, Any]


def _from_format_1(old: Values) -> Values:
    """Say what format 1 left to be found in the configuration, where every key stood."""
    config = old["config"]
    data, model, transforms, optimizer = (config[name] for name in ("data", "model", "transforms", "optimizer"))
    kind = data["_target_"].rpartition(".")[2].removesuffix("DataModule").lower()
    scale = list(transforms["scale"])
    return {
        **old,
        "format": 2,
        "task": "classification",
        "measure": "accuracy",
        "hyperparameters": {
            "experiment": config.get("experiment") or 0,
            "task": "classification",
            "data": kind,
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
        "data": {"kind": kind, **old["data"]},
        "split": {"folds": None, "fold": None, **old["split"]},
        "weights": {"overlap": [], **old["weights"]},
        "test": {**old["test"], "checkpoint": "best" if data["val_fraction"] else "last"},
    }


def _from_format_2(old: Values) -> Values:
    """Say what format 2 left to be known by the data set, and rate the class that means a tumour."""
    data, classes = old["data"], old["data"]["classes"]
    of_patients = "target" in data  # whose classes are types of tumours
    positive = "tumour" if classes == ["no tumour", "tumour"] else None if of_patients else positive_.guess(classes)
    sequences = list(declared.facts(data["kind"]).sequences)
    new = {
        **old,
        "format": 3,
        "data": {**data, "positive": positive, "sequences": sequences, "skull": None},
        "hyperparameters": {**old["hyperparameters"], "momentum_used": _momentum_used(old["config"])},
        "threshold": {"value": 0.5, "origin": "default"},
    }
    if old["task"] == "classification" and len(classes) == 2 and positive != classes[1]:
        new["test"] = _rate_again(old["test"], positive)
        new["baselines"] = {name: _rate_again(scores, positive) for name, scores in old["baselines"].items()}
    return new


def _rate_again(test: dict[str, Any], positive: str | None) -> dict[str, Any]:
    """Turn the scores of two classes' second one into those of the first, or without a positive one into their mean.

    What that leaves unknown is undefined.
    """
    kept = dict(test)
    undefined: Interval = {"value": None, "low": None, "high": None}
    kept |= {name: undefined for name in ("precision", "f1", "average_precision") if name in test}
    if "sensitivity" in test:
        both = test["specificity"], test["sensitivity"]
        if positive is None:
            values = [own["value"] for own in both]
            mean = None if None in values else sum(values) / 2
            kept["sensitivity"] = kept["specificity"] = {**undefined, "value": mean}
        else:
            kept["sensitivity"], kept["specificity"] = both
    return kept


def _momentum_used(config: Mapping[str, Any]) -> str:
    """Say which momentum, or first beta, an optimizer had: one cycle moved it, whatever was asked for."""
    if config.get("schedule", "constant") == "onecycle":
        return "0.95 to 0.85"
    optimizer = config["optimizer"]
    asked = optimizer.get("momentum", 0.0) if "SGD" in optimizer["_target_"] else optimizer.get("betas", [0.9])[0]
    return f"{asked:g}"


def _from_format_3(old: Values) -> Values:
    """Say what format 3 left to be known by the data set's name."""
    facts = declared.facts(old["data"]["kind"])
    return {**old, "format": 4, "data": {**old["data"], "licence": facts.licence, "drawn": facts.drawn}}


# The first turns format 1 into format 2, and so on; the last gives today's.
STEPS: tuple[Callable[[Values], Values], ...] = (_from_format_1, _from_format_2, _from_format_3)
