"""Summarize the paper's best row of each model and strategy, among rows with runs. The README shows this table."""

import pandas as pd

from brain_tumor.report import paper
from brain_tumor.report.aggregates import SPLITS, Groups, divisions
from brain_tumor.report.formatting import flat, interval, share
from brain_tumor.report.page import Block, Heading, Table
from brain_tumor.runs.summary import BASELINE_TITLES


def chapter(groups: Groups) -> list[Block]:
    """Show our numbers beside the paper's, and the baselines below."""
    main, divided = groups.optimizers[0], divisions(groups.pools)
    pooled = {pool.example.row: pool.scores for pool in groups.pools if pool.runs and pool.example.optimizer == main}
    ran = [row for row, _ in paper.rows() if row in pooled or any(groups.cell(row, main, by).runs for by in SPLITS)]
    rows = paper.table().loc[ran]
    lines = [
        {
            "": f"{rows['model'][row]}, {rows['strategy'][row]} (experiment {row})",
            "the paper, by slice": f"{rows['test_accuracy'][row]:.0%}",
            **{f"by {split}": str(groups.cell(row, main, split).accuracy) for split in SPLITS},
            "every patient once": interval(flat(pooled[row]), "accuracy") if row in pooled else "not run",
        }
        for row in rows.groupby(["model", "strategy"])["test_accuracy"].idxmax().sort_values()
    ]
    baselines = divided[0].baselines if len(divided) == 1 else {}
    lines += [
        {
            "": BASELINE_TITLES[name],
            **{f"by {split}": share(groups.baselines(split)[name], "–") for split in SPLITS},
            "every patient once": interval(flat(baselines[name]), "accuracy") if name in baselines else "–",
        }
        for name in groups.baselines("slice")
    ]
    table = pd.DataFrame(lines).fillna("")
    return [Heading("In short"), Table("short", table, table)]
