"""Explain a classifier by heat maps, and score how well these point at the tumour."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.io import tables
from brain_tumor.io.tables import columns
from brain_tumor.metrics import classification, heat_maps, plots
from brain_tumor.models import gradcam
from brain_tumor.models.classifier import Classifier
from brain_tumor.models.task import Task, TitledFigure
from brain_tumor.scans.images import unfit
from brain_tumor.tracking.open import open_tracker

METHODS = ("gradcam",)
_DRAWN = 8  # slices in the picture

_Rows = NDArray[np.intp]
# Makes the heat maps of some rows of the data.
_MakeMaps = Callable[[_Rows], Iterable[heat_maps.Map]]


class Explanation(NamedTuple):
    """Heat maps of a classifier.

    Attributes:
        record: the scores, for results.json.
        table: one row per slice with a tumour.
        pictures: of heat maps.
    """

    record: dict[str, Any]
    table: pd.DataFrame
    pictures: list[TitledFigure]


def refuse_misfit(method: str, model: Task, data: SliceDataModule, positive: str | None) -> None:
    """Refuse to explain what cannot be explained, before anything is computed.

    Args:
        method: the requested one.
        model: to explain.
        data: set up.
        positive: the model's class that means a tumour; None if the data does not say.

    Raises:
        ValueError: the method is unknown, the model is no classifier or has no positive class, or the data has no
            masks.
    """
    if method not in METHODS:
        raise ValueError(f"explain={method}: choose {' or '.join(METHODS)}")
    if not isinstance(model, Classifier):
        raise ValueError(f"explain={method}: is for classifiers; this run's task is {model.kind}")
    if data.decoded.masks is None:
        raise ValueError(f"explain={method}: needs data with masks, which say where the tumour is")
    if positive is None:
        raise ValueError(
            f"explain={method}: needs a run that tells whether there is a tumour; where its classes' names do not say "
            "which of them means one, train it with data.positive=NAME"
        )


def explain(method: str, model: Task, data: SliceDataModule, predictions: pd.DataFrame) -> Explanation:
    """Score the heat maps of the tested slices that have a tumour, beside image-free maps.

    Args:
        method: one of `METHODS`.
        model: tested, and not refused.
        data: that the model was tested on, with the model's classes, of which one is positive.
        predictions: the test's table.

    Returns:
        Scores of all these slices, of the detected and the missed ones, and of the baselines. The threshold of the IoU
        comes from the tumour slices of the validation part, else of the training part, else it is half the maximum.
    """
    assert data.positive is not None, "refused before"
    target = data.classes.index(data.positive)
    makers = _map_makers(method, model, data, target)
    tested = _tumour_rows(data, "test")
    tables = {name: _compare(data, make, tested) for name, make in makers.items()}
    thresholds = _thresholds(data, makers)
    compared = tables[method]
    answers = classification.answers(predictions).loc[compared.index]
    table = answers[["path", "case", "slice", columns(data.classes)[target]]].join(
        compared[["pointing", "energy", "share", "zero"]].assign(iou=compared[f"iou@{thresholds[method]:g}"])
    )
    record = _record(method, tables, thresholds, (answers["predicted"] == target).to_numpy())
    chosen = _spread(table)
    return Explanation(record, table, [_picture(method, makers[method](chosen), chosen, table, data)])


def write(folder: Path, explained: Explanation) -> None:
    """Write the table, and the pictures as files and for the tracker."""
    tables.write_csv(folder / "explanation.csv", explained.table)
    with closing(open_tracker(folder)) as tracker:
        for picture in explained.pictures:
            picture.figure.savefig(folder / picture.file, dpi=110)
            tracker.add_figure(picture.title, picture.figure)


def _map_makers(method: str, model: Task, data: SliceDataModule, target: int) -> dict[str, _MakeMaps]:
    """Return how to make heat maps for a class, by name: those of the method first, then the image-free baselines."""
    assert isinstance(model, Classifier)
    assert data.decoded.masks is not None
    device = next(model.parameters()).device

    def sizes(rows: _Rows) -> list[tuple[int, int]]:
        return list(zip(data.table["height"].iloc[rows], data.table["width"].iloc[rows], strict=True))

    makers: dict[str, _MakeMaps] = {
        method: lambda rows: gradcam.heat_maps(model, data, rows, target, device),
        "centre_gaussian": lambda rows: heat_maps.centre_gaussian(sizes(rows)),
    }
    training = _tumour_rows(data, "train")
    if len(training):
        mean = data.regions.tumour[data.decoded.masks[training]].mean(0, dtype=np.float32)
        makers["mean_mask"] = lambda rows: (unfit(mean, *size) for size in sizes(rows))
    return makers


def _thresholds(data: SliceDataModule, makers: Mapping[str, _MakeMaps]) -> dict[str, float]:
    """Return the threshold of each kind of map, fitted to the validation part, else to the training part, else .5."""
    validation = _tumour_rows(data, "val")
    rows = validation if len(validation) else _tumour_rows(data, "train")
    return {
        name: heat_maps.threshold(_compare(data, make, rows)) if len(rows) else 0.5 for name, make in makers.items()
    }


def _compare(data: SliceDataModule, make: _MakeMaps, rows: _Rows) -> pd.DataFrame:
    """Compare the heat maps of rows with their masks (see `heat_maps.compare`)."""
    masks = (data.decoded.original_mask(int(row)) for row in rows)
    compared = heat_maps.compare(zip(make(rows), masks, strict=True))
    return compared.assign(case=data.table["case"].iloc[rows].to_numpy()).set_index(data.table.index[rows])


def _record(
    method: str, tables: Mapping[str, pd.DataFrame], thresholds: Mapping[str, float], detected: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return the scores, for results.json.

    Args:
        method: the scored one.
        tables: the comparison of the tested slices, for the method and the baselines.
        thresholds: of the same.
        detected: (n,) whether the classifier has detected the tumour of each slice.
    """
    compared = tables[method]
    groups = {"all": compared, "detected": compared[detected], "missed": compared[~detected]}
    return {
        "method": method,
        "slices": {name: len(group) for name, group in groups.items()},
        "zero_maps": int(compared["zero"].sum()),
        "thresholds": dict(thresholds),
        "scores": {name: heat_maps.score(group, thresholds[method]) for name, group in groups.items() if len(group)},
        "baselines": {name: heat_maps.score(tables[name], thresholds[name]) for name in tables if name != method},
    }


def _tumour_rows(data: SliceDataModule, part: str) -> _Rows:
    """Return the rows of a part that have a tumour."""
    return np.flatnonzero((data.table["part"] == part) & data.table["positive"])


def _spread(table: pd.DataFrame) -> _Rows:
    """Choose slices from the one whose map lies most in the tumour to the one whose map lies least in it."""
    ranked: _Rows = table.sort_values("energy", ascending=False).index.to_numpy()
    return np.take(ranked, np.linspace(0, len(ranked) - 1, min(_DRAWN, len(ranked))).round().astype(int))


def _picture(
    method: str, maps: Iterable[heat_maps.Map], rows: _Rows, table: pd.DataFrame, data: SliceDataModule
) -> TitledFigure:
    """Draw the heat maps of rows over their slices."""
    figure = plots.heat_maps(table.loc[rows], *data.decoded.originals(rows), list(maps))
    return TitledFigure(f"where it looks: {method}", figure, f"{method}.png")
