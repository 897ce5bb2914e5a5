"""Show how many patients a training needs: scores against their number, and what draws and seeds change."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from brain_tumor.metrics import crossed
from brain_tumor.report import drawing
from brain_tumor.report.aggregates import Groups, mean, over_seeds
from brain_tumor.report.formatting import interval, number, suffixes
from brain_tumor.report.page import Block, Heading, Line, Picture, Table, Text
from brain_tumor.report.paired import patient_scores
from brain_tumor.report.runs import Run


class Training(NamedTuple):
    """What tells trainings of one configuration apart: how many patients, by which draw, and the seed.

    Attributes:
        patients: None for all of them.
        draw: the seed of the draw.
        seed: of the training.
    """

    patients: int | None
    draw: int
    seed: int


def chapter(groups: Groups) -> list[Block]:
    """Show the score for each number of training patients, over draws of patients and seeds."""
    lines = list(_lines(groups))
    if not lines:
        return []
    return [
        Heading("How many patients"),
        Text(
            "Trained on patients who were drawn from the training part, and tested on the same patients every time. "
            "Draws of one number are nested: more patients are the same and others. A patient's score is the share of "
            "slices that are right, or the Dice per volume; scores are means over patients, draws and seeds. Intervals "
            "are from a bootstrap over the tested patients. Draws and seeds are crossed where there are two of each, "
            "and an analysis of variance tells their standard deviations; with so few of them these are rough. All "
            "trainings have equally many epochs, so that fewer patients also mean fewer steps."
        ),
        Table.of(
            "learning",
            [{name: line[name] for name in line if name != "values"} for line in lines],
            {
                "model": "{model}",
                "score": "{score}",
                "patients": "{patients:.0f}",
                "tested": "{tested}",
                "draws": "{draws}",
                "seeds": "{seeds}",
                "mean": lambda line: interval(line, "mean"),
                "lowest": "{lowest:.1%}",
                "highest": "{highest:.1%}",
                "sd of draws": number("draws sd", "{:.1%}"),
                "sd of seeds": number("seeds sd", "{:.1%}"),
                "sd of the rest": number("rest sd", "{:.1%}"),
            },
        ),
        Picture.of(
            "learning",
            "Scores against the number of patients in training: every training, and means with 95 % intervals.",
            _picture(lines),
        ),
    ]


def _lines(groups: Groups) -> Iterator[Line]:
    """Yield a line for each configuration and number of patients."""
    configurations: dict[str, dict[Training, dict[int | None, Run]]] = defaultdict(lambda: defaultdict(dict))
    studied = {run.same_but_for("seed", "fold", "draw") for run in groups.apart if run.study == "patients"}
    for run in (*groups.apart, *groups.runs):
        key = run.same_but_for("seed", "fold", "draw") if run.study in {"patients", ""} else ""
        if key in studied:
            split = run.record["split"]
            training = Training(split.get("train_patients"), split.get("draw_seed", 0), run.seed)
            configurations[key][training][split["fold"]] = run
    titles = [next(iter(next(iter(trainings.values())).values())).title for trainings in configurations.values()]
    for trainings, title, more in zip(configurations.values(), titles, suffixes(titles), strict=True):
        yield from ({**line, "model": title + more} for line in _of_configuration(trainings))


def _of_configuration(trainings: Mapping[Training, Mapping[int | None, Run]]) -> Iterator[Line]:
    """Yield the lines of a configuration, the fewest patients first, over the folds that all numbers have."""
    drawn = [by_fold for training, by_fold in trainings.items() if training.patients is not None]
    folds = set.intersection(*map(set, drawn))
    by_number: dict[int | None, dict[Training, list[Run]]] = defaultdict(dict)
    for training, by_fold in trainings.items():
        if folds and folds <= by_fold.keys():
            by_number[training.patients][training] = [by_fold[fold] for fold in folds]
    for patients in sorted(by_number, key=lambda number: (number is None, number)):
        yield _line(by_number[patients])


def _line(trainings: Mapping[Training, Sequence[Run]]) -> Line:
    """Return the score of trainings with one number of patients, by draw and seed."""
    scores = {
        training: pd.concat([patient_scores(run.predictions()) for run in runs]) for training, runs in trainings.items()
    }
    values = {training: float(table.mean()) for training, table in scores.items()}
    averaged = pd.concat(scores.values()).groupby(level=0).mean()
    table = averaged.rename("value").rename_axis("case").reset_index().assign(path="")
    found = over_seeds([float(averaged.mean())], [table])
    draws, seeds = (sorted({getattr(training, name) for training in values}) for name in ("draw", "seed"))
    by_both = pd.DataFrame(
        [[values.get(Training(next(iter(values)).patients, draw, seed), np.nan) for seed in seeds] for draw in draws]
    )
    spread = crossed.spread(by_both) if by_both.notna().all(axis=None) else crossed.Spread(*[np.nan] * 3)
    runs = [run for members in trainings.values() for run in members]
    return {
        "model": runs[0].title,
        "score": "Dice per volume" if runs[0].record["task"] == "segmentation" else "slices right",
        "patients": mean([run.record["split"]["train"]["patients"] for run in runs]),
        "tested": len(averaged),
        "draws": len(draws),
        "seeds": len(seeds),
        **{"mean": float(np.mean(list(values.values()))), "mean low": found.low, "mean high": found.high},
        "lowest": min(values.values()),
        "highest": max(values.values()),
        **{f"{name} sd": value for name, value in zip(("draws", "seeds", "rest"), spread, strict=True)},
        "values": values,
    }


def _picture(lines: Sequence[Line]) -> Figure:
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    axes = figure.add_subplot()
    models = list(dict.fromkeys((line["model"], line["score"]) for line in lines))
    for model, style in zip(models, drawing.styles(), strict=False):
        own = [line for line in lines if (line["model"], line["score"]) == model]
        drawing.means(axes, [line["patients"] for line in own], own, "mean", ", ".join(model), style, linestyle="-")
        for line in own:
            # Beside the mean, the draws in order, so that equal values do not hide each other.
            places = line["patients"] * (1.04 + 0.02 * np.array([training.draw for training in line["values"]]))
            axes.scatter(places, list(line["values"].values()), s=12, alpha=0.6, **style)
    ticks = sorted({round(line["patients"]) for line in lines})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="patients in training (small points: one draw and seed each)", ylabel="score, mean over patients")
    figure.legend(fontsize="small", loc="outside lower center")
    return figure
