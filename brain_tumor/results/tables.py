"""Say in a few lines what a run found."""

import os
import sys
from collections.abc import Mapping
from typing import Any

BASELINE_TITLES = {
    "majority": "always the commonest class",
    "position": "slice position alone",
    "nearest_slice": "nearest training slice of the same patient",
}


def summary(record: Mapping[str, Any]) -> str:
    """Put a run's test accuracy beside the baselines of the same split, and say what they mean."""
    test, split = record["test"], record["split"]
    rows = [(model_title(record["config"]), test)]
    rows += [(BASELINE_TITLES[name], scores) for name, scores in record["baselines"].items()]
    width = max(len(title) for title, _ in rows)
    lines = [f"{'':{width}}  accuracy  95 % interval    AUROC"]
    for title, scores in rows:
        lines.append(f"{title:{width}}  {percent(scores['accuracy'])}  {scores['auroc']['value'] or float('nan'):.3f}")
    lines.append(
        f"({split['test']['slices']} test slices, intervals over {test['resampled']}s, "
        f"split by {split['method']}, epoch {test['epoch']})"
    )
    if "nearest_slice" in record["baselines"]:
        lines.append(
            "Patients stand on both sides of this split: a test slice's neighbours were in training. "
            "data.split=patient keeps them apart."
        )
    if record["weights"]["warning"]:
        lines.append(f"WARNING: {record['weights']['warning']}")
    return "\n".join(lines)


def scores(test: Mapping[str, Any]) -> str:
    """List every metric of a test with its interval, a line each."""
    metrics = {name: value for name, value in test.items() if isinstance(value, dict)}
    width = max(map(len, metrics))
    lines = [f"{test['slices']} slices, 95 % intervals over {test['resampled']}s"]
    for name, interval in metrics.items():
        if interval["value"] is None:
            lines.append(f"{name:{width}}  undefined: a class has no slice here")
        else:
            lines.append(f"{name:{width}}  {interval['value']:.4f}  {interval['low']:.4f} to {interval['high']:.4f}")
    return "\n".join(lines)


def model_title(config: Mapping[str, Any]) -> str:
    """Name a run's model and strategy."""
    return f"{config['model']['backbone']}, {config['model']['strategy']}"


def percent(interval: Mapping[str, float | None]) -> str:
    """Write an interval as percentages."""
    if interval["value"] is None:
        return "undefined"
    limits = f"{interval['low']:.1%} to {interval['high']:.1%}"
    return f"{interval['value']:8.1%}  {limits:15}"


def next_steps(config: Mapping[str, Any], folder: object) -> str:
    """Name the two commands to try after a run, and before them how to enter the environment that it ran in."""
    lines = ["next:"]
    if sys.prefix != sys.base_prefix and "VIRTUAL_ENV" not in os.environ:
        lines.append(f"  . {os.path.relpath(sys.prefix)}/bin/activate")
    lines.append(f"  tensorboard --logdir {config['output_dir']}")
    if "cases" in config["data"]:
        lines.append(
            "  python -m brain_tumor.train data=lgg data.split=patient   # the real data; README.md says how to get it"
        )
    else:
        lines.append(f"  python -m brain_tumor.evaluate run={folder}")
    return "\n".join(lines)


def hyperparameters(record: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """Choose what TensorBoard's HParams shows of a run: the same columns for every run, whatever its optimizer."""
    config = record["config"]
    return {
        "experiment": config.get("experiment") or 0,
        "data": str(config["name"]).partition("-")[0],
        "split": record["split"]["method"],
        "backbone": config["model"]["backbone"],
        "strategy": config["model"]["strategy"],
        "weights": record["weights"]["source"],
        "flip": config["transforms"]["flip"],
        "normalize": config["transforms"]["normalize"],
        "optimizer": config["optimizer"]["_target_"].rpartition(".")[2],
        "lr": config["optimizer"]["lr"],
        "momentum": config["optimizer"].get("momentum", 0.0),
        "batch_size": config["data"]["batch_size"],
        "max_epochs": config["trainer"]["max_epochs"],
        "seed": config["seed"],
    }


def final_metrics(record: Mapping[str, Any]) -> dict[str, float]:
    """Choose what HParams can sort runs by: every defined test metric, as `final/<name>`."""
    metrics = {name: interval["value"] for name, interval in record["test"].items() if isinstance(interval, dict)}
    return {f"final/{name}": value for name, value in metrics.items() if value is not None}
