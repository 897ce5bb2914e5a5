"""Score masks, beside image-free baselines and published results."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from brain_tumor.metrics import segmentation
from brain_tumor.report.aggregates import Groups
from brain_tumor.report.formatting import flat, interval, intervals
from brain_tumor.report.page import Block, Heading, Line, Picture, Table, Text
from brain_tumor.report.pooled import Pool, pool_folds
from brain_tumor.report.runs import Run
from brain_tumor.runs.summary import BASELINE_TITLES, split_title

_SHOWN = {
    "dice": "Dice per volume", "dice_median": "its median", "dice_minimum": "its minimum",
    "largest_dice": "largest component kept", "dice_slice": "Dice per tumour slice",
    "surface_dice": "surface Dice, 2 pixels", "empty_clean": "empty slices clean", "dice_legacy": "legacy",
    "dice_small": "smallest third", "dice_medium": "middle third", "dice_large": "largest third",
    "lesions_hit": "lesions hit",
}  # fmt: skip

_OF_FOLDS = ("largest_dice", "lesions_hit", "false_components")  # which a fold's record has, but not its predictions


def chapter(groups: Groups) -> list[Block]:
    """Show the scores of masks, Dice against the tumour's size, and pictures of masks."""
    if not groups.segmenters:
        return []
    pools = [pool for pool in pool_folds(groups.segmenters) if pool.runs]
    lines: list[Any] = numbers(groups.segmenters, pools).to_dict("records")
    columns = {"model": "{model}", "split": "{split}", **intervals(_SHOWN)}
    blocks: list[Block] = [
        Heading("Localization"),
        Text(
            "Dice per volume is 2 TP / (2 TP + FP + FN) over all slices of a patient, at the files' original size; a "
            "missed tumour scores 0. All columns but legacy are means over patients, with intervals from a bootstrap "
            "over patients, within folds if there are any. The thirds are those of the data set's tumour slices by "
            "area. Legacy is the mean over all slices, where two empty masks count as 1: compare it with the legacy "
            "score of empty masks. Below each result are image-free baselines; copying the nearest slice's mask is "
            "possible only where patients are on both sides of a split. Published figures are the authors', on the "
            "same data."
        ),
        Table.of(
            "localization",
            lines,
            {
                **columns,
                "false components per patient": partial(interval, name="false_components", form="{:.2f}"),
                "HD95, median": partial(interval, name="hd95_median", form="{:.1f}"),
            },
        ),
    ]
    blocks += _regions(groups.segmenters, pools)
    if pools:
        caption = "Dice per volume against the tumour's area, one point per patient of all folds."
        blocks.append(Picture.of("dice_area", caption, _dice_against_area(pools)))
    for run in groups.segmenters:
        caption = f"{run.title}, {split_title(run.record['split'])}: best to worst patient, "
        caption += "truth in yellow and prediction in cyan."
        blocks += Picture.of_data(f"overlays_{run.record['id']}", caption, run.folder / "overlays.png")
    return blocks


def _regions(runs: Sequence[Run], pools: Sequence[Pool]) -> list[Block]:
    """Show the scores of each region of runs that have several; [] without such runs."""
    lines = by_region(runs, pools)
    if not lines:
        return []
    scores = intervals({"dice": "Dice per volume", "dice_brats": "Dice as BraTS counts"})
    return [
        Text(
            "By region: Dice per volume is the mean over the patients who have the region. As BraTS counts, a patient "
            "without it has 1 if nothing is predicted, and else 0. All other tables are of all regions together."
        ),
        Table.of(
            "regions",
            lines,
            {
                **{"model": "{model}", "split": "{split}", "region": "{region}"},
                "patients, with it": "{patients}, {patients_with_it}",
                **scores,
            },
        ),
    ]


def by_region(runs: Sequence[Run], pools: Sequence[Pool]) -> list[Line]:
    """Return the scores of each region, of all folds together or of single runs; none of runs with a single region.

    A line has `model`, `split`, `region`, `patients`, `patients_with_it`, and the scores of
    `segmentation.score_region` with `low` and `high`.
    """
    lines: list[Line] = []
    pooled = {run.record["id"] for pool in pools for seed in pool.runs.values() for run in seed}
    for pool in pools:
        for seed, table in pool.tables.items():
            title = {"model": f"{pool.example.title}, seed {seed}", "split": f"{len(pool.folds)} folds by patient"}
            lines += [title | line for line in _scored(pool.example, table, list(table["fold"]))]
    for run in runs:
        if run.record["id"] not in pooled:
            title = {"model": f"{run.title}, seed {run.seed}", "split": split_title(run.record["split"])}
            lines += [title | line for line in _scored(run, run.predictions(), None)]
    return lines


