"""The chapter on localization: where the tumours are, beside what sees no pixel and what others have published."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from brain_tumor.report.page import Block, Heading, Picture, Table, Text
from brain_tumor.report.pools import Pool, pool
from brain_tumor.report.runs import Run
from brain_tumor.report.wording import flat, interval
from brain_tumor.results import localization
from brain_tumor.results.summary import BASELINE_TITLES, split_title

# Dice a volume on the same data: Buda, Saha, Mazurowski 2019 over all 110 patients, and human readers on LGG.
PUBLISHED = (
    {"model": "Buda et al. 2019, U-Net", "split": "folds by patient, all 110", "dice": 0.82, "dice_median": 0.85},
    {"model": "human readers, 84 ± 2 % (Buda et al. 2019)", "split": "", "dice": 0.84},
)
_SHOWN = {
    "dice": "Dice a volume", "dice_median": "its median", "dice_minimum": "its minimum",
    "largest_dice": "largest component kept", "dice_slice": "Dice a tumour slice",
    "surface_dice": "surface Dice, 2 pixels", "empty_clean": "empty slices clean", "dice_legacy": "legacy",
}  # fmt: skip
_SIZES = {"dice_small": "smallest third", "dice_medium": "middle third", "dice_large": "largest third"}


def chapter(segmenters: Sequence[Run], classifiers: Sequence[Run], pictures: bool) -> list[Block]:
    """Masks with their baselines, tumour size against Dice, two stages, and where classifiers look."""
    blocks = _masks(segmenters, pictures) if segmenters else []
    return blocks + _stages(segmenters) + _explanations(classifiers, pictures)


def results(runs: Sequence[Run]) -> pd.DataFrame:
    """Score runs, those of all folds together, with the baselines of their splits and what is published.

    Columns: `model`, `split`, `patients`, and every score with `low` and `high`.
    """
    pools = [own for own in pool(runs) if own.runs]
    pooled = {run.record["id"] for own in pools for seed in own.runs.values() for run in seed}
    lines = [line for own in pools for line in _pooled(own)]
    lines += [line for run in runs if run.record["id"] not in pooled for line in _single(run)]
    table = pd.DataFrame([*lines, *(PUBLISHED if runs[0].dataset == "lgg" else ())])
    # Runs on one split share their baselines.
    table = table.drop_duplicates(["model", "split", "dice", "dice_pooled", "dice_legacy"], ignore_index=True)
    return table.reindex(columns=list(dict.fromkeys(["model", "split", "patients", *_SHOWN, *_SIZES, *table.columns])))


def _masks(runs: Sequence[Run], pictures: bool) -> list[Block]:
    table = results(runs)
    every = [line for _, line in table.iterrows()]
    shown = pd.DataFrame(
        {
            "model": table["model"],
            "split": table["split"],
            **{title: [interval(line, name) for line in every] for name, title in {**_SHOWN, **_SIZES}.items()},
            "HD95, median": [interval(line, "hd95_median", "{:.1f}") for line in every],
        }
    )
    blocks: list[Block] = [
        Heading("Where is it?"),
        Text(
            "Dice a volume is 2 TP / (2 TP + FP + FN) over all slices of a patient, at the files' own size; a missed "
            "tumour is 0. Everything but legacy is a mean over patients, with a bootstrap over them, within folds if "
            "there are any. The thirds are of the data set's tumour slices by area. Legacy is the mean over all "
            "slices with two empty masks as 1: read it beside the empty masks' own. Maskers that see no pixel stand "
            "below each result; one who copies the nearest slice's mask can only do so where patients stand on both "
            "sides of a split. Published figures are the authors' own, on the same data."
        ),
        Table("localization", shown, table),
    ]
    if whole := [own for own in pool(runs) if own.runs]:
        caption = "Dice a volume against the tumour's area, a point a patient of all folds."
        blocks.append(Picture.of("dice_area", caption, _dice_against_area(whole)))
    for run in runs if pictures else []:
        if (run.folder / "overlays.png").exists():
            title = f"{run.title}, {split_title(run.record['split'])}"
            caption = f"{title}: best to worst patient, truth in yellow and prediction in cyan."
            blocks.append(Picture(f"overlays_{run.record['id']}", caption, (run.folder / "overlays.png").read_bytes()))
    return blocks


def _pooled(own: Pool) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for seed, runs in own.runs.items():
        table = own.predictions(seed)
        # All folds together are the whole data set, whose thirds these are.
        scores = localization.score(table, localization.terciles(table["area"].to_numpy()), list(table["fold"]))
        weights = [table[table["fold"] == run.record["split"]["fold"]] for run in runs]
        title = f"{own.example.title}, seed {seed}"
        line = {"model": title, "split": f"{len(runs)} folds by patient", "patients": table["case"].nunique()}
        largest = {"largest_dice": _mean([run.record["test"]["largest_dice"]["value"] for run in runs], weights)}
        lines.append(line | flat(scores) | largest)
    for name in runs[0].record["baselines"]:
        scored = [run.record["baselines"][name] for run in runs]
        means = {score: _mean([fold[score]["value"] for fold in scored], weights) for score in scored[0]}
        lines.append({"model": BASELINE_TITLES[name], "split": f"{len(runs)} folds by patient"} | means)
    return lines


def _mean(values: Sequence[float | None], folds: Sequence[pd.DataFrame]) -> float:
    """Average over folds, each by its patients with a tumour."""
    patients = [fold[fold["area"] > 0]["case"].nunique() for fold in folds]
    known = [(value, count) for value, count in zip(values, patients, strict=True) if value is not None]
    total = sum(count for _, count in known)
    return sum(value * count for value, count in known) / total if total else np.nan


def _single(run: Run) -> list[dict[str, Any]]:
    title, count = split_title(run.record["split"]), run.record["split"]["test"]["patients"]
    line = {"model": f"{run.title}, seed {run.seed}", "split": title, "patients": count}
    return [
        line | flat(run.scores),
        *(
            {"model": BASELINE_TITLES[name], "split": title} | flat(scores)
            for name, scores in run.record["baselines"].items()
        ),
    ]


def _dice_against_area(pools: Sequence[Pool]) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for own, seed in ((each, seed) for each in pools for seed in each.runs):
        table = own.predictions(seed)
        patients = localization.patients(table, localization.terciles(table["area"].to_numpy()))
        axes.scatter(patients["area"], patients["dice"], s=14, alpha=0.7, label=f"{own.example.title}, seed {seed}")
    axes.set(xscale="log", xlabel="the tumour's pixels over all slices", ylabel="Dice a volume", ylim=(-0.02, 1.02))
    axes.legend(fontsize="small", loc="lower right")
    return figure


def _stages(segmenters: Sequence[Run]) -> list[Block]:
    lines = []
    for run in segmenters:
        for folder, found in run.evaluations("stages")[:1]:
            detector = found["detector"]
            for name, title in (("alone", "alone"), ("gated", "gated"), ("gated_by_truth", "gated by the truth")):
                line = {"model": run.title, "detector": detector, "masks": title, **flat(found[name])}
                counts = {key: found[key] for key in ("tumour_slices", "tumour_slices_lost")}
                counts |= {key: found[key] for key in ("false_alarms", "false_alarms_cleaned")}
                lines.append({"evaluation": str(folder), **line, **(counts if name == "gated" else {})})
    if not lines:
        return []
    table = pd.DataFrame(lines)
    every = [line for _, line in table.iterrows()]
    names = {"dice": "Dice a volume", "dice_median": "its median", "empty_clean": "empty slices clean"}
    shown = pd.DataFrame(
        {
            "model": table["model"],
            "masks": table["masks"],
            **{title: [interval(line, name) for line in every] for name, title in names.items()},
            "tumour slices lost": [_of(line, "tumour_slices_lost", "tumour_slices") for line in every],
            "false alarms cleaned": [_of(line, "false_alarms_cleaned", "false_alarms") for line in every],
        }
    )
    return [
        Heading("Two stages"),
        Text(
            "A detector empties the masks of slices that it calls healthy (`evaluate detector=...`). Gated by the "
            "truth is what a perfect detector would reach."
        ),
        Table("stages", shown, table),
    ]


def _of(line: "pd.Series[Any]", part: str, whole: str) -> str:
    return "" if pd.isna(line[part]) else f"{line[part]:.0f} of {line[whole]:.0f}"


def _explanations(classifiers: Sequence[Run], pictures: bool) -> list[Block]:
    lines, drawn = [], []
    for run in classifiers:
        for folder, found in run.evaluations("explanation")[:1]:
            title = f"{run.title}, {split_title(run.record['split'])}, seed {run.seed}"
            for name, scores in {**found["scores"], **found["baselines"]}.items():
                kind = name if name in found["scores"] else f"baseline: {name.replace('_', ' ')}"
                line = {"model": title, "slices": kind, "n": found["slices"].get(name, found["slices"]["all"])}
                lines.append({**line, **flat(scores)})
            picture = folder / f"{found['method']}.png"
            if pictures and picture.exists():
                caption = f"{title}: where it looks on slices with a tumour (outlined)."
                drawn.append(Picture(f"{found['method']}_{run.record['id']}", caption, picture.read_bytes()))
    if not lines:
        return []
    table = pd.DataFrame(lines)
    names = {
        "pointing": "points at it", "energy": "energy inside", "share": "mask's share of the picture", "iou": "IoU",
    }  # fmt: skip
    every = [line for _, line in table.iterrows()]
    shown = pd.DataFrame(
        {
            "model": table["model"],
            "tumour slices": [f"{line['slices']}, n={line['n']}" for line in every],
            **{title: [interval(line, name) for line in every] for name, title in names.items()},
        }
    )
    return [
        Heading("Where classifiers look"),
        Text(
            "Grad-CAM at the backbone's last block (`evaluate explain=gradcam`), on slices with a tumour. It points at "
            "the tumour where the map's maximum lies in the mask; energy is the share of the map inside the mask, to "
            "be read beside the mask's share of the picture, which an even map would have; the IoU's threshold comes "
            "from slices that are not tested. The baselines see no pixel."
        ),
        Table("explanations", shown, table),
        *drawn,
    ]
