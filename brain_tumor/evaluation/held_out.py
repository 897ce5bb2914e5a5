"""Measure how far finished segmenters were off on patients that they had not seen, and make tables of intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.inference.intervals import COLUMNS, FORMAT
from brain_tumor.inference.trained import Trained
from brain_tumor.io import run_lengths, tables
from brain_tumor.metrics import conformal, diameters

_OWN = ("fold", "inner_fold", "seed")  # settings in which the runs of one table may differ
_DIAMETERS = ("diameter", "across")


def refuse_unlike(runs: Sequence[Trained]) -> None:
    """Refuse runs that make no table of intervals together.

    Raises:
        ValueError: one is no segmenter, or two differ in more than the fold and the seed.
    """
    first = runs[0]
    for run in runs:
        if run.task != "segmentation":
            raise ValueError(f"runs: {run.folder} is a {run.task}, which measures nothing")
        if run.regions != first.regions:
            raise ValueError(f"runs: {run.folder} finds other regions than {first.folder}")
        mine, others = (one.record["hyperparameters"] for one in (run, first))
        names = [name for name in {**mine, **others} if name not in _OWN and mine.get(name) != others.get(name)]
        if names:
            raise ValueError(f"runs: {run.folder} and {first.folder} differ in {names[0]}; give runs of one setting")


def open_masks(run: Trained, root: str | None, cache_dir: str) -> SliceDataModule:
    """Open the data that a run was tested on.

    Args:
        run: any of the runs, which share it.
        root: its folder, where that has moved; None for the recorded one.
        cache_dir: of decoded slices.

    Raises:
        ValueError: it cannot be opened.
    """
    moved: dict[str, Any] = {"root": root} if root else {}
    data = run.data(cache_dir=cache_dir, **moved)
    data.prepare_data()
    data.setup()
    return data


def measure(runs: Sequence[Trained], data: SliceDataModule | None) -> pd.DataFrame:
    """Measure every held-out patient's tumour as the runs have marked it, and as it is.

    Args:
        runs: finished segmenters, each of which has tested other patients.
        data: with the true masks; None where it is not here, so that diameters are not measured.

    Returns:
        A row per patient: `case`, `fold`, `volume` and `true_volume` in pixels, with data also `diameter`,
        `true_diameter`, `across` and `true_across`.

    Raises:
        ValueError: a run has no table of predictions, its slices name no patients, two runs have tested one patient, or
            the data has changed since.
    """
    rows: list[dict[str, Any]] = []
    for place, run in enumerate(runs):
        table = tables.read_csv(run.folder / "predictions.csv")
        if not table["case"].all():
            raise ValueError(f"{run.folder}: its slices name no patients")
        fold = run.record["split"]["fold"]
        sizes = _Sizes(data, run.folder) if data else None
        for case, slices in table.groupby("case", sort=True):
            volumes = {"volume": slices["predicted_area"].sum(), "true_volume": slices["area"].sum()}
            more = sizes.diameters(slices) if sizes else {}
            rows.append({"case": case, "fold": place if fold is None else fold, **volumes, **more})
    measured = pd.DataFrame(rows)
    if (twice := measured["case"].duplicated()).any():
        raise ValueError(f"runs: two of them have tested {measured['case'][twice].iloc[0]}; give the folds of one seed")
    return measured


class _Sizes:
    """The slices of a data set by their paths, with their sizes and masks."""

    def __init__(self, data: SliceDataModule, folder: Path) -> None:
        self.data, self.folder = data, folder
        self.rows = {str(path): int(row) for row, path in zip(data.table.index, data.table["path"], strict=True)}

    def diameters(self, slices: pd.DataFrame) -> dict[str, float]:
        """Measure the predicted and the true masks of a patient's slices, in pixels."""
        found, true = [], []
        for path, lengths, area in zip(slices["path"], slices["run_lengths"], slices["area"], strict=True):
            row = self.rows.get(str(path))
            mask = None if row is None else self.data.decoded.original_mask(row).astype(bool)
            if mask is None or mask.sum() != area:
                raise ValueError(f"{self.folder}: the data has changed since, at {path}")
            true.append(mask)
            found.append(run_lengths.from_kaggle(str(lengths), *mask.shape).astype(bool))
        return {
            f"{prefix}{name}": value
            for prefix, masks in (("", found), ("true_", true))
            for name, value in zip(_DIAMETERS, _two(masks), strict=True)
        }


def _two(masks: Sequence[NDArray[np.bool_]]) -> tuple[float, float]:
    sides = np.max([mask.shape for mask in masks], axis=0)
    stack = np.zeros((len(masks), *sides), bool)
    for place, mask in enumerate(masks):
        stack[place, : mask.shape[0], : mask.shape[1]] = mask
    found = diameters.measure(stack, np.eye(2))
    return (0.0, 0.0) if found is None else (found.longest, found.across)


def table_of(runs: Sequence[Trained], measured: pd.DataFrame, level: float) -> dict[str, Any]:
    """Make a table of intervals, with how often they cover in each fold when they are fitted on the others.

    Args:
        runs: finished segmenters.
        measured: see `measure`.
        level: the wanted probability of an interval.

    Raises:
        ValueError: there are too few patients, also in all folds but one.
    """
    measures = {name: _one(measured, name, level) for name in COLUMNS if name in measured}
    return {
        "format": FORMAT,
        "level": level,
        "data": runs[0].dataset,
        "regions": runs[0].regions.names,
        "runs": [{"name": run.folder.name, "id": run.record["id"]} for run in runs],
        "patients": len(measured),
        "unit": "pixels; in millimetres not measured",
        "measures": measures,
    }


def _one(measured: pd.DataFrame, name: str, level: float) -> dict[str, Any]:
    known = measured[measured[name] > 0]  # what is not found at all has no relative error
    true, found, folds = (known[key].to_numpy(dtype=float) for key in (f"true_{name}", name, "fold"))
    factors = conformal.fit(true, found, level)
    counted = conformal.coverage(true, found, folds.tolist(), level) if len(set(folds)) > 1 else {}
    covered, tested = (sum(counts[place] for counts in counted.values()) for place in (0, 1))
    return {
        "low": factors.low,
        "high": factors.high,
        "patients": len(known),
        "not_found": int((measured[name] <= 0).sum()),
        "covered": covered if counted else None,
        "tested": tested if counted else None,
        "folds": [{"fold": int(fold), "covered": c, "tested": n} for fold, (c, n) in counted.items()],  # type: ignore[call-overload]
    }


def lines(table: Mapping[str, Any]) -> list[str]:
    """Return a table of intervals in words, a line each."""
    level, patients = table["level"], table["patients"]
    told = [f"{level:.0%} intervals, by the relative errors of {patients} held-out patients in pixels"]
    for name in COLUMNS:
        if name not in table["measures"]:
            told.append(f"{name}: not measured")
            continue
        one = table["measures"][name]
        missed = f"; {one['not_found']} not found at all, without an interval" if one["not_found"] else ""
        coverage = "coverage not measured: it needs several folds"
        if one["tested"]:
            folds = ", ".join(f"{fold['covered']} of {fold['tested']}" for fold in one["folds"])
            covered, tested = one["covered"], one["tested"]
            coverage = f"fitted on the other folds they cover {covered} of {tested} ({covered / tested:.1%}): {folds}"
        told.append(f"{name}: from {one['low']:.3f} to {one['high']:.3f} times the measured one{missed}; {coverage}")
    return [*told, "coverage in millimetres: not measured"]
