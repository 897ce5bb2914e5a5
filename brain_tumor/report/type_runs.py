"""What the chapters on tumour types say of a run: its task, what it sees, its split, its predictions."""

import pandas as pd
import torch
from torch import Tensor

from brain_tumor.metrics import classification
from brain_tumor.report.pooled import Pool
from brain_tumor.report.runs import Run
from brain_tumor.runs import summary


def task_of(run: Run) -> str:
    """Return the data set's name, and the target's where the classes are a target of patients."""
    target = run.record["data"].get("target")
    return task_name(run.dataset, target["name"] if target else "")


def task_name(dataset: str, target: str) -> str:
    """Return a data set's name, with that of the target where the classes are a target of patients."""
    return f"{dataset}, {target}" if target else dataset


def input_of(run: Run) -> str:
    """Return which part of slices a model sees, and by whose masks slices are chosen and cropped."""
    used = run.record["data"].get("regions")
    if not used:
        return "whole slices"
    by = "true masks (an oracle)" if used["test"]["by_truth"] else "a run's masks"
    shown = "crops" if run.record["hyperparameters"].get("crop") else "whole slices with a tumour"
    return f"{shown}, by {by}"


def split_of(pool: Pool) -> str:
    """Return how patients were divided, in a few words."""
    split = pool.example.record["split"]
    if split["fold"] is None:
        return f"by {split['method']}"
    names_apart = pool.example.record["config"]["data"].get("together") is False
    note = ", the authors'" if split["method"] == "given" else ", names apart" * names_apart
    return f"{len(pool.folds)} folds{note}"


def sort_key(pool: Pool) -> tuple[str, str, str, str]:
    """Return a pool's data and target, split, input and model, by which the chapter is sorted."""
    return task_of(pool.example), split_of(pool), input_of(pool.example), summary.model_title(pool.example.record)


def predictions_of(pool: Pool) -> tuple[pd.DataFrame, Tensor]:
    """Return the predictions of the lowest seed: a table with a row per test slice, and probabilities (n, C)."""
    table = next(iter(pool.tables.values()))
    return table, torch.tensor(classification.probabilities_of(table).to_numpy(dtype=float))
