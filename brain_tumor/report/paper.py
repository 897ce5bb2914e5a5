"""Provide the paper's Table 1 and the conclusions that the paper draws from it.

`table1.csv` holds the paper's 20 rows: settings, then average train loss, average test loss and test accuracy.
"""

from functools import cache
from importlib import resources
from typing import Any

import pandas as pd

from brain_tumor.runs.record import Record

# The authors' published curve of the 30-epoch run, after its first epoch.
FIRST_EPOCH = {"train loss": 0.35, "test accuracy": 0.956}

# The paper's Table 2: the row of Table 1 that it calls the best of each model.
BEST = {"resnet18": 19, "resnet50": 20}

# The comparisons that the paper makes (section VI) or that its table invites: the claim, the row of Table 1 that scores
# higher, and the row that scores lower.
COMPARISONS = (
    ("ResNet-18 beats ResNet-50, first settings", 1, 3),
    ("ResNet-18 beats ResNet-50, tuned settings", 9, 11),
    ("ResNet-18 beats ResNet-50, best settings", 19, 20),
    ("ResNet-18 beats ResNet-50, frozen, batch size 32", 2, 4),
    ("ResNet-18 beats ResNet-50, frozen, batch size 16", 6, 8),
    ("ResNet-18 beats ResNet-50, frozen, batch size 8", 10, 12),
    ("Tuning helps ResNet-18", 9, 1),
    ("Tuning helps ResNet-50", 11, 3),
    ("Fine-tuning beats freezing, ResNet-18", 9, 10),
    ("Fine-tuning beats freezing, ResNet-50", 11, 12),
    ("Normalizing harms ResNet-18", 9, 13),
    ("Normalizing helps ResNet-50", 14, 11),
    ("Flipping instead of normalizing helps ResNet-18", 15, 13),
    ("Flipping helps ResNet-50", 16, 11),
    ("Flipping and normalizing helps ResNet-18", 17, 9),
    ("Flipping and normalizing harms ResNet-50", 11, 18),
    ("A tenth of the learning rate and 30 epochs help ResNet-50", 20, 18),
)


@cache
def table() -> pd.DataFrame:
    """Return Table 1, one row per experiment, indexed by its number."""
    with resources.files("brain_tumor.report").joinpath("table1.csv").open() as file:
        return pd.read_csv(file, index_col="experiment")


def rows() -> "list[tuple[int, pd.Series[Any]]]":
    """Return the numbers of the experiments of Table 1, each with its row."""
    return [(int(str(number)), row) for number, row in table().iterrows()]


def row_of(record: Record) -> int | None:
    """Return the row of Table 1 that a run reproduces: the one that it names, or else the one with its settings.

    Returns:
        The number of the row. None where there is none, and for a run that names a row but has another network or
        strategy, such as `paper=17 model.strategy=partial`.
    """
    settings = record["hyperparameters"]
    asked = int(settings["experiment"])
    if record["task"] != "classification":
        return None
    if asked in table().index:
        row = table().loc[asked]
        return asked if (settings["backbone"], settings["strategy"]) == (row["model"], row["strategy"]) else None
    return next((row for row, _ in rows() if not deviations(record, row)), None)


def deviations(record: Record, number: int) -> list[str]:
    """Return how a run's settings differ from a row's, apart from the class of optimizer, data, split and seed."""
    row, settings = table().loc[number], record["hyperparameters"]
    actual = {
        "model": settings.get("backbone"),
        "strategy": settings.get("strategy"),
        "batch_size": settings["batch_size"],
        "epochs": settings["max_epochs"],
        "lr": settings["lr"],
        "momentum": settings["momentum"] if settings["optimizer"] == "SGD" else row["momentum"],
        "resize": settings["size"],
        "horizontal_flip": int(settings["flip"] > 0),
        "normalize": int(settings["normalize"]),
        "test_fraction": settings["test_fraction"],
        "val_fraction": settings["val_fraction"],
    }
    expected = {**row, "test_fraction": 0.15, "val_fraction": 0}
    different = [
        f"{name} {value} instead of {expected[name]}" for name, value in actual.items() if value != expected[name]
    ]
    if settings["rotate"] or settings["scale"] != "1":
        different.append("rotation or scaling")
    # Older records lack these settings: their runs had a constant schedule, and all sequences and slices.
    if (schedule := settings.get("schedule", "constant")) != "constant":
        different.append(f"schedule {schedule}")
    if settings.get("patience", 0):
        different.append("early stopping")
    if settings.get("missing", 0):
        different.append("sequences missing")
    if prepared := preparation(record):
        different.append(prepared)
    if settings.get("empty", -1) >= 0:
        different.append("empty slices left out")
    return different


def preparation(record: Record) -> str:
    """Return how a run's slices were made grey and normalized, where neither is as the paper says; else ""."""
    settings = record["hyperparameters"]
    return "; ".join(filter(None, ["grey" * bool(settings.get("grey")), str(settings.get("normalized_by", ""))]))


def transforms_of(number: int) -> str:
    """Return the name of a row's transforms in the configuration."""
    row = table().loc[number]
    used = [name for name, column in (("flip", "horizontal_flip"), ("norm", "normalize")) if row[column]]
    return "_".join(used) or "resize"
