"""Ask a classifier where it looks, and whether that is where the tumour is."""

from collections.abc import Iterable
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
_DRAWN = 8


class Explanation(NamedTuple):
    """Where a classifier looks.

    Attributes:
        found: the scores, for the record.
        lines: one row a slice with a tumour.
        pictures: of heat maps.
    """

    found: dict[str, Any]
    lines: pd.DataFrame
    pictures: list[TitledFigure]


def refuse_misfit(method: str, model: Task, data: SliceDataModule, positive: str | None) -> None:
    """Refuse to explain what cannot be explained, before anything is computed.

    Args:
        method: asked for.
        model: to explain.
        data: set up.
        positive: the model's class that means a tumour; None where nobody says.

    Raises:
        ValueError: an unknown method, a model that is no classifier, or does not tell whether there is a tumour, or
            data that does not say where tumours are.
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
    """Score the heat maps of the tested slices that have a tumour, beside maps that see no pixel.

    Args:
        method: one of `METHODS`.
        model: tested, and not refused.
        data: its, set up, with the model's classes, of which one is positive.
        predictions: the test's table.

    Returns:
        Scores of all these slices, of those detected and missed, and of the baselines. The threshold of the IoU comes
        from the tumour slices of the validation part, else of the training part, else it is half the maximum.
    """
    assert isinstance(model, Classifier)
    assert data.positive is not None, "refused before"
    place = data.classes.index(data.positive)
    device = next(model.parameters()).device
    tested, training = _tumours(data, "test"), _tumours(data, "train")
    reference = _tumours(data, "val") if len(_tumours(data, "val")) else training

    def compared(maps: Iterable[heat_maps.Map], rows: NDArray[np.intp]) -> pd.DataFrame:
        masks = (data.decoded.original_mask(int(row)) for row in rows)
        found = heat_maps.compare(zip(maps, masks, strict=True))
        return found.assign(case=data.table["case"].iloc[rows].to_numpy()).set_index(data.table.index[rows])

    def maps(name: str, rows: NDArray[np.intp]) -> Iterable[heat_maps.Map]:
        sizes = list(zip(data.table["height"].iloc[rows], data.table["width"].iloc[rows], strict=True))
        if name == "centre_gaussian":
            return heat_maps.centre_gaussian(sizes)
        if name == "mean_mask":
            return (unfit(mean, *size) for size in sizes)
        return gradcam.heat_maps(model, data, rows, place, device)

    assert data.decoded.masks is not None
    names = [method, "centre_gaussian"]
    if len(training):
        mean = data.decoded.masks[training].mean(0, dtype=np.float32)
        names.append("mean_mask")
    tables = {name: compared(maps(name, tested), tested) for name in names}
    thresholds = {
        name: heat_maps.threshold(compared(maps(name, reference), reference)) if len(reference) else 0.5
        for name in names
    }
    own = tables[method]
    told = classification.answers(predictions).loc[own.index]
    detected = (told["predicted"] == place).to_numpy()
    groups = {"all": own, "detected": own[detected], "missed": own[~detected]}
    found = {
        "method": method,
        "slices": {name: len(group) for name, group in groups.items()},
        "zero_maps": int(own["zero"].sum()),
        "thresholds": thresholds,
        "scores": {name: heat_maps.score(group, thresholds[method]) for name, group in groups.items() if len(group)},
        "baselines": {name: heat_maps.score(tables[name], thresholds[name]) for name in names[1:]},
    }
    lines = told[["path", "case", "slice", columns(data.classes)[place]]].join(
        own[["pointing", "energy", "share", "zero"]].assign(iou=own[f"iou@{thresholds[method]:g}"])
    )
    chosen = _spread(lines)
    return Explanation(found, lines, [_picture(method, maps(method, chosen), chosen, lines, data)])


def write(folder: Path, explained: Explanation) -> None:
    """Write the table, and the pictures as files and for the dashboard."""
    tables.write_csv(folder / "explanation.csv", explained.lines)
    with closing(open_tracker(folder)) as tracker:
        for picture in explained.pictures:
            picture.figure.savefig(folder / picture.file, dpi=110)
            tracker.add_figure(picture.title, picture.figure)


def _tumours(data: SliceDataModule, part: str) -> NDArray[np.intp]:
    return np.flatnonzero((data.table["part"] == part) & data.table["positive"])


def _spread(lines: pd.DataFrame) -> NDArray[np.intp]:
    """Choose slices from the one whose map lies most in the tumour to the one whose map lies least."""
    ranked: NDArray[np.intp] = lines.sort_values("energy", ascending=False).index.to_numpy()
    return np.take(ranked, np.linspace(0, len(ranked) - 1, min(_DRAWN, len(ranked))).round().astype(int))


def _picture(
    method: str, maps: Iterable[heat_maps.Map], rows: NDArray[np.intp], lines: pd.DataFrame, data: SliceDataModule
) -> TitledFigure:
    figure = plots.heat_maps(lines.loc[rows], *data.decoded.originals(rows), list(maps))
    return TitledFigure(f"where it looks: {method}", figure, f"{method}.png")
