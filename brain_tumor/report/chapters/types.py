"""Score how well classifiers tell the type of a patient's tumour."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from brain_tumor.metrics import binary, classification, patients
from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.metrics.plots import draw_confusion
from brain_tumor.report import drawing
from brain_tumor.report.aggregates import mean
from brain_tumor.report.formatting import flat, intervals, number
from brain_tumor.report.page import Block, Column, Heading, Line, Picture, Table, Text
from brain_tumor.report.pooled import Pool, pool_folds, unfinished
from brain_tumor.report.runs import Run
from brain_tumor.runs import record as records
from brain_tumor.runs import summary
from brain_tumor.runs.summary import BASELINE_TITLES

_DRAWN = 4  # configurations with curves
_NO_PIXEL = "image-free baseline"
_BASELINES = ("majority", "same_patient", "shape")
_SHOWN = {
    "accuracy": "accuracy per slice", "balanced_accuracy": "balanced", "macro_f1": "macro F1",
    "patient_accuracy": "accuracy per patient", "patient_balanced_accuracy": "balanced, patients",
    "patient_macro_f1": "macro F1, patients",
}  # fmt: skip
_AREA = {"patient_auroc": "AUROC, patients"}


def belongs(run: Run) -> bool:
    """Return whether a run stands in this chapter and not beside the paper's numbers: it is about types of tumours.

    Its classes are patients', or it sees crops; or no class means a tumour, since every slice shows one.
    """
    data, test = run.record["data"], run.record["test"]
    of_types = data["positive"] is None and (run.record["task"] == "segmentation" or "patient_accuracy" in test)
    return of_types or "target" in data or "regions" in data


def chapter(runs: Sequence[Run]) -> list[Block]:
    """Show every configuration for tumour types, over all its folds.

    Args:
        runs: the runs that belong in this chapter.
    """
    if not runs:
        return []
    classifiers = [run for run in runs if "patient_accuracy" in run.record["test"]]
    pools = pool_folds(classifiers)
    alone = [Pool({run.seed: [run]}, [], run) for run in classifiers if run.record["split"]["fold"] is None]
    blocks: list[Block] = [
        Heading("Tumour types"),
        Text(
            "A patient's probability is the mean over the slices. Scores are computed over all folds: each slice is "
            "tested by a model that never saw a patient of that name. Areas are computed within folds and averaged. "
            "Intervals are 95 % intervals from a bootstrap over people within folds; names that may belong to one "
            "person are drawn together. With a split by slice, a patient's other slices are in training and have the "
            "same label, so that it tests memory. Of several seeds the lowest is shown."
        ),
    ]
    if complete := sorted((pool for pool in (*pools, *alone) if pool.runs), key=_sort_key):
        lines = list(_lines(complete))
        shown = {"classes": "{told apart}", "split": "{split}", "input": "{shown}", "model": "{model}"}
        table = Table.of("types", lines, {**shown, **intervals(_SHOWN), **intervals(_AREA, "{:.3f}")})
        blocks += [table, *_recalls(complete, lines), *_published(complete), *_contrasts(complete), *_figures(complete)]
    segmenters = [run for run in runs if run.record["task"] == "segmentation"]
    return blocks + unfinished(pools) + _localization(segmenters)


def _task(run: Run) -> str:
    """Return the data set's name, and the target's where the classes are a target of patients."""
    target = run.record["data"].get("target")
    return _named(run.dataset, target["name"] if target else "")


def _named(dataset: str, target: str) -> str:
    return f"{dataset}, {target}" if target else dataset


def _input(run: Run) -> str:
    """Return which part of slices a model sees, and by whose masks slices are chosen and cropped."""
    used = run.record["data"].get("regions")
    if not used:
        return "whole slices"
    by = "true masks (an oracle)" if used["test"]["by_truth"] else "a run's masks"
    shown = "crops" if run.record["hyperparameters"].get("crop") else "whole slices with a tumour"
    return f"{shown}, by {by}"


def _split(pool: Pool) -> str:
    """Return how patients were divided, in a few words."""
    split = pool.example.record["split"]
    if split["fold"] is None:
        return f"by {split['method']}"
    names_apart = pool.example.record["config"]["data"].get("together") is False
    note = ", the authors'" if split["method"] == "given" else ", names apart" * names_apart
    return f"{len(pool.folds)} folds{note}"


def _sort_key(pool: Pool) -> tuple[str, str, str, str]:
    """Return a pool's data and target, split, input and model, by which the chapter is sorted."""
    return _task(pool.example), _split(pool), _input(pool.example), summary.model_title(pool.example.record)


