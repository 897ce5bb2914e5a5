"""The chapter on types: how right classifiers are about what kind of tumour a patient has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics.functional.classification import binary_roc

from brain_tumor.report.page import Block, Heading, Picture, Table, Text
from brain_tumor.report.runs import Run
from brain_tumor.report.wording import flat, interval
from brain_tumor.results import classification, patients, rates, summary
from brain_tumor.results import record as records
from brain_tumor.results.plots import draw_confusion
from brain_tumor.results.summary import BASELINE_TITLES

_DRAWN = 4  # configurations with curves
_NO_PIXEL = "no pixel"
_BASELINES = ("majority", "same_patient", "shape")
_SHOWN = {
    "accuracy": "accuracy a slice", "balanced_accuracy": "balanced", "macro_f1": "macro F1",
    "patient_accuracy": "accuracy a patient", "patient_balanced_accuracy": "balanced, patients",
    "patient_macro_f1": "macro F1, patients", "patient_auroc": "AUROC, patients",
}  # fmt: skip
# What others report, with their splits, as far as a source says so.
PUBLISHED = [
    ("cheng", "EfficientNet", "the authors' fold 5, by patient", "accuracy a patient", ".911"),
    ("cheng", "several, where credible", "by patient", "accuracy a patient", "around .88 to .94"),
    ("cheng", "several", "by slice", "accuracy a slice", ".95 to .99"),
    ("lgg, COCCluster", "pretrained on glioblastoma (PMC8017403)", "by patient", "AUROC of 2", ".73 (.61 to .84)"),
    ("lgg, COCCluster", "ImageNet (PMC8017403)", "by patient", "AUROC of 2", ".640"),
]  # fmt: skip


@dataclass(frozen=True)
class Group:
    """Runs that differ in their fold only, each slice tested once; or one run alone.

    Attributes:
        runs: in the order of folds.
        missing: folds that have not been run.
    """

    runs: list[Run]
    missing: list[int]

    @property
    def first(self) -> Run:
        """Its first run."""
        return self.runs[0]

    @property
    def classes(self) -> list[str]:
        """Class names."""
        return self.first.record["data"]["classes"]

    @property
    def told(self) -> str:
        """What is told apart: the data, and the target where that is a patient's."""
        target = self.first.record["data"].get("target")
        return self.first.dataset + (f", {target['name']}" if target else "")

    @property
    def regions(self) -> str:
        """What is shown of a slice, and by whose masks slices are chosen and cut."""
        used = self.first.record["data"].get("regions")
        if not used:
            return "whole slices"
        by = "true masks (an oracle)" if used["test"]["by_truth"] else "a run's masks"
        shown = "crops" if self.first.record["hyperparameters"].get("crop") else "whole slices with a tumour"
        return f"{shown}, by {by}"

    @property
    def split(self) -> str:
        """How patients were divided, and how many folds of it there are."""
        split = self.first.record["split"]
        if split["fold"] is None:
            return f"by {split['method']}"
        apart = self.first.record["config"]["data"].get("together") is False
        own = "the authors' folds" if split["method"] == "given" else "our folds" + ", names apart" * apart
        return f"{own}, {len(self.runs)} of {len(self.runs) + len(self.missing)}"

    def predictions(self) -> tuple[pd.DataFrame, Tensor]:
        """Read what its runs predicted: a row a tested slice, with its `fold` if there are several, and (n, C)."""
        tables = [run.predictions().assign(fold=run.record["split"]["fold"]) for run in self.runs]
        table = pd.concat(tables, ignore_index=True)
        probabilities = torch.tensor(classification.probabilities_of(table).to_numpy(dtype=float))
        return table if len(tables) > 1 else table.drop(columns="fold"), probabilities


def belongs(run: Run) -> bool:
    """Return whether a run stands in this chapter and not beside the paper's numbers."""
    data = run.record["data"]
    return run.dataset == "cheng" or "target" in data or "regions" in data


def chapter(runs: Sequence[Run]) -> list[Block]:
    """Show every configuration that tells types apart, its folds together.

    Args:
        runs: those that belong here.
    """
    if not runs:
        return []
    groups = group([run for run in runs if "patient_accuracy" in run.record["test"]])
    blocks: list[Block] = [
        Heading("Types of tumours"),
        Text(
            "A patient's probability is the mean over the slices. Folds are taken together: each slice is tested by a "
            "model that never saw a patient of that name; areas are computed within folds and averaged. Intervals are "
            "95 %, a bootstrap over people, within folds; names that one person may have are drawn together. By slice, "
            "a patient's other slices are in training, and have the same label: that tests memory."
        ),
    ]
    if groups:
        table = results(groups)
        shown = table[["told apart", "model", "shown", "split"]].copy()
        for name, title in _SHOWN.items():
            form = "{:.3f}" if "auroc" in name else "{:.1%}"
            shown[title] = [interval(line, name, form) for _, line in table.iterrows()]
        blocks.append(Table("types", shown, table))
        blocks += _recalls(groups, table) + _published(groups) + _contrasts(groups) + _figures(groups)
    return blocks + _localization([run for run in runs if run.record["task"] == "segmentation"])


