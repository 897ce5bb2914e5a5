"""The chapter on folds: how right classifiers are about patients whom they have never seen."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from brain_tumor.report.page import Block, Heading, Picture, Table, Text
from brain_tumor.report.pools import Pool
from brain_tumor.report.wording import flat, interval
from brain_tumor.results import baselines, classification
from brain_tumor.results.bootstrap import Interval
from brain_tumor.results.summary import BASELINE_TITLES

_SHOWN = {
    "accuracy": "accuracy", "sensitivity": "sensitivity", "specificity": "specificity",
    "auroc": "AUROC within folds", "average_precision": "average precision within folds",
}  # fmt: skip


def chapter(pools: Sequence[Pool], table: pd.DataFrame) -> list[Block]:
    """Show the folds of every configuration together, beside baselines on the same folds.

    Args:
        pools: of classifiers.
        table: `results` of those that are complete.
    """
    if not pools:
        return []
    blocks: list[Block] = [
        Heading("Every patient tested once"),
        Text(
            "Folds by patient: each slice is tested by a model that never saw its patient. Accuracy, sensitivity and "
            "specificity are of all slices together; the areas are computed within a fold and averaged over folds. "
            "Means over seeds. Intervals are 95 %, a bootstrap over patients within folds: what other patients would "
            "change. What another seed would change stands beside them, as the lowest and the highest seed's accuracy."
        ),
    ]
    if len(table):
        shown = pd.DataFrame(
            {
                "model": table["model"],
                **{title: [interval(line, name) for _, line in table.iterrows()] for name, title in _SHOWN.items()},
                "seeds": [_seeds(line) for _, line in table.iterrows()],
                "minutes a fold": ["" if pd.isna(value) else f"{value:.1f}" for value in table["minutes"]],
            }
        )
        blocks += [
            Table("folds", shown, table),
            Picture.of(
                "minutes",
                "What a minute buys: accuracy of all folds together against the median minutes of one, on the hardware "
                "that the table of costs names; features that an earlier run has kept cost nothing again. Lines are "
                "baselines.",
                _minutes(table),
            ),
        ]
    if unfinished := [f"{own.example.title}: {', '.join(own.missing)}" for own in pools if own.missing]:
        blocks.append(Text(f"Not run, or not finished: {'; '.join(unfinished)}."))
    return blocks


def results(pools: Sequence[Pool]) -> pd.DataFrame:
    """Score pools that are complete and, once for each way of dividing the patients, baselines.

    Columns: `model`, `experiment` (the paper's row; NaN for none), every score with `low` and `high`, `seeds`,
    `lowest seed` and `highest seed` (of the accuracy), and `minutes` (median of a fold, from start to test).
    """
    lines, drawn = [], {}
    for own in (each for each in pools if each.runs):
        tables = [own.predictions(seed) for seed in own.runs]
        accuracies = [float(classification.answers(table)["right"].mean()) for table in tables]
        spent = [run.minutes for runs in own.runs.values() for run in runs]
        spread = {
            "minutes": float(np.median(spent)),
            "seeds": len(tables),
            "lowest seed": min(accuracies),
            "highest seed": max(accuracies),
        }
        lines.append({"model": own.example.title, "experiment": own.example.row, **flat(_score(tables)), **spread})
        drawn[tuple(tables[0]["fold"])] = own
    for own in drawn.values():
        for name, table in _baselines(own).items():
            title = BASELINE_TITLES[name] + f", {len(own.folds)} folds" * (len(drawn) > 1)
            lines.append({"model": title, **flat(_score([table]))})
    columns = ["model", "experiment", *_SHOWN, "minutes", "seeds", "lowest seed", "highest seed"]
    table = pd.DataFrame(lines)
    return table.reindex(columns=[*columns, *(name for name in table if name not in columns)])


def _minutes(table: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    timed = table["minutes"].notna()
    for _, line in table[timed].iterrows():
        limits = [[line["accuracy"] - line["accuracy low"]], [line["accuracy high"] - line["accuracy"]]]
        axes.errorbar([line["minutes"]], [line["accuracy"]], limits, fmt="o", capsize=3, label=line["model"])
    for (_, line), style in zip(table[~timed].iterrows(), (":", "--", "-."), strict=False):
        axes.axhline(line["accuracy"], color="#555555", linestyle=style, linewidth=0.9, label=line["model"])
    axes.set(xlabel="minutes a fold", ylabel="accuracy, every patient tested once", xscale="log")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(ScalarFormatter())
    axes.legend(fontsize="small", loc="lower right")
    return figure


def _score(tables: Sequence[pd.DataFrame]) -> dict[str, Interval]:
    first = tables[0]
    probabilities = [torch.tensor(classification.probabilities_of(table).to_numpy(dtype=float)) for table in tables]
    labels = torch.tensor(first["label"].to_numpy())
    return classification.score_folds(probabilities, labels, list(first["case"]), list(first["fold"]))


def _baselines(own: Pool) -> dict[str, pd.DataFrame]:
    """Predict each fold's slices without their pixels, from the slices of the other folds."""
    classes = own.example.record["data"]["classes"]
    found: dict[str, list[pd.DataFrame]] = {}
    for run in own.folds:
        parts = run.parts()
        train, test = (parts[parts["part"] == part] for part in ("train", "test"))
        for name, probabilities in baselines.predict(train, test, len(classes)).items():
            table = classification.predictions(test, probabilities, classes)
            found.setdefault(name, []).append(table.assign(fold=run.record["split"]["fold"]))
    return {name: pd.concat(tables, ignore_index=True) for name, tables in found.items()}


def _seeds(line: "pd.Series[float]") -> str:
    if pd.isna(line["seeds"]):
        return ""
    return f"{line['lowest seed']:.1%} to {line['highest seed']:.1%}, n={line['seeds']:.0f}"
