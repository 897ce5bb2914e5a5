"""The paper's Table 1 and what the paper concludes from it.

`table1.csv` holds the paper's 20 rows: settings, then average train loss, average test loss and test accuracy.
"""

from dataclasses import dataclass
from importlib import resources

import pandas as pd

from brain_tumor.results.record import Record

# The authors' published curve of the 30-epoch run, after its first epoch.
FIRST_EPOCH = {"train loss": 0.35, "test accuracy": 0.95}


# Its Table 2: the row it calls the best of each model.
BEST = {"resnet18": 19, "resnet50": 20}


@dataclass(frozen=True)
class Claim:
    """A comparison that the paper makes (section VI) or that its table invites.

    Attributes:
        text: what is claimed; that `better` scores higher than `worse`.
        better: row of Table 1.
        worse: row of Table 1.
    """

    text: str
    better: int
    worse: int


CLAIMS = (
    Claim("ResNet-18 beats ResNet-50, first settings", 1, 3),
    Claim("ResNet-18 beats ResNet-50, tuned settings", 9, 11),
    Claim("ResNet-18 beats ResNet-50, best settings", 19, 20),
    Claim("ResNet-18 beats ResNet-50, frozen, batch size 32", 2, 4),
    Claim("ResNet-18 beats ResNet-50, frozen, batch size 16", 6, 8),
    Claim("ResNet-18 beats ResNet-50, frozen, batch size 8", 10, 12),
    Claim("Tuning helps ResNet-18", 9, 1),
    Claim("Tuning helps ResNet-50", 11, 3),
    Claim("Fine-tuning beats freezing, ResNet-18", 9, 10),
    Claim("Fine-tuning beats freezing, ResNet-50", 11, 12),
    Claim("Normalizing harms ResNet-18", 9, 13),
    Claim("Normalizing helps ResNet-50", 14, 11),
    Claim("Flipping instead of normalizing helps ResNet-18", 15, 13),
    Claim("Flipping helps ResNet-50", 16, 11),
    Claim("Flipping and normalizing helps ResNet-18", 17, 9),
    Claim("Flipping and normalizing harms ResNet-50", 11, 18),
    Claim("A tenth of the learning rate and 30 epochs help ResNet-50", 20, 18),
)


def table() -> pd.DataFrame:
    """Return Table 1, one row an experiment, indexed by its number."""
    with resources.files("brain_tumor.report").joinpath("table1.csv").open() as file:
        return pd.read_csv(file, index_col="experiment")


def row_of(record: Record) -> int | None:
    """Return the row that a run stands for: the one it was asked for, or the one whose settings it has."""
    asked = record["hyperparameters"]["experiment"]
    if record["task"] != "classification" or asked in table().index:
        return int(asked) or None
    rows = [int(number) for number in table().index if not deviations(record, int(number))]
    return rows[0] if rows else None


def deviations(record: Record, number: int) -> list[str]:
    """Say where a run's settings differ from a row's, but for its optimizer's kind, data, split and seed."""
    row, settings = table().loc[number], record["hyperparameters"]
    own = {
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
    asked = {**row, "test_fraction": 0.15, "val_fraction": 0}
    different = [f"{name} {value} instead of {asked[name]}" for name, value in own.items() if value != asked[name]]
    if settings["rotate"] or settings["scale"] != "1":
        different.append("rotation or scaling")
    return different


def transforms_of(number: int) -> str:
    """Name a row's transforms as the configuration does."""
    row = table().loc[number]
    used = [name for name, column in (("flip", "horizontal_flip"), ("norm", "normalize")) if row[column]]
    return "_".join(used) or "resize"