def group(runs: Sequence[Run]) -> list[Group]:
    """Put runs together that differ in their fold only, of the lowest seed."""
    found: dict[str, dict[int, Run]] = {}
    for run in sorted(runs, key=lambda own: own.seed):
        fold = run.record["split"]["fold"]
        key = run.same_but_for("seed", "fold") if fold is not None else f"{run.same_but_for('seed')} alone"
        found.setdefault(key, {}).setdefault(-1 if fold is None else fold, run)
    return [_complete(own) for own in found.values()]


def _complete(runs: dict[int, Run]) -> Group:
    example = next(iter(runs.values())).record
    # The data's own folds are known by what none has been tested on; the published set has five.
    count = example["split"]["folds"] or (5 if example["data"]["kind"] == "cheng" else max(runs) + 1)
    missing = [] if -1 in runs else [fold for fold in range(count) if fold not in runs]
    return Group([runs[fold] for fold in sorted(runs)], missing)


def results(groups: Sequence[Group]) -> pd.DataFrame:
    """Score every group, and below those of one data set and split what sees no pixel, a mean over its folds."""
    lines, seen = [], set()
    for own in groups:
        table, probabilities = own.predictions()
        scores = patients.score(table, probabilities, own.classes)
        people, labels = patients.people(table), torch.tensor(table["label"].to_numpy())
        folds = list(table["fold"]) if "fold" in table else [0] * len(table)
        scores |= {"accuracy": classification.score_folds([probabilities], labels, people, folds)["accuracy"]}
        facts = {"told apart": own.told, "split": own.split, "patients": scores["patients"], "slices": len(table)}
        lines.append({**facts, "model": _title(own.first), "shown": own.regions, **flat(records.scores(scores))})
        if (own.told, own.split) not in seen:
            seen.add((own.told, own.split))
            lines += [{**facts, **line} for line in _baselines(own)]
    return pd.DataFrame(lines)


def _title(run: Run) -> str:
    settings = run.record["hyperparameters"]
    trained = f" {settings['trained']}" if "trained" in settings else ""
    return summary.model_title(run.record) + trained


def _baselines(own: Group) -> list[dict[str, Any]]:
    lines = []
    for name in _BASELINES:
        scores = [run.record["baselines"][name] for run in own.runs if name in run.record["baselines"]]
        if len(scores) == len(own.runs):
            means = {key: _mean([each[key]["value"] for each in scores if key in each]) for key in _SHOWN}
            lines.append({"model": BASELINE_TITLES[name], "shown": _NO_PIXEL, **means})
    return lines


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _recalls(groups: Sequence[Group], table: pd.DataFrame) -> list[Block]:
    """How many of each class are found, and left-out folds."""
    models = table[table["shown"] != _NO_PIXEL]
    lines = []
    for own, (_, line) in zip(groups, models.iterrows(), strict=True):
        cells = {
            f"{what}{name}": interval(line, f"{prefix}recall({name})")
            for what, prefix in (("slices of ", ""), ("patients with ", "patient_"))
            for name in own.classes
        }
        lines.append({"told apart": own.told, "model": line["model"], "split": own.split, **cells})
    kinds = [line for line in lines if line["told apart"] == "cheng"]
    shown = pd.DataFrame(kinds).fillna("")
    blocks: list[Block] = []
    if kinds:
        blocks += [Text("Recall of each type:"), Table("types_recall", shown, shown)]
    if lacking := [
        f"{own.told}, {_title(own.first)}: {', '.join(map(str, own.missing))}" for own in groups if own.missing
    ]:
        blocks.append(Text(f"Folds not run, or not finished: {'; '.join(lacking)}."))
    return blocks


def _published(groups: Sequence[Group]) -> list[Block]:
    kinds = {own.first.dataset for own in groups}
    rows = [row for row in PUBLISHED if row[0].partition(",")[0] in kinds]
    if not rows:
        return []
    table = pd.DataFrame(rows, columns=["data", "model", "split", "score", "published"])
    return [Text("What others report, with the split as far as it is known:"), Table("types_published", table, table)]


