"""Compose the report: which chapters, in which order."""

from collections.abc import Sequence

import pandas as pd

from brain_tumor.report import analysis, chapters, folds, localization, pools
from brain_tumor.report.estimates import one_data_set
from brain_tumor.report.page import Block, Heading, Table, Text
from brain_tumor.report.runs import Collection, Run
from brain_tumor.report.wording import estimate, interval, percent
from brain_tumor.results.summary import BASELINE_TITLES


def compose(found: Collection, pictures: bool = True) -> list[Block]:
    """Turn run folders' contents into a report.

    Args:
        found: what lies in the folders.
        pictures: also show slices of the data.
    """
    runs = one_data_set(found.runs)
    blocks = _state(found, runs)
    if not runs:
        return blocks
    classifiers, segmenters = (
        [run for run in runs if run.record["task"] == task] for task in ("classification", "segmentation")
    )
    if classifiers:
        blocks += _classification(classifiers, pictures)
    return blocks + localization.chapter(segmenters, classifiers, pictures) + chapters.costs(runs)


def _classification(runs: Sequence[Run], pictures: bool) -> list[Block]:
    """The chapters that stand beside the paper's numbers."""
    optimizers = _optimizer_names(runs)
    main = optimizers[0]
    pooled = pools.pool(runs)
    together = folds.results(pooled)
    blocks: list[Block] = [Heading("In short"), short(runs, together)]
    for optimizer in optimizers:
        blocks += chapters.grid(runs, optimizer)
    blocks += chapters.best(runs, optimizers) + chapters.curves(runs, optimizers) + chapters.comparisons(runs, main)
    blocks += folds.chapter(pooled, together) + chapters.optimizers(runs, optimizers) + chapters.leakage(runs, main)
    return blocks + chapters.closer(runs, pictures)


def short(runs: Sequence[Run], together: pd.DataFrame) -> Table:
    """Put the paper's best row of each model and strategy, of those that were run, in a small table for the README.

    Args:
        runs: classifiers.
        together: `folds.results` of those in folds.
    """
    main = _optimizer_names(runs)[0]
    grid = analysis.grid(runs, main)
    own = [run for run in runs if run.optimizer == main]
    titles = {run.title: run.row for run in own if run.row}
    by_row = {
        titles[line["model"]]: interval(line, "accuracy") for _, line in together.iterrows() if line["model"] in titles
    }
    ran = grid[(grid["slice n"] + grid["patient n"] > 0) | grid.index.isin(list(by_row))]
    chosen = ran.loc[ran.groupby(["model", "strategy"])["paper accuracy"].idxmax().sort_values()]
    by_title = {line["model"]: interval(line, "accuracy") for _, line in together.iterrows()}
    lines = [
        {
            "": f"{line['model']}, {line['strategy']} (experiment {number})",
            "the paper, by slice": f"{line['paper accuracy']:.0%}",
            "by slice": estimate(line, "slice"),
            "by patient": estimate(line, "patient"),
            "every patient once": by_row.get(int(str(number)), "not run"),
        }
        for number, line in chosen.iterrows()
    ]
    for name, line in analysis.baselines(runs).iterrows():
        title = BASELINE_TITLES[str(name)]
        below = {"": title, "by slice": percent(line["slice"], "–"), "by patient": percent(line["patient"], "–")}
        lines.append({**below, "every patient once": by_title.get(title, "–")})
    table = pd.DataFrame(lines).fillna("")
    return Table("short", table, table)


def _optimizer_names(runs: Sequence[Run]) -> list[str]:
    """Name the optimizers that runs of the paper's rows used, or if there are none all, the paper's first."""
    rows = [run for run in runs if run.row] or runs
    return sorted({run.optimizer for run in rows}, key=lambda name: (name != "SGD", name))


def _state(found: Collection, runs: Sequence[Run]) -> list[Block]:
    count = f"{len(runs)} finished runs" if len(runs) != 1 else "1 finished run"
    blocks: list[Block] = [
        Text(
            "Research software, not a medical device: nothing on this page may guide the care of a person.",
            warning=True,
        )
    ]
    if runs:
        data, kind = runs[0].record["data"], runs[0].dataset
        if kind != "lgg":
            blocks.append(
                Text(f"Not the paper's data ({kind}): what stands beside the paper's numbers is another task.", True)
            )
        blocks.append(
            Text(
                f"{count} on {data['slices']:,} slices of {data['patients']} patients ({kind}, content {data['key']}). "
                "Every accuracy is of the test part after the last epoch, or after the best one on a validation part "
                "where there was one. Intervals are 95 %, a bootstrap over patients of the mean over seeds: they leave "
                "out what another draw of the split would change, and what another seed would, which the lowest and "
                "the highest seed beside them show."
            )
        )
    else:
        blocks.append(Text("No finished run yet."))
    if others := len(found.runs) - len(runs):
        blocks.append(Text(f"Left out: {others} finished runs on other data.", warning=True))
    if found.failed or found.unfinished:
        lines = [{"run": path.name, "state": f"failed: {line}"} for path, line in found.failed]
        lines += [{"run": path.name, "state": "cut off, or under way"} for path in found.unfinished]
        table = pd.DataFrame(lines)
        blocks += [
            Heading("Not finished"),
            Text("The same command goes on with these. A failed run's folder holds its traceback.txt."),
            Table("not_finished", table, table),
        ]
    return blocks
