"""Show the paper's Table 2, the best row of each model, beside ours."""

import math

import pandas as pd

from brain_tumor.report import paper
from brain_tumor.report.aggregates import Groups
from brain_tumor.report.formatting import share
from brain_tumor.report.page import Block, Heading, Table, Text


def chapter(groups: Groups) -> list[Block]:
    """Show the best of our rows, over all optimizers, beside the paper's."""
    lines = []
    for model, best in paper.BEST.items():
        rows = [row for row, published in paper.rows() if published["model"] == model]
        cells = [groups.cell(row, optimizer, "slice") for optimizer in groups.optimizers for row in rows]
        ran = [cell for cell in cells if not math.isnan(cell.accuracy.value)]
        ours = max(ran, key=lambda cell: cell.accuracy.value, default=None)
        title = f"experiment {ours.row}, {ours.optimizer}: {ours.accuracy.value:.1%}" if ours else "not run"
        same = groups.cell(ours.row, ours.optimizer, "patient").accuracy.value if ours else math.nan
        lines.append(
            {
                "model": model,
                "the paper's best": f"experiment {best}: {paper.table()['test_accuracy'][best]:.0%}",
                "ours by slice": title,
                "the same by patient": share(same),
            }
        )
    table = pd.DataFrame(lines)
    return [
        Heading("Table 2, best results"),
        Text(
            "Ours is the best row with runs. Like the paper's, it is chosen on the test part, and so it is optimistic."
        ),
        Table("table2", table, table),
    ]