def _scored(run: Run, table: pd.DataFrame, strata: list[Any] | None) -> list[dict[str, Any]]:
    """Return a line for each region of a table of predictions; [] if it has a single one."""
    names = list((run.record["data"].get("mask_labels") or {}).get("regions", ()))
    cases = table["case"] if (table["case"] != "").all() else table["path"]
    lines = []
    for name in names if len(names) > 1 else ():
        counts = pd.DataFrame({count: table[f"{count}({name})"] for count in ("tp", "fp", "fn")}).assign(case=cases)
        there = counts[counts["tp"] + counts["fn"] > 0]["case"].nunique()
        known = {"region": name, "patients": cases.nunique(), "patients_with_it": there}
        lines.append(known | flat(segmentation.score_region(counts, strata)))
    return lines


def numbers(runs: Sequence[Run], pools: Sequence[Pool]) -> pd.DataFrame:
    """Return the scores of runs and of all folds together, the baselines of their splits, and published scores.

    Columns: `model`, `split`, `patients`, and every score with `low` and `high`.
    """
    pooled = {run.record["id"] for pool in pools for seed in pool.runs.values() for run in seed}
    lines = [line for pool in pools for line in _pooled(pool)]
    lines += [line for run in runs if run.record["id"] not in pooled for line in _single(run)]
    published = [one for one in runs[0].declared.published if one.task == "segmentation"]
    lines += [{"model": one.model, "split": one.split, **one.scores} for one in published]
    table = pd.DataFrame(lines)
    # Runs on one split share their baselines.
    table = table.drop_duplicates(["model", "split", "dice", "dice_pooled", "dice_legacy"], ignore_index=True)
    return table.reindex(columns=list(dict.fromkeys(["model", "split", "patients", *_SHOWN, *table.columns])))


def _pooled(pool: Pool) -> list[dict[str, Any]]:
    split, lines = f"{len(pool.folds)} folds by patient", []
    for seed, table in pool.tables.items():
        # All folds together are the whole data set, whose thirds these are.
        scores = segmentation.score(table, segmentation.terciles(table["area"].to_numpy()), list(table["fold"]))
        averaged = _over_folds(table, {run.record["split"]["fold"]: run.record["test"] for run in pool.runs[seed]})
        line = {"model": f"{pool.example.title}, seed {seed}", "split": split, "patients": table["case"].nunique()}
        lines.append(line | flat(scores) | {name: averaged[name] for name in _OF_FOLDS if name in averaged})
    for name in pool.folds[0].record["baselines"]:
        scored = {run.record["split"]["fold"]: run.record["baselines"][name] for run in pool.runs[seed]}
        lines.append({"model": BASELINE_TITLES[name], "split": split, **_over_folds(table, scored)})
    return lines


def _over_folds(table: pd.DataFrame, folds: dict[Any, dict[str, Any]]) -> dict[str, float]:
    """Average the scores of folds, weighted by their numbers of patients with a tumour."""
    patients = table[table["area"] > 0].groupby("fold")["case"].nunique()
    means = {}
    for name in (name for name, value in next(iter(folds.values())).items() if isinstance(value, dict)):
        known = {fold: scores[name]["value"] for fold, scores in folds.items() if scores[name]["value"] is not None}
        total = sum(patients.get(fold, 0) for fold in known)
        means[name] = sum(value * patients.get(fold, 0) for fold, value in known.items()) / total if total else np.nan
    return means


def _single(run: Run) -> list[dict[str, Any]]:
    split, count = split_title(run.record["split"]), run.record["split"]["test"]["patients"]
    line = {"model": f"{run.title}, seed {run.seed}", "split": split, "patients": count, **flat(run.scores)}
    baselines = run.record["baselines"].items()
    return [line, *({"model": BASELINE_TITLES[name], "split": split, **flat(scores)} for name, scores in baselines)]


def _dice_against_area(pools: Sequence[Pool]) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    tables = {f"{pool.example.title}, seed {seed}": table for pool in pools for seed, table in pool.tables.items()}
    for title, table in tables.items():
        patients = segmentation.patients(table, segmentation.terciles(table["area"].to_numpy()))
        axes.scatter(patients["area"], patients["dice"], s=14, alpha=0.7, label=title)
    axes.set(xscale="log", xlabel="the tumour's pixels over all slices", ylabel="Dice per volume", ylim=(-0.02, 1.02))
    figure.legend(fontsize="small", loc="outside upper center")  # over no point
    return figure
