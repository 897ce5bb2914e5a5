"""Describe data and split for a run's record."""

import inspect
from typing import Any

import numpy as np
import pandas as pd

from brain_tumor.data import sequences, targets
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.scans import skull


def hyperparameters(data: SliceDataModule) -> dict[str, bool | int | float | str]:
    """Return the settings of data, split and batches that the record and the dashboard show.

    Args:
        data: set up, as for all functions here.
    """
    return {
        "data": data.dataset.name,
        "split": data.drawn["method"],
        "fold": -1 if data.drawn["fold"] is None else data.drawn["fold"],
        "split_seed": data.split.split_seed,
        "test_fraction": data.split.test_fraction,
        "val_fraction": data.split.val_fraction,
        "batch_size": data.batch_size,
        "empty": -1.0 if data.empty is None else float(data.empty),
        "size": data.size,
        "intensities": data.inputs.intensities,
        "neighbours": data.inputs.neighbours,
        **({"skull": data.inputs.skull} if data.inputs.skull != "keep" else {}),
        **({"target": str(data.target)} if targets.is_of_patients(data.target) else {}),
        **({"crop": data.crop, "crop_margin": data.crop_margin} if data.crop != "none" else {}),
        **({"masks": "truth" if data.masks is None else "run"} if _needs_tumours(data) else {}),
    }


def describe(data: SliceDataModule) -> dict[str, Any]:
    """Return the data set's facts, content key and classes, and the numbers of slices, patients and labels."""
    facts = {
        "kind": data.dataset.name,
        "key": data.key,
        "classes": data.classes,
        "positive": data.positive,
        "sequences": list(data.dataset.sequences),
        "skull": _training_skull(data),
        "licence": data.dataset.licence,
        "drawn": data.dataset.drawn,
        **_count(data, _labelled(data)),
    }
    missing = sequences.missing(data.decoded.images, data.table["case"], data.dataset.sequences)
    if missing is not None:
        facts["missing"] = missing
    if data.dataset.scaling is not None:
        facts["volumes"] = {"scaling": data.dataset.scaling, "plane": data.dataset.plane}
    if (labels := data.regions.plain()) is not None:
        facts["mask_labels"] = labels
    if data.inputs.neighbours:
        facts["neighbours"] = {"count": data.inputs.neighbours, "mm": data.inputs.distance(data.dataset.slice_mm)}
    if _needs_tumours(data):
        facts["regions"] = _mask_sources(data)
    if targets.is_of_patients(data.target):
        facts["target"] = {"name": data.target, "patients_left_out": data.left_out}
    if data.target == targets.RANDOM:
        facts["target"]["seed"] = data.target_seed
    return facts


def _training_skull(data: SliceDataModule) -> bool | None:
    """Return whether the heads in training have their skulls; None if unknown, or if some are stripped."""
    trained = data.rows["train"]
    if data.transforms.strip:
        return None
    return skull.training_skull(data.decoded.images, trained, list(data.table["case"].iloc[trained]))


def of_model(model: type, channels: int, labels: dict[str, Any] | None, size: int) -> dict[str, Any]:
    """Return what a model is told of its data besides the number of classes, as far as it takes that.

    Args:
        model: its class.
        channels: of a slice.
        labels: the regions of its masks (see `brain_tumor.datasets.regions.Regions.plain`).
        size: side of the images, in pixels.

    Raises:
        ValueError: it takes no channels, and the data has another number than three.
    """
    facts = {"channels": channels, "labels": labels, "image_size": size}
    taken = inspect.signature(model).parameters
    if channels != 3 and "channels" not in taken:
        raise ValueError(f"data: has {channels} channels; {model.__name__} takes three, since it has no `channels`")
    return {name: value for name, value in facts.items() if name in taken}


def describe_split(data: SliceDataModule) -> dict[str, Any]:
    """Return how the split was drawn, and the counts of each part."""
    labelled = _labelled(data)
    left_out = labelled["part"] == ""
    # Others are left out on purpose, such as the rows of an outer fold.
    dropped = int((left_out & labelled["digest"].isin(labelled["digest"][~left_out])).sum())
    parts = {part: _count(data, data.table.iloc[rows]) for part, rows in data.rows.items()}
    shared = _patients_on_both_sides(data.table)
    return {**data.drawn, "duplicates_dropped": dropped, "patients_on_both_sides": shared, **parts}


def _patients_on_both_sides(table: pd.DataFrame) -> int:
    """Count the known patients who have slices in the test part and in training or validation."""
    names = table.get("person", table["case"])
    tested = table["part"] == "test"
    trained = table["part"].isin(["train", "val"])
    return len((set(names[tested]) & set(names[trained])) - {""})


def _needs_tumours(data: SliceDataModule) -> bool:
    """Return whether the slices shown, or their crops, depend on where the tumour is."""
    return data.crop != "none" or targets.needs_tumours(data.target)


def _mask_sources(data: SliceDataModule) -> dict[str, Any]:
    """Count by whose masks slices were chosen or cropped, in each part; a test by the true ones is an oracle's."""
    counts: dict[str, Any] = {"masks": "truth" if data.masks is None else data.masks}
    for part in ("train", "val", "test"):
        localized = data.table["path"].iloc[data.rows[part]].isin(data.localized)
        counts[part] = {"by_truth": int((~localized).sum()), "by_run": int(localized.sum())}
    return counts


def _labelled(data: SliceDataModule) -> pd.DataFrame:
    return data.table[data.table["label"] >= 0]


def _count(data: SliceDataModule, table: pd.DataFrame) -> dict[str, Any]:
    labels = np.bincount(table["label"], minlength=data.num_classes).tolist()
    patients = set(table["case"]) - {""}
    return {"slices": len(table), "patients": len(patients), "labels": dict(zip(data.classes, labels, strict=True))}
