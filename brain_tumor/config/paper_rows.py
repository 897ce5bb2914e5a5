"""The rows of the paper's Table 1 as options of the group `paper`, from the table that the report compares with."""

import csv
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

_TABLE = Path(__file__).resolve().parents[1] / "report" / "table1.csv"
_TRANSFORMS = {("0", "0"): "resize", ("0", "1"): "norm", ("1", "0"): "flip", ("1", "1"): "flip_norm"}


def register() -> list[str]:
    """Give Hydra the group `paper`, with an option for each row of the table; return the rows' numbers as texts."""
    with _TABLE.open(newline="", encoding="utf-8") as file:
        rows = {row["experiment"]: _settings(row) for row in csv.DictReader(file)}
    for number, settings in rows.items():
        ConfigStore.instance().store(group="paper", name=number, package="_global_", node=settings, provider="Table 1")
    return list(rows)


def _settings(row: dict[str, str]) -> dict[str, Any]:
    """Return what a row sets; the momentum is that of conf/optimizer/sgd.yaml, which other optimizers do not have."""
    return {
        "defaults": [
            {"override /model": row["model"]},
            {"override /transforms": _TRANSFORMS[row["horizontal_flip"], row["normalize"]]},
            {"override /optimizer": "sgd"},
        ],
        "experiment": int(row["experiment"]),
        "model": {"strategy": row["strategy"], "weights": "imagenet"},
        "data": {"size": int(row["resize"]), "batch_size": int(row["batch_size"])},
        "optimizer": {"lr": float(row["lr"])},
        "trainer": {"max_epochs": int(row["epochs"])},
    }


ROWS = register()