def _predicted(pool: Pool) -> tuple[pd.DataFrame, Tensor]:
    """Return the predictions of the lowest seed: a table with a row per test slice, and probabilities (n, C)."""
    table = next(iter(pool.tables.values()))
    return table, torch.tensor(classification.probabilities_of(table).to_numpy(dtype=float))


def _lines(pools: Sequence[Pool]) -> Iterator[Line]:
    """Score every pool, and below the pools of one task and split the image-free baselines, averaged over folds.

    Args:
        pools: in the order of `_sort_key`.
    """
    for (task, split), group in groupby(pools, key=lambda pool: _sort_key(pool)[:2]):
        for pool in (same_split := list(group)):
            table, probabilities = _predicted(pool)
            scores = patients.score(table, probabilities, pool.example.record["data"]["classes"])
            labels, folds = torch.tensor(table["label"].to_numpy()), list(table.get("fold", [0] * len(table)))
            slices = classification.score_folds([probabilities], labels, patients.people(table), folds, None)
            facts = {"told apart": task, "split": split, "patients": scores["patients"], "slices": len(table)}
            model = {"model": summary.model_title(pool.example.record), "shown": _input(pool.example)}
            yield {**facts, **model, **flat(records.scores({"accuracy": slices["accuracy"], **scores}))}
        yield from ({**facts, **line} for line in _baselines(same_split[0]))


def _baselines(pool: Pool) -> Iterator[Line]:
    for name in _BASELINES:
        scores_of_folds = [run.record["baselines"][name] for run in pool.folds if name in run.record["baselines"]]
        if len(scores_of_folds) == len(pool.folds):
            names = [key for key in scores_of_folds[0] if isinstance(scores_of_folds[0][key], dict)]
            means = {key: mean([scores[key]["value"] for scores in scores_of_folds if key in scores]) for key in names}
            yield {"model": BASELINE_TITLES[name], "shown": _NO_PIXEL, **means}


def _recalls(pools: Sequence[Pool], lines: Sequence[Line]) -> list[Block]:
    """Show the recall of each type by slice and by patient, a table for each data set whose classes are types."""
    data = {_task(pool.example): pool.example.record["data"] for pool in pools}
    of_types = sorted(task for task, facts in data.items() if facts["positive"] is None and "target" not in facts)
    return [block for place, task in enumerate(of_types) for block in _recalls_of(task, place, lines)]


def _recalls_of(task: str, place: int, lines: Sequence[Line]) -> list[Block]:
    models = [line for line in lines if line["told apart"] == task and line["shown"] != _NO_PIXEL]
    classes = [name[len("recall(") : -1] for name in models[0] if name.startswith("recall(") and name.endswith(")")]
    shown: dict[str, Column] = {"split": "{split}", "input": "{shown}", "model": "{model}"}
    for what, prefix in (("slices of {}", ""), ("patients with {}", "patient_")):
        shown |= intervals({f"{prefix}recall({name})": what.format(name) for name in classes})
    name = f"types_recall_{place}" if place else "types_recall"
    return [Text(f"Recall of each type of {task}:" if place else "Recall of each type:"), Table.of(name, models, shown)]


def _published(pools: Sequence[Pool]) -> list[Block]:
    datasets = {pool.example.dataset: pool.example.declared for pool in pools}
    rows = [
        {
            "data": _named(name, result.target),
            "model": result.model,
            "split": result.split,
            "score": score,
            "published": value,
        }
        for name, declared in sorted(datasets.items())
        for result in declared.published
        if result.task == "classification"
        for score, value in result.scores.items()
    ]
    if not rows:
        return []
    table = pd.DataFrame(rows)
    return [
        Text("Results that others report, with their splits as far as they are known:"),
        Table("types_published", table, table),
    ]