def _contrasts(groups: Sequence[Group]) -> list[Block]:
    """Every class of a target of patients against the rest, corrected for how many were tried."""
    lines = []
    for own in groups:
        if not own.first.record["data"].get("target") or len(own.runs) < 2 or own.missing:
            continue
        table, probabilities = own.predictions()
        scores = patients.score(table, probabilities, own.classes)
        areas, chances = patients.permutation(table, probabilities)
        labels = table.drop_duplicates("case")["label"]
        for place in [1] if len(own.classes) == 2 else range(len(own.classes)):  # of two, one is the other's reverse
            limits = scores[f"patient_auroc({own.classes[place]})"]
            facts = {"target": own.told, "class": own.classes[place], "shown": own.regions, "model": _title(own.first)}
            counts = {"patients": int((labels == place).sum()), "of": len(labels)}
            lines.append(facts | counts | {"AUROC": areas[place], **limits, "p": chances[place]})
    if not lines:
        return []
    numbers = pd.DataFrame(lines)
    numbers["p, Holm"] = patients.holm(list(numbers["p"]))
    shown = numbers.assign(
        AUROC=[f"{a:.3f} ({b:.3f} to {c:.3f})" for a, b, c in numbers[["AUROC", "low", "high"]].to_numpy()],
        p=numbers["p"].map("{:.4f}".format),
        **{"p, Holm": numbers["p, Holm"].map("{:.3f}".format)},
    ).drop(columns=["value", "low", "high"])
    covering = int((numbers["low"] <= 0.5).sum())
    return [
        Heading("Targets of patients"),
        Text(
            f"{len(numbers)} contrasts, a class against the rest; the codes are data.csv's, which has no legend. "
            f"The interval of {covering} of them covers .5, which is chance. p is one-sided, from patients' labels "
            "permuted within folds; Holm's correction is for all contrasts of this table."
        ),
        Table("types_contrasts", shown, numbers),
    ]


def _figures(groups: Sequence[Group]) -> list[Block]:
    """Confusion, ROC and reliability, by patient, of the first configurations."""
    chosen = [own for own in groups if not own.missing][:_DRAWN]
    blocks: list[Block] = []
    for number, own in enumerate(chosen, 1):
        title = f"{own.told}, {_title(own.first)}, {own.regions}, {own.split}"
        caption = (
            f"{title}: confusion by slice and by patient, ROC of each class against the rest by patient, and how often "
            "the answer is right against how sure it is. Curves put the folds' models on one scale, which the areas in "
            "the table do not."
        )
        blocks.append(Picture.of(f"types_{number}", caption, _figure(own)))
    return blocks


def _figure(own: Group) -> Figure:
    table, probabilities = own.predictions()
    grouped, labels = patients.group(table, probabilities), torch.tensor(table["label"].to_numpy())
    figure = Figure(figsize=(17, 4.4), layout="constrained")
    axes = figure.subplots(1, 4)
    for place, (title, scores, truth) in enumerate(
        (("slices", probabilities, labels), ("patients", grouped.probabilities, grouped.labels))
    ):
        draw_confusion(axes[place], rates.confusion_matrix(scores, truth), own.classes)
        axes[place].set_title(title)
    for place, name in enumerate(own.classes):
        false, true, _ = binary_roc(grouped.probabilities[:, place], (grouped.labels == place).long())
        axes[2].plot(false, true, label=name)
    axes[2].plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    axes[2].set(xlabel="1 - specificity", ylabel="sensitivity", title="a class against the rest, patients")
    axes[2].legend(fontsize="small")
    for title, scores, truth in (
        ("slices", probabilities, labels),
        ("patients", grouped.probabilities, grouped.labels),
    ):
        sure, said = scores.max(1)
        bins = pd.Series(((sure * 10).int().clamp(max=9)).numpy())
        means = pd.DataFrame({"sure": sure.numpy(), "right": (said == truth).double().numpy()}).groupby(bins).mean()
        axes[3].plot(means["sure"], means["right"], marker="o", label=title)
    axes[3].plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    axes[3].set(xlabel="how sure", ylabel="how often right", title="reliability")
    axes[3].legend(fontsize="small")
    return figure


def _localization(runs: Sequence[Run]) -> list[Block]:
    """How well segmenters mark each type."""
    lines = []
    for run in runs:
        names = [name for name in run.scores if name in {"dice", "dice_slice"} or name.startswith("dice_slice(")]
        lines.append(
            {
                "model": run.title,
                "split": summary.split_title(run.record["split"]),
                **flat({n: run.scores[n] for n in names}),
            }
        )
    if not lines:
        return []
    numbers = pd.DataFrame(lines)
    shown = numbers[["model", "split"]].copy()
    for name in numbers:
        if str(name).startswith("dice") and not str(name).endswith((" low", " high")):
            shown[name] = [interval(line, str(name), "{:.3f}") for _, line in numbers.iterrows()]
    return [
        Heading("Where is it, by type"),
        Text("Dice a tumour slice, averaged over a patient's slices and then over patients, of the test part."),
        Table("types_localization", shown, numbers),
    ]
