"""Compare patients whose site was left out of the training with themselves in folds of patients."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brain_tumor.metrics.paired import difference
from brain_tumor.report import drawing
from brain_tumor.report.aggregates import Groups, mean
from brain_tumor.report.formatting import number, points, suffixes
from brain_tumor.report.page import Block, Heading, Line, Picture, Table, Text
from brain_tumor.report.paired import patient_scores
from brain_tumor.report.pooled import Pool, of_like_seeds, pool_folds
from brain_tumor.report.runs import Run

_ALL = "all of these"


def chapter(groups: Groups) -> list[Block]:
    """Show the sites that were left out, each patient beside the same patient in folds."""
    runs = [run for run in groups.apart if run.study == "site"]
    if not runs:
        return []
    lines = list(_lines(runs, pool_folds(groups.runs)))
    blocks: list[Block] = [
        Heading("A site left out"),
        Text(
            "All patients of a site are tested by a model that was trained on the other sites alone, and are compared "
            "with themselves in folds, where other patients of their site were in training. A patient's score is the "
            "share of slices that are right, or the Dice per volume; scores are means over patients and seeds. "
            "Intervals are from a bootstrap over patients. The numbers of patients in training differ: a large site "
            "leaves few behind, which lowers its score, too."
        ),
        Table.of(
            "sites",
            [{name: line[name] for name in line if name != "differences"} for line in lines],
            {
                "model": "{model}",
                "score": "{score}",
                "site": "{site}",
                "patients": "{patients}",
                "in training": number("trained", "{:.0f}"),
                "in training, in folds": number("trained in folds", "{:.0f}"),
                "in folds": number("in folds", "{:.1%}"),
                "left out": number("left out", "{:.1%}"),
                "difference": lambda line: points(line["difference"], line["difference low"], line["difference high"]),
            },
        ),
    ]
    if any(len(line["differences"]) for line in lines):
        caption = "By how much leaving out a patient's site changes the patient's score: patients, and means with 95 % "
        blocks.append(Picture.of("sites", caption + "intervals.", _picture(lines)))
    return blocks


def _lines(runs: Sequence[Run], pools: Sequence[Pool]) -> Iterator[Line]:
    """Yield a line for each configuration and site, and one for all of a configuration's sites together."""
    complete = {pool.example.same_but_for("seed", "fold", "split"): pool for pool in pools if pool.runs}
    configurations: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        configurations[run.same_but_for("seed", "split")][run.record["split"]["site"]].append(run)
    titles = [next(iter(sites.values()))[0].title for sites in configurations.values()]
    for (key, sites), title, more in zip(configurations.items(), titles, suffixes(titles), strict=True):
        pool = complete.get(key)
        yield from (_line(title + more, site, sites[site], pool) for site in sorted(sites))
        if len(sites) > 1:
            yield _line(title + more, _ALL, [run for members in sites.values() for run in members], pool)


def _line(title: str, site: str, runs: Sequence[Run], pool: Pool | None) -> Line:
    """Return the scores of the patients of a site, left out and in folds, and their differences.

    Values: `model`, `score` (what it is), `site`, `patients`, how many were in training (`trained`, `trained in
    folds`), the means `left out` and `in folds`, and their `difference` with limits, NaN without folds;
    `differences` has those of patients.
    """
    out = _means([run.predictions() for run in runs])
    folds = [] if pool is None else of_like_seeds([run for members in pool.runs.values() for run in members], runs)
    within = _means([run.predictions() for run in folds]).reindex(out.index).dropna()
    found = difference(within, out)
    value, low, high = (np.nan, np.nan, np.nan) if found is None else found[:3]
    return {
        "model": title,
        "score": "Dice per volume" if runs[0].record["task"] == "segmentation" else "slices right",
        "site": site,
        "patients": len(out),
        "trained": mean([run.record["split"]["train"]["patients"] for run in runs]),
        "trained in folds": mean([run.record["split"]["train"]["patients"] for run in folds]),
        "left out": float(out.mean()),
        "in folds": float(within.mean()) if len(within) else np.nan,
        **{"difference": value, "difference low": low, "difference high": high},
        "differences": (out - within).dropna(),
    }


def _means(tables: Sequence[pd.DataFrame]) -> "pd.Series[float]":
    """Return each patient's score, averaged over seeds; nobody's without tables."""
    if not tables:
        return pd.Series(dtype=float)
    return pd.concat([patient_scores(table) for table in tables]).groupby(level=0).mean()


def _picture(lines: Sequence[Line]) -> Figure:
    shown = [line for line in lines if len(line["differences"])]
    sites = list(dict.fromkeys(sorted((line["site"] for line in shown), key=lambda site: (site == _ALL, site))))
    models = list(dict.fromkeys((line["model"], line["score"]) for line in shown))
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for place, (model, style) in enumerate(zip(models, drawing.styles(), strict=False)):
        shift = (place - (len(models) - 1) / 2) * 0.8 / len(models)
        own = {line["site"]: line for line in shown if (line["model"], line["score"]) == model}
        _draw(axes, {sites.index(site) + shift: line for site, line in own.items()}, ", ".join(model), style)
    axes.axhline(0, color="#555555", linestyle=":", linewidth=0.9)
    axes.set_xticks(range(len(sites)), sites)
    axes.set(xlabel="site left out of the training", ylabel="score left out less score in folds")
    figure.legend(fontsize="small", loc="outside lower center")
    return figure


def _draw(axes: Axes, lines: Mapping[float, Line], label: str, style: dict[str, Any]) -> None:
    """Draw the patients of a model's sites, spread a little, and their means with intervals."""
    for at, line in lines.items():
        values = np.sort(line["differences"].to_numpy())
        axes.scatter(at + np.linspace(-0.06, 0.06, len(values)), values, s=9, alpha=0.45, **style)
    drawing.means(axes, list(lines), list(lines.values()), "difference", label, style, markersize=8)
