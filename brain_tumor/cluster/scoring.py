"""What an executor does of an archive: read cases, look at many at a time, and say of each slice a row."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brain_tumor import trained
from brain_tumor.cluster import files
from brain_tumor.data import scans
from brain_tumor.data.cases import Case, Slices, try_read
from brain_tumor.prediction import Prediction, Predictor
from brain_tumor.results import masks
from brain_tumor.results.predictions import columns

if TYPE_CHECKING:
    from pyarrow import RecordBatch

SCHEMA = (
    "path string, case string, slice int, probabilities map<string, double>, height int, width int, "
    "run_lengths string, status string, reason string"
)
RUN = "brain_tumor-run"  # how the executors know the run's folder
_MOST = 2048  # rows that wait for a batch to fill, failures among them


@dataclass(frozen=True)
class Settings:
    """How cases are looked at: `preset` as for predict, `batch` in bytes of images, `trusted` modules of a run."""

    preset: str
    batch: int
    trusted: tuple[str, ...]


@dataclass
class _Read:
    path: str
    case: str
    slices: Slices | str  # or why there are none


def score(settings: Settings, batches: "Iterator[RecordBatch]") -> "Iterator[RecordBatch]":
    """Score cases, each a row whose `paths` are its files; rows of `SCHEMA` come out, as many as fit into memory."""
    predictor = _predictor(settings)
    waiting: list[_Read] = []
    size = 0
    for batch in batches:
        for paths in batch.column("paths").to_pylist():
            for own in _read(sorted(paths), settings, predictor.mixed):
                waiting.append(own)
                size += 0 if isinstance(own.slices, str) else own.slices.images.nbytes
            if size >= settings.batch or len(waiting) >= _MOST:
                yield _look(predictor, waiting)
                waiting, size = [], 0
    if waiting:
        yield _look(predictor, waiting)


@lru_cache(maxsize=1)
def _predictor(settings: Settings) -> Predictor:
    """Open the run once a Python worker, with as many threads as Spark counts for a task."""
    import torch
    from pyspark import SparkFiles, TaskContext

    logging.getLogger("pydicom").propagate = False  # what it says of damaged files stands in the rows
    if context := TaskContext.get():
        torch.set_num_threads(context.cpus())
    return Predictor(trained.open_run(Path(SparkFiles.get(RUN)), settings.trusted), None, 0.5)


def _read(paths: Sequence[str], settings: Settings, mixed: bool) -> list[_Read]:
    name = Path(paths[0]).stem
    try:
        with files.at_hand(paths) as local:
            home = dict(zip(local, paths, strict=True))
            sources = scans.discover([str(path) for path in local]).sources
            cases = [Case(source.case, {"": source}) for source in sources]
            read = [(home[case.paths[0]], case.name, try_read(case, settings.preset, mixed)) for case in cases]
    except (ValueError, OSError) as error:
        read = [(paths[0], name, " ".join(str(error).split())[:300])]
    return [_Read(*own) for own in read or [(paths[0], name, "holds nothing to predict")]]


def _look(predictor: Predictor, waiting: Sequence[_Read]) -> "RecordBatch":
    import pyarrow

    rows: list[Mapping[str, Any]] = []
    good = [own for own in waiting if isinstance(own.slices, Slices)]
    for own, found in zip(good, _predict(predictor, good), strict=True):
        rows += [_failed(own, found)] if isinstance(found, str) else _rows(predictor.run.classes, own, found)
    rows += [_failed(own, own.slices) for own in waiting if isinstance(own.slices, str)]
    text, whole = pyarrow.string(), pyarrow.int32()
    kinds = {
        **dict.fromkeys(("path", "case"), text), "slice": whole,
        "probabilities": pyarrow.map_(text, pyarrow.float64()),
        **dict.fromkeys(("height", "width"), whole), **dict.fromkeys(("run_lengths", "status", "reason"), text),
    }  # fmt: skip
    return pyarrow.RecordBatch.from_pylist(list(rows), schema=pyarrow.schema(list(kinds.items())))


def _predict(predictor: Predictor, waiting: Sequence[_Read]) -> list[Prediction | str]:
    """Look at all together, and where that fails at each by itself, so that one takes no other with it."""
    slices = [own.slices for own in waiting if isinstance(own.slices, Slices)]
    if not slices:
        return []
    try:
        return list(predictor.predict(slices))
    except Exception as error:
        if len(slices) == 1:
            return [f"cannot be predicted ({type(error).__name__}: {' '.join(str(error).split())[:300]})"]
        return [_predict(predictor, [own])[0] for own in waiting]


def _rows(classes: Sequence[str], own: _Read, found: Prediction) -> list[dict[str, Any]]:
    assert isinstance(own.slices, Slices)
    height, width = own.slices.images.shape[1:3]
    chances = found.table[columns(classes)].to_numpy()
    return [
        {
            "path": own.path, "case": own.case, "slice": int(number), "height": height, "width": width,
            "probabilities": list(zip(classes, map(float, chance), strict=True)),
            "run_lengths": None if found.masks is None else masks.to_kaggle(found.masks[place]),
            "status": "ok", "reason": "",
        }
        for place, (number, chance) in enumerate(zip(found.table["slice"], chances, strict=True))
    ]  # fmt: skip


def _failed(own: _Read, reason: str) -> dict[str, Any]:
    return {"path": own.path, "case": own.case, "status": "failed", "reason": reason}
