"""Two stages: a detector in front of a segmenter."""

from typing import Any

import pandas as pd

from brain_tumor.report.cells import Groups
from brain_tumor.report.page import Block, Heading, Table, Text
from brain_tumor.report.wording import flat, intervals

_MASKS = {"alone": "alone", "gated": "gated", "gated_by_truth": "gated by the truth"}


def chapter(groups: Groups) -> list[Block]:
    """Show what a detector has changed, in the newest evaluation of each segmenter with one."""
    lines = []
    for run in groups.segmenters:
        for folder, stages in run.evaluations("stages")[:1]:
            for name, title in _MASKS.items():
                line = {"evaluation": str(folder), "model": run.title, "detector": stages["detector"], "masks": title}
                names = ("tumour_slices", "tumour_slices_lost", "false_alarms", "false_alarms_cleaned")
                counts = {count: stages[count] for count in names if name == "gated"}
                lines.append({**line, **flat(stages[name]), **counts})
    if not lines:
        return []
    table = pd.DataFrame(lines)
    titles = {"dice": "Dice a volume", "dice_median": "its median", "empty_clean": "empty slices clean"}
    lost, cleaned = "tumour_slices_lost", "false_alarms_cleaned"
    counts = {
        "tumour slices lost": [_of(line, lost, "tumour_slices") for _, line in table.iterrows()],
        "false alarms cleaned": [_of(line, cleaned, "false_alarms") for _, line in table.iterrows()],
    }
    return [
        Heading("Two stages"),
        Text(
            "A detector empties the masks of slices that it calls healthy (`evaluate detector=...`). Gated by the "
            "truth is what a perfect detector would reach."
        ),
        Table("stages", pd.DataFrame({**table[["model", "masks"]], **intervals(table, titles), **counts}), table),
    ]


def _of(line: "pd.Series[Any]", part: str, whole: str) -> str:
    return "" if pd.isna(line[part]) else f"{line[part]:.0f} of {line[whole]:.0f}"
