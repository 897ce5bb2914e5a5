"""Score how well classifiers tell the type of a patient's tumour."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import pandas as pd
import torch
from matplotlib.figure import Figure

from brain_tumor.metrics import binary, classification, patients
from brain_tumor.metrics.plots import draw_confusion
from brain_tumor.report import drawing, paired
from brain_tumor.report.aggregates import mean
from brain_tumor.report.chapters.targets import contrasts
from brain_tumor.report.formatting import flat, intervals
from brain_tumor.report.page import Block, Column, Heading, Line, Picture, Table, Text
from brain_tumor.report.patients_table import NOTHING, Known
from brain_tumor.report.pooled import Pool, pool_folds, unfinished
from brain_tumor.report.runs import Run
from brain_tumor.report.type_runs import input_of, predictions_of, sort_key, task_name, task_of
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


def chapter(runs: Sequence[Run], known: Known = NOTHING) -> list[Block]:
    """Show every configuration for tumour types, over all its folds.

    Args:
        runs: the runs that belong in this chapter.
        known: what is known of patients without a network.
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
    if complete := sorted((pool for pool in (*pools, *alone) if pool.runs), key=sort_key):
        lines = list(_lines(complete))
        shown = {"classes": "{told apart}", "split": "{split}", "input": "{shown}", "model": "{model}"}
        table = Table.of("types", lines, {**shown, **intervals(_SHOWN), **intervals(_AREA, "{:.3f}")})
        blocks += [
            table,
            *_recalls(complete, lines),
            *_published(complete),
            *contrasts(complete, known),
            *_figures(complete),
        ]
    segmenters = [run for run in runs if run.record["task"] == "segmentation"]
    return blocks + unfinished(pools) + _leakage(classifiers) + _localization(segmenters)


def _lines(pools: Sequence[Pool]) -> Iterator[Line]:
    """Score every pool, and below the pools of one task and split the image-free baselines, averaged over folds.

    Args:
        pools: in the order of `sort_key`.
    """
    for (task, split), group in groupby(pools, key=lambda pool: sort_key(pool)[:2]):
        for pool in (same_split := list(group)):
            table, probabilities = predictions_of(pool)
            scores = patients.score(table, probabilities, pool.example.record["data"]["classes"])
            labels, folds = torch.tensor(table["label"].to_numpy()), list(table.get("fold", [0] * len(table)))
            slices = classification.score_folds([probabilities], labels, patients.people(table), folds, None)
            facts = {"told apart": task, "split": split, "patients": scores["patients"], "slices": len(table)}
            model = {"model": summary.model_title(pool.example.record), "shown": input_of(pool.example)}
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
    data = {task_of(pool.example): pool.example.record["data"] for pool in pools}
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


def _leakage(runs: Sequence[Run]) -> list[Block]:
    table = paired.split_table("types_paired", runs, input_of)
    return [Heading("Tumour types: leakage on the same slices"), Text(paired.SAME_SLICES), table] if table else []


def _published(pools: Sequence[Pool]) -> list[Block]:
    datasets = {pool.example.dataset: pool.example.declared for pool in pools}
    rows = [
        {
            "data": task_name(name, result.target),
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


def _figures(pools: Sequence[Pool]) -> list[Block]:
    """Draw confusion matrices, ROC curves and reliability curves of the first configurations."""
    blocks: list[Block] = []
    for count, pool in enumerate(pools[:_DRAWN], 1):
        caption = (
            f"{', '.join(sort_key(pool))}: confusion by slice and by patient, ROC of each class against the rest by "
            "patient, and share of right predictions against their confidence. The curves mix the scores of all "
            "folds' models, which the areas in the table do not."
        )
        blocks.append(Picture.of(f"types_{count}", caption, _figure(pool)))
    return blocks


def _figure(pool: Pool) -> Figure:
    classes, (table, probabilities) = pool.example.record["data"]["classes"], predictions_of(pool)
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
