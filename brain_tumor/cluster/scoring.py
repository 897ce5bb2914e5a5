"""Score cases on an executor: read them, predict them in batches, and return one row per slice."""

import logging
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brain_tumor.cluster import files
from brain_tumor.data import novelty
from brain_tumor.inference import trained
from brain_tumor.inference.base import Run
from brain_tumor.inference.ensemble import Ensemble
from brain_tumor.inference.onnx_run import OnnxRun
from brain_tumor.inference.opening import open_run
from brain_tumor.inference.prediction import TYPED, Prediction
from brain_tumor.inference.predictor import Predictor
from brain_tumor.io import run_lengths
from brain_tumor.runs import leakage
from brain_tumor.scans import discovery
from brain_tumor.scans.cases import Case, Slices

if TYPE_CHECKING:
    import pandas as pd
    from pyarrow import RecordBatch

# The columns, with Spark's names of their types.
FIELDS = {
    "path": "string", "case": "string", "slice": "int", "probabilities": "map<string, double>", "novelty": "double",
    "detector": "double", "type": "string", "types": "map<string, double>", "height": "int", "width": "int",
    "run_lengths": "string", "warnings": "string", "status": "string", "reason": "string",
}  # fmt: skip
SCHEMA = ", ".join(f"{name} {type_}" for name, type_ in FIELDS.items())
RUNS = "brain_tumor-runs"  # name of the runs' folder on executors
_FILES = ("results.json", novelty.FILE, leakage.INHERITED)  # that are sent of a run's folder, besides its checkpoint
_MOST = 2048  # cases that wait until a batch is full, failed ones included


@dataclass(frozen=True)
class Settings:
    """How cases are predicted.

    Attributes:
        preset: how a volume's intensities are scaled.
        threshold, keep_from: as for `predict`.
        batch: bytes of images that are predicted together.
        trusted: modules of the user whose classes the runs may name.
    """

    preset: str
    threshold: float | None
    keep_from: float | None
    batch: int
    trusted: tuple[str, ...]


@dataclass
class _Read:
    """A case that has been read: one of its paths, its name, and its slices, or why there are none."""

    path: str
    case: str
    slices: Slices | str


def pack(runs: Mapping[str, Run], home: Path) -> None:
    """Copy the files that runs need into a folder: home/run/000, home/detector/000, ...; an ensemble has several.

    Args:
        runs: by their roles, each from a folder, a file or several of these.
        home: of the copies.
    """
    for key, run in runs.items():
        for number, member in enumerate(run.runs if isinstance(run, Ensemble) else [run]):
            _copy(member, home / key / f"{number:03d}")


def _copy(run: Run, target: Path) -> None:
    if isinstance(run, OnnxRun):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(run.folder, target.with_suffix(run.folder.suffix.lower()))
        return
    assert isinstance(run, trained.Trained), "a run is a folder or a file"
    (target / "checkpoints").mkdir(parents=True)
    shutil.copy(run.checkpoint, target / "checkpoints")
    for name in _FILES:
        if (run.folder / name).exists():
            shutil.copy(run.folder / name, target)


def unpack(home: Path, settings: Settings) -> Predictor:
    """Open the runs that `pack` has copied."""
    runs = {
        folder.name: open_run([str(path) for path in sorted(folder.iterdir())], settings.trusted)
        for folder in home.iterdir()
    }
    return Predictor.of(runs, settings.threshold, settings.keep_from)


def score(settings: Settings, batches: "Iterator[RecordBatch]") -> "Iterator[RecordBatch]":
    """Score cases, each a row with its files as `paths`, and yield rows of `SCHEMA` in batches that fit into memory."""
    predictor = _predictor(settings)
    waiting: list[_Read] = []
    size = 0
    for batch in batches:
        for paths in batch.column("paths").to_pylist():
            for case in _read(sorted(paths), predictor, settings.preset):
                waiting.append(case)
                size += 0 if isinstance(case.slices, str) else case.slices.images.nbytes
            if size >= settings.batch or len(waiting) >= _MOST:
                yield _batch(_score(predictor, waiting))
                waiting, size = [], 0
    if waiting:
        yield _batch(_score(predictor, waiting))


@lru_cache(maxsize=1)
def _predictor(settings: Settings) -> Predictor:
    """Open the runs, once per Python worker, with as many threads as Spark assigns to a task."""
    import torch
    from pyspark import SparkFiles, TaskContext

    logging.getLogger("pydicom").propagate = False  # the rows name damaged files
    if context := TaskContext.get():
        torch.set_num_threads(context.cpus())
    return unpack(Path(SparkFiles.get(RUNS)), settings)


