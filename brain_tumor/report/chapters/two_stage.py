"""Score two-stage segmentation: a detector in front of a segmenter."""

from brain_tumor.report.aggregates import Groups
from brain_tumor.report.formatting import flat, intervals, number
from brain_tumor.report.page import Block, Heading, Line, Table, Text

_MASKS = {"alone": "alone", "gated": "gated", "gated_by_truth": "gated by the truth"}
_threshold = number("threshold", "{:.3f}")
_COUNTS = ("tumour_slices", "tumour_slices_lost", "false_alarms", "false_alarms_cleaned")


def chapter(groups: Groups) -> list[Block]:
    """Show the scores with and without a detector, from the newest evaluation of each segmenter with one."""
    lines: list[Line] = [
        {
            "evaluation": str(evaluation[0]),
            "model": run.title,
            "detector": evaluation[1]["detector"],
            "threshold": evaluation[1].get("threshold"),
            "masks": title,
            **flat(evaluation[1][name]),
            **{count: evaluation[1][count] for count in _COUNTS if name == "gated"},
        }
        for run in groups.segmenters
        if (evaluation := run.evaluation("stages"))
        for name, title in _MASKS.items()
    ]
    if not lines:
        return []
    titles = {"dice": "Dice per volume", "dice_median": "its median", "empty_clean": "empty slices clean"}
    columns = {
        "model": "{model}",
        "masks": "{masks}",
        "threshold": lambda line: _threshold(line) if line["masks"] == _MASKS["gated"] else "",
        **intervals(titles),
        "tumour slices lost": lambda line: _of(line, "tumour_slices_lost", "tumour_slices"),
        "false alarms cleaned": lambda line: _of(line, "false_alarms_cleaned", "false_alarms"),
    }
    return [
        Heading("Two-stage segmentation"),
        Text(
            "A detector empties the masks of slices that it predicts as healthy (`evaluate detector=...`). Gated by "
            "the truth shows the scores with a perfect detector."
        ),
        Table.of("stages", lines, columns),
    ]


def _of(line: Line, part: str, whole: str) -> str:
    return f"{line[part]} of {line[whole]}" if part in line else ""
