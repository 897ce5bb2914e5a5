"""Which classes of other data are which of the run's."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.regions import BINARY
from brain_tumor.evaluation.scored_data import open_data
from tests.conftest import write_image


def test_folders_that_are_called_as_numbers_are_put_in_order(tmp_path: Path) -> None:
    for index in range(4):
        write_image(tmp_path / "data" / str(index % 2) / f"{index}.png", seed=index)
    pd.DataFrame(columns=["case", "digest", "part"]).to_csv(tmp_path / "split.csv", index=False)
    seen: dict[str, Any] = {
        "intensities": "file",
        "neighbours": 0,
        "neighbour_mm": None,
        "sequences": (),
        "task": "classification",
    }
    seen["regions"] = BINARY
    run: Any = SimpleNamespace(
        record={"data": {"classes": ["yes", "no"]}}, size=32, transforms=Transforms, folder=tmp_path, **seen
    )
    config: dict[str, Any] = {
        "data": {
            "_target_": "brain_tumor.datasets.folder.Folder",
            "root": str(tmp_path / "data"),
            "cache_dir": str(tmp_path / "cache"),
            "size": None,
        },
        "classes": [1, 0],
        "allow_overlap": False,
        "skull": None,
    }
    data, _ = open_data(run, run, config)
    assert data.classes == ["1", "0"]
    assert dict(zip(data.table["path"], data.table["label"], strict=True)) == {
        "0/0.png": 1, "0/2.png": 1, "1/1.png": 0, "1/3.png": 0
    }  # fmt: skip