def _read(paths: Sequence[str], predictor: Predictor, preset: str) -> list[_Read]:
    """Read the cases in some files; files without any give one case with the reason."""
    name = Path(paths[0]).stem
    try:
        with files.at_hand(paths) as local:
            home = dict(zip(local, paths, strict=True))
            sources = discovery.discover([str(path) for path in local]).sources
            cases = [Case(source.case, {"": source}) for source in sources]
            read = [(home.get(case.paths[0], paths[0]), case.name, predictor.read(case, preset)) for case in cases]
    except (ValueError, OSError) as error:
        read = [(paths[0], name, " ".join(str(error).split())[:300])]
    return [_Read(*case) for case in read or [(paths[0], name, "holds nothing to predict")]]


def _score(predictor: Predictor, waiting: Sequence[_Read]) -> list[dict[str, Any]]:
    """Predict cases and return their rows with the keys of `FIELDS`; a missing key is null."""
    rows: list[dict[str, Any]] = []
    good = [case for case in waiting if isinstance(case.slices, Slices)]
    for case, result in zip(good, _predict(predictor, good), strict=True):
        rows += [_failed(case, result)] if isinstance(result, str) else _rows(case, result)
    return rows + [_failed(case, case.slices) for case in waiting if isinstance(case.slices, str)]


def _batch(rows: Sequence[Mapping[str, Any]]) -> "RecordBatch":
    import pyarrow

    types = {
        "string": pyarrow.string(), "int": pyarrow.int32(), "double": pyarrow.float64(),
        "map<string, double>": pyarrow.map_(pyarrow.string(), pyarrow.float64()),
    }  # fmt: skip
    schema = pyarrow.schema([(name, types[type_]) for name, type_ in FIELDS.items()])
    return pyarrow.RecordBatch.from_pylist(list(rows), schema=schema)


def _predict(predictor: Predictor, waiting: Sequence[_Read]) -> list[Prediction | str]:
    """Predict all cases together, and each alone if that fails, so that one bad case does not fail the others."""
    slices = [case.slices for case in waiting if isinstance(case.slices, Slices)]
    if not slices:
        return []
    try:
        return list(predictor.predict(slices))
    except Exception as error:
        if len(slices) > 1:
            return [_predict(predictor, [case])[0] for case in waiting]
        if isinstance(error, MemoryError):
            raise  # not the file's fault
        return [f"cannot be predicted ({type(error).__name__}: {' '.join(str(error).split())[:300]})"]


def _rows(case: _Read, prediction: Prediction) -> list[dict[str, Any]]:
    """Return the rows of a predicted case."""
    assert isinstance(case.slices, Slices)
    table, tumours, height_width = prediction.table, set(prediction.tumours.tolist()), case.slices.images.shape[1:3]
    chances = _pairs(prediction.chances)
    types = table.filter(regex=f"^{re.escape(TYPED)}")
    typed = _pairs(types.rename(columns=lambda name: str(name)[len(TYPED) : -1]))
    shared = {
        "path": case.path, "case": case.case, **dict(zip(("height", "width"), height_width, strict=True)),
        "warnings": "; ".join([*case.slices.warnings, *prediction.doubts]), "status": "ok", "reason": "",
    }  # fmt: skip
    return [
        {
            **shared,
            "slice": int(table["slice"].iloc[place]),
            "probabilities": chances[place],
            "novelty": None if np.isnan(novelty) else float(novelty),
            "detector": None if prediction.detected is None else float(prediction.detected.iloc[place]),
            "type": str(table["type"].iloc[place]) if len(types.columns) and place in tumours else None,
            "types": typed[place] if len(types.columns) and place in tumours else None,
            "run_lengths": None if prediction.masks is None else run_lengths.to_kaggle(prediction.masks[place]),
        }
        for place, novelty in enumerate(table["novelty"].astype(float))
    ]


def _pairs(chances: "pd.DataFrame") -> list[list[tuple[str, float]]]:
    """Return each row as pairs, as Arrow takes a map."""
    names = [str(name) for name in chances]
    return [list(zip(names, map(float, row), strict=True)) for row in chances.to_numpy()]


def _failed(case: _Read, reason: str) -> dict[str, Any]:
    return {"path": case.path, "case": case.case, "status": "failed", "reason": reason}
