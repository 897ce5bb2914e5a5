"""Compose the report: choose the chapters and their order."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from brain_tumor.report.aggregates import Groups, one_data_set
from brain_tumor.report.chapters import (
    comparisons,
    cost,
    curves,
    diagnostics,
    errors,
    expectations,
    explanations,
    folds,
    gaps,
    leakage,
    learning,
    localization,
    optimizers,
    random_labels,
    searches,
    short,
    sites,
    steps,
    table1,
    table2,
    two_stage,
    two_stage_folds,
    types,
)
from brain_tumor.report.page import Block, Heading, Picture, Table, Text
from brain_tumor.report.patients_table import NOTHING, Known
from brain_tumor.report.runs import Collection, Run

# Chapters beside the paper's numbers: they need a run of one of its rows on a split of `SPLITS`.
_PAPER = (short, table1, table2, curves, comparisons, optimizers, leakage, diagnostics)
_OTHERS = (folds, expectations, errors, localization, two_stage, explanations, cost)
_STUDIES = (sites, gaps, learning)  # of runs that leave out more of the training part


def compose(collected: Collection, pictures: bool = True, known: Known = NOTHING) -> list[Block]:
    """Compose a report of runs.

    Args:
        collected: the runs in some folders.
        pictures: whether to show slices of the data.
        known: what is known of patients beside the runs.
    """
    random = [run for run in collected.runs if run.study == "random"]
    kinds = [run for run in collected.runs if types.belongs(run) and run.study != "random"]
    others = [run for run in collected.runs if not types.belongs(run)]
    groups = Groups(one_data_set(others), known)
    blocks = _state(collected, [*groups.runs, *groups.apart, *groups.inner], len(others), bool(kinds or random))
    blocks += searches.chapter(collected.searches)
    blocks += steps.chapter(groups)
    blocks += two_stage_folds.chapter(groups)
    if groups.runs:
        chapters = (*(_PAPER if groups.cells else ()), *_OTHERS)
        blocks += [block for chapter in chapters for block in chapter.chapter(groups)]
    blocks += [block for chapter in _STUDIES for block in chapter.chapter(groups)]
    blocks += random_labels.chapter(random)
    if (tumours := groups.tumours()) is not None:
        known = replace(known, areas=tumours.groupby("case")["area"].sum())
    blocks += types.chapter(kinds, known)
    blocks += _unused(known, {block.name for block in blocks if isinstance(block, Table)})
    return [block for block in blocks if pictures or not (isinstance(block, Picture) and block.shows_data)]


def _unused(known: Known, tables: set[str]) -> list[Block]:
    """Say which facts of patients have found no results that they could divide or adjust."""
    blocks: list[Block] = []
    if not known.groups.empty and "errors" not in tables:
        text = "`by` divides nothing: no classifier with a positive class has been run in all folds."
        blocks.append(Text(text, warning=True))
    if not known.covariates.empty and "types_contrasts" not in tables:
        text = "`adjust` adjusts nothing: no target of patients has been run in all folds."
        blocks.append(Text(text, warning=True))
    return blocks


def _state(collected: Collection, runs: Sequence[Run], candidates: int, more: bool) -> list[Block]:
    limits = "Research software, not a medical device: nothing on this page may guide the care of a person."
    blocks: list[Block] = [Text(limits, warning=True)]
    if runs:
        data, name = runs[0].record["data"], runs[0].dataset
        if not runs[0].declared.of_the_paper:
            other = f"Not the paper's data ({name}): what stands beside the paper's numbers is another task."
            blocks.append(Text(other, warning=True))
        blocks.append(
            Text(
                f"{len(runs)} finished run{'s' * (len(runs) > 1)} on {data['slices']:,} slices of {data['patients']} "
                f"patients ({name}, content {data['key']}). "
                "Every accuracy is that of the test part after the last epoch, or, with a validation part, after the "
                "epoch that was best on it. Intervals are 95 % intervals of the mean over seeds, from a bootstrap over "
                "patients. They do not include how much another split or another seed would change; the lowest and "
                "the highest seed beside them show the latter."
            )
        )
    elif not more:
        blocks.append(Text("No finished run yet."))
    if others := candidates - len(runs):
        blocks.append(Text(f"Left out: {others} finished runs on other data.", warning=True))
    lines = [{"run": path.name, "state": f"failed: {line}"} for path, line in collected.failed]
    lines += [{"run": path.name, "state": "cut off, or under way"} for path in collected.unfinished]
    if lines:
        table = pd.DataFrame(lines)
        blocks += [
            Heading("Not finished"),
            Text(
                "Start the same command again to continue these runs. The folder of a failed run has a traceback.txt."
            ),
            Table("not_finished", table, table),
        ]
    return blocks