def _contrasts(pools: Sequence[Pool]) -> list[Block]:
    """Show every class of a target of patients against the rest, with p values corrected for their number."""
    targets = [pool for pool in pools if pool.example.record["data"].get("target") and len(pool.folds) > 1]
    lines = [line for pool in targets for line in _against_the_rest(pool)]
    for line, corrected in zip(lines, patients.holm([line["p"] for line in lines]), strict=True):
        line["p, Holm"] = corrected
    if not lines:
        return []
    columns = {name: f"{{{name}}}" for name in ("target", "class", "model", "patients", "of")}
    covering = sum(line["AUROC low"] <= 0.5 for line in lines)
    return [
        Heading("Targets by patient"),
        Text(
            f"{len(lines)} contrasts, each of a class against the rest; the codes are those of data.csv, which has no "
            f"legend. The intervals of {covering} of them include .5, which is chance. p is one-sided, from "
            "permutations of the patients' labels within folds; Holm's correction is for all contrasts of this table."
        ),
        Table.of(
            "types_contrasts",
            lines,
            {
                **columns,
                "input": "{shown}",
                **intervals({"AUROC": "AUROC"}, "{:.3f}"),
                "p": number("p", "{:.4f}"),
                "p, Holm": number("p, Holm", "{:.3f}"),
            },
        ),
    ]


def _against_the_rest(pool: Pool) -> Iterator[dict[str, Any]]:
    """Yield the area of each class against the rest, by patient, and its p; for two classes, of the second one only."""
    classes, (table, probabilities) = pool.example.record["data"]["classes"], _predicted(pool)
    scores = patients.score(table, probabilities, classes)
    areas, p_values = patients.permutation(table, probabilities)
    labels = table.drop_duplicates("case")["label"]
    for place in [1] if len(classes) == 2 else range(len(classes)):
        limits = scores[f"patient_auroc({classes[place]})"]
        yield {
            **{"target": _task(pool.example), "class": classes[place], "shown": _input(pool.example)},
            "model": summary.model_title(pool.example.record),
            **{"patients": int((labels == place).sum()), "of": len(labels)},
            **flat({"AUROC": Interval(value=areas[place], low=limits["low"], high=limits["high"])}),
            "p": p_values[place],
        }


def _figures(pools: Sequence[Pool]) -> list[Block]:
    """Draw confusion matrices, ROC curves and reliability curves of the first configurations."""
    blocks: list[Block] = []
    for count, pool in enumerate(pools[:_DRAWN], 1):
        caption = (
            f"{', '.join(_sort_key(pool))}: confusion by slice and by patient, ROC of each class against the rest by "
            "patient, and share of right predictions against their confidence. The curves mix the scores of all "
            "folds' models, which the areas in the table do not."
        )
        blocks.append(Picture.of(f"types_{count}", caption, _figure(pool)))
    return blocks


def _figure(pool: Pool) -> Figure:
    classes, (table, probabilities) = pool.example.record["data"]["classes"], _predicted(pool)
    grouped = patients.group(table, probabilities)
    figure = Figure(figsize=(17, 4.9), layout="constrained")
    slices, people, curves, reliability = figure.subplots(1, 4)
    labels = torch.tensor(table["label"].to_numpy())
    drawing.diagonal(reliability, 1 / len(classes))
    for axes, title, scores, truth in (
        (slices, "slices", probabilities, labels),
        (people, "patients", grouped.probabilities, grouped.labels),
    ):
        draw_confusion(axes, binary.confusion_matrix(scores, truth), classes)
        axes.set_title(title)
        confidence, predicted = scores.max(1)
        drawing.reliability(reliability, confidence.numpy(), (predicted == truth).numpy(), width=0.1, label=title)
    drawing.diagonal(curves)
    for place, name in enumerate(classes):
        drawing.roc(curves, grouped.probabilities[:, place], grouped.labels == place, name)
    curves.set_title("a class against the rest, patients")
    for axes in (curves, reliability):
        axes.legend(fontsize="small")
    return figure


def _localization(runs: Sequence[Run]) -> list[Block]:
    """Show the scores of segmenters for each type."""
    lines: list[Line] = [
        {"model": run.title, "split": summary.split_title(run.record["split"]), **flat(run.scores)} for run in runs
    ]
    if not lines:
        return []
    names = dict.fromkeys(name for run in runs for name in run.scores if name.startswith("dice_slice("))
    titles = {"dice": "Dice", "dice_slice": "per tumour slice"}
    titles |= {name: name[len("dice_slice(") : -1] for name in names}
    return [
        Heading("Localization by type"),
        Text("Dice per tumour slice of the test part, averaged over a patient's slices and then over patients."),
        Table.of("types_localization", lines, {"model": "{model}", "split": "{split}", **intervals(titles, "{:.3f}")}),
    ]
