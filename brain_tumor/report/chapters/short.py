"""In short: the paper's best row of each model and strategy, of those that were run. The README shows this table."""

import pandas as pd

from brain_tumor.report import paper
from brain_tumor.report.cells import SPLITS, Groups
from brain_tumor.report.chapters.folds import divisions
from brain_tumor.report.page import Block, Heading, Table
from brain_tumor.report.wording import flat, interval, share
from brain_tumor.results.summary import BASELINE_TITLES


def chapter(groups: Groups) -> list[Block]:
    """Put our numbers beside the paper's, and the baselines below."""
    main = groups.optimizers[0]
    pooled = {own.example.row: own.scores for own in groups.pools if own.runs and own.example.optimizer == main}
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
    divided = divisions(groups.pools)
    together = divided[0].baselines if len(divided) == 1 else {}
    by_slice, by_patient = (groups.baselines(split) for split in SPLITS)
    lines += [
        {
            "": BASELINE_TITLES[name],
            "the paper, by slice": "",
            "by slice": share(by_slice[name], "–"),
            "by patient": share(by_patient[name], "–"),
            "every patient once": interval(flat(together[name]), "accuracy") if name in together else "–",
        }
        for name in by_slice
    ]
    table = pd.DataFrame(lines)
    if not ran:
        table = table.drop(columns="the paper, by slice")
    return [Heading("In short"), Table("short", table, table)]
