"""The chapter on types: how right classifiers are about what kind of tumour a patient has."""

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
from brain_tumor.report.pooled import Pool, pool, unfinished
from brain_tumor.report.runs import Run
from brain_tumor.runs import record as records
from brain_tumor.runs import summary
from brain_tumor.runs.summary import BASELINE_TITLES

_DRAWN = 4  # configurations with curves
_NO_PIXEL = "no pixel"
_BASELINES = ("majority", "same_patient", "shape")
_SHOWN = {
    "accuracy": "accuracy a slice", "balanced_accuracy": "balanced", "macro_f1": "macro F1",
    "patient_accuracy": "accuracy a patient", "patient_balanced_accuracy": "balanced, patients",
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
    """Show every configuration that tells types apart, its folds together.

    Args:
        runs: those that belong here.
    """
    if not runs:
        return []
    kinds = [run for run in runs if "patient_accuracy" in run.record["test"]]
    pools = pool(kinds)
    alone = [Pool({run.seed: [run]}, [], run) for run in kinds if run.record["split"]["fold"] is None]
    blocks: list[Block] = [
        Heading("Types of tumours"),
        Text(
            "A patient's probability is the mean over the slices. Folds are taken together: each slice is tested by a "
            "model that never saw a patient of that name; areas are computed within folds and averaged. Intervals are "
            "95 %, a bootstrap over people, within folds; names that one person may have are drawn together. By slice, "
            "a patient's other slices are in training, and have the same label: that tests memory. Of several seeds "
            "it is the lowest."
        ),
    ]
    if whole := sorted((own for own in (*pools, *alone) if own.runs), key=_place):
        lines = list(_lines(whole))
        shown = {name: f"{{{name}}}" for name in ("told apart", "split", "shown", "model")}
        table = Table.of("types", lines, {**shown, **intervals(_SHOWN), **intervals(_AREA, "{:.3f}")})
        blocks += [table, *_recalls(whole, lines), *_published(whole), *_contrasts(whole), *_figures(whole)]
    segmenters = [run for run in runs if run.record["task"] == "segmentation"]
    return blocks + unfinished(pools) + _localization(segmenters)


def _told(run: Run) -> str:
    """Say what is told apart: the data, and the target where that is a patient's."""
    target = run.record["data"].get("target")
    return _named(run.dataset, target["name"] if target else "")


def _named(dataset: str, target: str) -> str:
    return f"{dataset}, {target}" if target else dataset


def _regions(run: Run) -> str:
    """Say what is shown of a slice, and by whose masks slices are chosen and cut."""
    used = run.record["data"].get("regions")
    if not used:
        return "whole slices"
    by = "true masks (an oracle)" if used["test"]["by_truth"] else "a run's masks"
    shown = "crops" if run.record["hyperparameters"].get("crop") else "whole slices with a tumour"
    return f"{shown}, by {by}"


def _split(own: Pool) -> str:
    """Say how patients were divided."""
    split = own.example.record["split"]
    if split["fold"] is None:
        return f"by {split['method']}"
    apart = own.example.record["config"]["data"].get("together") is False
    return f"{len(own.folds)} folds" + (", the authors'" if split["method"] == "given" else ", names apart" * apart)


def _place(own: Pool) -> tuple[str, str, str, str]:
    """Sort by what is told apart, how patients were divided, what was shown, and the model."""
    return _told(own.example), _split(own), _regions(own.example), summary.model_title(own.example.record)


def _predicted(own: Pool) -> tuple[pd.DataFrame, Tensor]:
    """Return what the models of the lowest seed predicted: a row a tested slice, and probabilities (n, C)."""
    table = next(iter(own.tables.values()))
    return table, torch.tensor(classification.probabilities_of(table).to_numpy(dtype=float))


def _lines(pools: Sequence[Pool]) -> Iterator[Line]:
    """Score every pool, and below those of one data set and split what sees no pixel, a mean over its folds.

    Args:
        pools: in the order of `_place`.
    """
    for (told, split), group in groupby(pools, key=lambda own: _place(own)[:2]):
        for own in (alike := list(group)):
            table, probabilities = _predicted(own)
            scores = patients.score(table, probabilities, own.example.record["data"]["classes"])
            labels, folds = torch.tensor(table["label"].to_numpy()), list(table.get("fold", [0] * len(table)))
            right = classification.score_folds([probabilities], labels, patients.people(table), folds, None)["accuracy"]
            facts = {"told apart": told, "split": split, "patients": scores["patients"], "slices": len(table)}
            model = {"model": summary.model_title(own.example.record), "shown": _regions(own.example)}
            yield {**facts, **model, **flat(records.scores({"accuracy": right, **scores}))}
        yield from ({**facts, **line} for line in _baselines(alike[0]))


def _baselines(own: Pool) -> Iterator[Line]:
    for name in _BASELINES:
        found = [run.record["baselines"][name] for run in own.folds if name in run.record["baselines"]]
        if len(found) == len(own.folds):
            names = [key for key in found[0] if isinstance(found[0][key], dict)]
            means = {key: mean([scores[key]["value"] for scores in found if key in scores]) for key in names}
            yield {"model": BASELINE_TITLES[name], "shown": _NO_PIXEL, **means}


def _recalls(pools: Sequence[Pool], lines: Sequence[Line]) -> list[Block]:
    """Show how many slices and patients of each type are found, a table for each data set whose classes are types."""
    data = {_told(own.example): own.example.record["data"] for own in pools}
    of_types = sorted(told for told, facts in data.items() if facts["positive"] is None and "target" not in facts)
    return [block for place, told in enumerate(of_types) for block in _recalls_of(told, place, lines)]


def _recalls_of(told: str, place: int, lines: Sequence[Line]) -> list[Block]:
    models = [line for line in lines if line["told apart"] == told and line["shown"] != _NO_PIXEL]
    classes = [name[len("recall(") : -1] for name in models[0] if name.startswith("recall(") and name.endswith(")")]
    shown: dict[str, Column] = {name: f"{{{name}}}" for name in ("split", "shown", "model")}
    for what, prefix in (("slices of {}", ""), ("patients with {}", "patient_")):
        shown |= intervals({f"{prefix}recall({name})": what.format(name) for name in classes})
    name = f"types_recall_{place}" if place else "types_recall"
    return [Text(f"Recall of each type of {told}:" if place else "Recall of each type:"), Table.of(name, models, shown)]


def _published(pools: Sequence[Pool]) -> list[Block]:
    datasets = {own.example.dataset: own.example.declared for own in pools}
    rows = [
        {"data": _named(name, one.target), "model": one.model, "split": one.split, "score": score, "published": value}
        for name, declared in sorted(datasets.items())
        for one in declared.published
        if one.task == "classification"
        for score, value in one.scores.items()
    ]
    if not rows:
        return []
    table = pd.DataFrame(rows)
    return [Text("What others report, with the split as far as it is known:"), Table("types_published", table, table)]


def _contrasts(pools: Sequence[Pool]) -> list[Block]:
    """Show every class of a target of patients against the rest, corrected for how many were tried."""
    targets = [own for own in pools if own.example.record["data"].get("target") and len(own.folds) > 1]
    lines = [line for own in targets for line in _against_the_rest(own)]
    for line, corrected in zip(lines, patients.holm([line["p"] for line in lines]), strict=True):
        line["p, Holm"] = corrected
    if not lines:
        return []
    columns = {name: f"{{{name}}}" for name in ("target", "class", "shown", "model", "patients", "of")}
    covering = sum(line["AUROC low"] <= 0.5 for line in lines)
    return [
        Heading("Targets of patients"),
        Text(
            f"{len(lines)} contrasts, a class against the rest; the codes are data.csv's, which has no legend. "
            f"The interval of {covering} of them covers .5, which is chance. p is one-sided, from patients' labels "
            "permuted within folds; Holm's correction is for all contrasts of this table."
        ),
        Table.of(
            "types_contrasts",
            lines,
            {
                **columns,
                **intervals({"AUROC": "AUROC"}, "{:.3f}"),
                "p": number("p", "{:.4f}"),
                "p, Holm": number("p, Holm", "{:.3f}"),
            },
        ),
    ]


def _against_the_rest(own: Pool) -> Iterator[dict[str, Any]]:
    """Give the area of each class against the rest, by patient, and its p; of two classes one is enough."""
    classes, (table, probabilities) = own.example.record["data"]["classes"], _predicted(own)
    scores = patients.score(table, probabilities, classes)
    areas, chances = patients.permutation(table, probabilities)
    labels = table.drop_duplicates("case")["label"]
    for place in [1] if len(classes) == 2 else range(len(classes)):
        limits = scores[f"patient_auroc({classes[place]})"]
        yield {
            **{"target": _told(own.example), "class": classes[place], "shown": _regions(own.example)},
            "model": summary.model_title(own.example.record),
            **{"patients": int((labels == place).sum()), "of": len(labels)},
            **flat({"AUROC": Interval(value=areas[place], low=limits["low"], high=limits["high"])}),
            "p": chances[place],
        }


def _figures(pools: Sequence[Pool]) -> list[Block]:
    """Draw confusion, ROC and reliability of the first configurations."""
    blocks: list[Block] = []
    for count, own in enumerate(pools[:_DRAWN], 1):
        caption = (
            f"{', '.join(_place(own))}: confusion by slice and by patient, ROC of each class against the rest by "
            "patient, and how often the answer is right against how sure it is. Curves put the folds' models on one "
            "scale, which the areas in the table do not."
        )
        blocks.append(Picture.of(f"types_{count}", caption, _figure(own)))
    return blocks


def _figure(own: Pool) -> Figure:
    classes, (table, probabilities) = own.example.record["data"]["classes"], _predicted(own)
    grouped = patients.group(table, probabilities)
    figure = Figure(figsize=(17, 4.9), layout="constrained")
    slices, people, curves, sure = figure.subplots(1, 4)
    labels = torch.tensor(table["label"].to_numpy())
    drawing.diagonal(sure, 1 / len(classes))
    for axes, title, scores, truth in (
        (slices, "slices", probabilities, labels),
        (people, "patients", grouped.probabilities, grouped.labels),
    ):
        draw_confusion(axes, binary.confusion_matrix(scores, truth), classes)
        axes.set_title(title)
        confidence, said = scores.max(1)
        drawing.reliability(sure, confidence.numpy(), (said == truth).numpy(), width=0.1, label=title)
    drawing.diagonal(curves)
    for place, name in enumerate(classes):
        drawing.roc(curves, grouped.probabilities[:, place], grouped.labels == place, name)
    curves.set_title("a class against the rest, patients")
    for axes in (curves, sure):
        axes.legend(fontsize="small")
    return figure


def _localization(runs: Sequence[Run]) -> list[Block]:
    """Show how well segmenters mark each type."""
    lines: list[Line] = [
        {"model": run.title, "split": summary.split_title(run.record["split"]), **flat(run.scores)} for run in runs
    ]
    if not lines:
        return []
    names = dict.fromkeys(name for run in runs for name in run.scores if name.startswith("dice_slice("))
    titles = {"dice": "Dice", "dice_slice": "a tumour slice", **{name: name[len("dice_slice(") : -1] for name in names}}
    return [
        Heading("Where is it, by type"),
        Text("Dice a tumour slice, averaged over a patient's slices and then over patients, of the test part."),
        Table.of("types_localization", lines, {"model": "{model}", "split": "{split}", **intervals(titles, "{:.3f}")}),
    ]
