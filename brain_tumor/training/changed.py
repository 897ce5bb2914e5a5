"""Identify what a run begins with, and refuse to go on if that has changed."""

import hashlib
from pathlib import Path
from typing import Any

from brain_tumor.data import crops
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.io import walk
from brain_tumor.models.task import Task
from brain_tumor.models.weights import RUN
from brain_tumor.runs import record, run_folder
from brain_tumor.training import parts


def beginning(data: SliceDataModule, model: Task) -> dict[str, str]:
    """Return identifiers of what a run begins with (see `run_folder.begin`)."""
    root, split = data.dataset.root, data.table[["path", "part", "label"]]
    return {
        "files": walk.stamp(root) if root is not None else "",
        "data": f"{data.key} {data.decoded.key}",
        "masks": crops.identify(data.masks),
        "split": hashlib.sha256(split.to_csv(index=False).encode(errors="surrogateescape")).hexdigest()[:16],
        "weights": f"{model.weights.source} {model.weights.detail}".strip(),
    }


def refuse_changed(config: dict[str, Any], folder: Path) -> None:
    """Refuse to skip a finished run as done if its data, masks or first weights have changed.

    Files that are not there are not compared.

    Args:
        config: resolved.
        folder: the finished run's.

    Raises:
        ValueError: something has changed, or can no longer be used.
    """
    _refuse_other_weights(config["model"].get("weights"), record.read(folder)["weights"]["detail"], folder)
    _refuse_other_masks(config["data"].get("masks"), folder)
    _refuse_other_data(config, folder)


def _refuse_other_weights(weights: str | None, detail: str, folder: Path) -> None:
    """Refuse a file or a run of weights that has changed since a run has started from it.

    Args:
        weights: as `model.weights`.
        detail: the SHA-256 of the file, or the id of the run, at that time.
        folder: of the run that has started from them.
    """
    path = Path((weights or "").removeprefix(RUN)).expanduser()
    if (weights or "").startswith(RUN) and run_folder.finished(path):
        now = record.read(path)["id"]
    elif weights not in {None, "auto", "imagenet", "none"} and path.is_file():
        now = hashlib.sha256(path.read_bytes()).hexdigest()
    else:
        return
    if detail and now != detail:
        raise _changed(folder, f"model.weights={weights} has changed since; restore it")


def _refuse_other_masks(masks: str | None, folder: Path) -> None:
    """Refuse masks of other runs that are not those the run in a folder has begun with."""
    begun, now = run_folder.begun(folder), crops.identify(masks)
    if "" not in {now, begun.get("masks", "")} and now != begun["masks"]:
        raise _changed(folder, f"what data.masks={masks} says has changed since; restore it")


def _refuse_other_data(config: dict[str, Any], folder: Path) -> None:
    """Refuse other slices than the run in a folder was trained on; note files that have only moved."""
    data = parts.open_data(config)
    root, begun = data.dataset.root, run_folder.begun(folder)
    if data.dataset.drawn or (root is not None and not root.is_dir()):
        return
    files = "" if root is None else walk.stamp(root)
    if files and begun.get("files") == files:
        return
    data.prepare_data()
    data.setup()
    finished = record.read(folder)
    key = finished["data"]["key"]
    if not data.is_content(key, finished["hyperparameters"]["size"]):
        raise _changed(folder, f"its data has changed since (content {key}, now {data.key}); restore it")
    run_folder.note_begun(folder, {**begun, "files": files})


def _changed(folder: Path, change: str) -> ValueError:
    return ValueError(f"{folder}: finished before, but {change}, or train anew by resume=false")
