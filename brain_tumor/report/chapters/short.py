"""In short: the paper's best row of each model and strategy, of those that were run. The README shows this table."""

import pandas as pd

from brain_tumor.report import paper
from brain_tumor.report.aggregates import SPLITS, Groups, divisions
from brain_tumor.report.formatting import flat, interval, share
from brain_tumor.report.page import Block, Heading, Table
from brain_tumor.runs.summary import BASELINE_TITLES


def chapter(groups: Groups) -> list[Block]:
    """Put our numbers beside the paper's, and the baselines below."""
    main, divided = groups.optimizers[0], divisions(groups.pools)
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
    together = divided[0].baselines if len(divided) == 1 else {}
    lines += [
        {
            "": BASELINE_TITLES[name],
            **{f"by {split}": share(groups.baselines(split)[name], "–") for split in SPLITS},
            "every patient once": interval(flat(together[name]), "accuracy") if name in together else "–",
        }
        for name in groups.baselines("slice")
    ]
    table = pd.DataFrame(lines).fillna("")
    return [Heading("In short"), Table("short", table, table)]
