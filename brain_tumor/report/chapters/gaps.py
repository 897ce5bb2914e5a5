"""Show how much is leaked by slices near the tested ones: dose and response."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from brain_tumor.metrics import baselines
from brain_tumor.report import drawing, paired
from brain_tumor.report.aggregates import Groups, mean, over_seeds
from brain_tumor.report.formatting import interval, number, points, suffixes
from brain_tumor.report.page import Block, Heading, Line, Picture, Table, Text
from brain_tumor.report.pooled import of_like_seeds, pool_folds
from brain_tumor.report.runs import Run

WHOLE = "patient"  # the dose without any slice of a tested patient
Dose = int | str


def chapter(groups: Groups) -> list[Block]:
    """Show scores on the same slices, with more and more of their neighbours left out of the training."""
    lines = list(_lines(groups))
    if not lines:
        return []
    return [
        Heading("Leakage, dose and response"),
        Text(
            "The tested slices are the same in all lines of a model; what differs is how many of their patients' other "
            "slices are in training. A gap of 2 leaves out those up to two slices away, and the last line all of them. "
            "Accuracy is a mean over slices; Dice is a mean over a patient's slices with a tumour, and then over "
            "patients. Intervals are from a bootstrap over patients. A wider gap also leaves fewer slices to train on: "
            "their number stands beside it. To copy the label of the nearest training slice of the same patient looks "
            "at no pixel."
        ),
        Table.of(
            "gaps",
            lines,
            {
                "model": "{model}",
                "split": "{split}",
                "gap": "{gap}",
                "slices in training": "{trained:,.0f}",
                "tested slices": "{slices:,}",
                "score": "{what}",
                "value": lambda line: interval(line, "score"),
                "above the widest gap": _above,
                "copying the nearest slice": number("copying", "{:.1%}"),
            },
        ),
        Picture.of("gaps", "Scores on the same slices against the gap, with 95 % intervals.", _picture(lines)),
    ]


def _above(line: Line) -> str:
    value, low, high = (line[f"above{limit}"] for limit in ("", " low", " high"))
    return "" if math.isnan(value) else points(value, low, high)


def _lines(groups: Groups) -> Iterator[Line]:
    """Yield the lines of each configuration, from no gap to the widest."""
    by_key: dict[str, dict[Dose, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in groups.apart:
        if run.study == "gap":
            by_key[run.same_but_for("seed", "fold", "gap")][run.record["split"]["gap"]].append(run)
    pools = {pool.example.same_but_for("seed", "fold", "split"): pool for pool in pool_folds(groups.runs) if pool.runs}
    by_slice = defaultdict(list)
    for run in groups.runs:
        if run.split == "slice":
            by_slice[run.same_but_for("seed", "fold", "gap")].append(run)
    examples = [next(iter(doses.values()))[0] for doses in by_key.values()]
    more = suffixes([(example.title, example.split) for example in examples])
    for (key, doses), example, suffix in zip(by_key.items(), examples, more, strict=True):
        # Runs without a gap are the two ends: by slice the narrow one, in folds the wide one.
        gapped = [run for runs in doses.values() for run in runs]
        if key in by_slice and 0 not in doses:
            doses[0] = of_like_seeds(by_slice[key], gapped)
        pool = pools.get(example.same_but_for("seed", "fold", "split"))
        if pool is not None and WHOLE not in doses:
            doses[WHOLE] = of_like_seeds([run for runs in pool.runs.values() for run in runs], gapped)
        ordered = sorted(doses, key=lambda dose: math.inf if dose == WHOLE else float(dose))
        yield from _of_configuration({dose: doses[dose] for dose in ordered}, example, suffix)


def _of_configuration(doses: dict[Dose, list[Run]], example: Run, suffix: str) -> Iterator[Line]:
    values = {dose: paired.values([run.predictions() for run in runs]) for dose, runs in doses.items()}
    shared = sorted(set.intersection(*(set(table.index) for table in values.values())))
    of_masks = example.record["task"] == "segmentation"
    split = example.record["split"]
    widest = values[list(values)[-1]].loc[shared] if len(values) > 1 else None
    for dose, runs in doses.items():
        table = values[dose].loc[shared].reset_index()
        units = table.groupby("case", as_index=False)["value"].mean().assign(path="") if of_masks else table
        found = over_seeds([float(units["value"].mean())], [units])
        above = None if widest is None else paired.difference(values[dose].loc[shared], widest, of_masks)
        last = widest is not None and dose == list(doses)[-1]
        yield {
            "model": example.title + suffix,
            "split": "by slice" if split["fold"] is None else f"slices of folds of {split['folds']}",
            "gap": "all of the patient" if dose == WHOLE else str(dose),
            "trained": mean([run.record["split"]["train"]["slices"] for run in runs]),
            "slices": len(shared),
            "what": "Dice per tumour slice" if of_masks else "accuracy",
            **{"score": found.value, "score low": found.low, "score high": found.high},
            **_limits("above", None if above is None or last else above[:3]),
            "copying": np.nan if of_masks else _copying(runs, shared),
        }


def _limits(name: str, found: "tuple[float, float, float] | None") -> dict[str, float]:
    value, low, high = found or (np.nan, np.nan, np.nan)
    return {name: value, f"{name} low": low, f"{name} high": high}


def _copying(runs: Sequence[Run], paths: Sequence[str]) -> float:
    """Return how often the nearest training slice of a tested slice's patient has its label; NaN where none has one."""
    right = []
    for run in {run.record["split"]["fold"]: run for run in runs}.values():
        parts, classes = run.parts(), run.record["data"]["classes"]
        train = parts[parts["part"] == "train"]
        test = parts[(parts["part"] == "test") & parts["path"].isin(paths)]
        copied = baselines.predict(train, test, len(classes)).get("nearest_slice")
        if copied is not None:
            right.append(copied.argmax(1) == test["label"].to_numpy())
    return float(np.concatenate(right).mean()) if right else np.nan


def _picture(lines: Sequence[Line]) -> Figure:
    gaps = sorted({line["gap"] for line in lines}, key=lambda gap: int(gap) if gap.isdigit() else math.inf)
    models = list(dict.fromkeys((line["model"], line["split"], line["what"]) for line in lines))
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for place, (model, style) in enumerate(zip(models, drawing.styles(), strict=False)):
        own = [line for line in lines if (line["model"], line["split"], line["what"]) == model]
        at = np.array([gaps.index(line["gap"]) for line in own]) + (place - (len(models) - 1) / 2) * 0.06
        drawing.means(axes, at, own, "score", ", ".join(model), style, linestyle="-")
        axes.plot(at, [line["copying"] for line in own], color=style["color"], linestyle=":", linewidth=1)
    axes.plot([], [], color="#555555", linestyle=":", linewidth=1, label="copying the nearest training slice")
    axes.set_xticks(range(len(gaps)), gaps)
    axes.set(xlabel="left out of training: slices of the patient within so many of a tested one", ylabel="score")
    figure.legend(fontsize="small", loc="outside lower center")
    return figure
