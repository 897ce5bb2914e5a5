"""Draw diagnostics of the best rows: confusion matrices, ROC and reliability curves, and confident mistakes."""

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brain_tumor.metrics import calibration
from brain_tumor.metrics.classification import probabilities_of
from brain_tumor.metrics.plots import draw_confusion
from brain_tumor.report import drawing
from brain_tumor.report.aggregates import SPLITS, Groups
from brain_tumor.report.page import Block, Heading, Picture, Text
from brain_tumor.report.runs import Run

_SHOWN = 5  # runs per panel


def chapter(groups: Groups) -> list[Block]:
    """Draw the most accurate rows of each split, for data with two classes."""
    runs = _best(groups)
    if not runs or len(runs[0].record["data"]["classes"]) != 2:
        return []
    return [
        Heading("Diagnostics"),
        Text(f"For each split the {_SHOWN} rows with the highest accuracy, or fewer, each with its lowest seed."),
        Picture.of("confusion", "Confusion matrices of the test slices.", _confusions(runs)),
        Picture.of("roc", "ROC curves of the test slices.", _roc(runs)),
        Picture.of(
            "reliability",
            "Share of right predictions against their confidence; on the diagonal a run is perfectly calibrated. "
            "Dashed: calibrated with the temperature that was fitted on the run's validation part.",
            _reliability(runs),
        ),
        *(block for run in runs for block in _wrong(run)),
    ]


def _best(groups: Groups) -> list[Run]:
    best = []
    for split in SPLITS:
        first = [min(cell.runs, key=lambda run: run.seed) for cell in groups.of_split(split)]
        # A run that has diverged, or a test part of one class, has no curve.
        drawable = [run for run in first if run.record["test"]["auroc"]["value"] is not None]
        best += sorted(drawable, key=lambda run: (-run.accuracy, run.row, run.optimizer))[:_SHOWN]
    return best


def _confusions(runs: list[Run]) -> Figure:
    """Draw confusion matrices: actual classes down, predicted across."""
    columns, lines = min(_SHOWN, len(runs)), math.ceil(len(runs) / _SHOWN)
    figure = Figure(figsize=(2.4 * max(2, columns), 2.8 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, run in zip(panels, runs, strict=False):
        draw_confusion(axes, run.record["test"]["confusion_matrix"], run.record["data"]["classes"])
        axes.set_title(f"{_name(run)}, by {run.split}", fontsize="small")
    for axes in panels[len(runs) :]:
        axes.set_axis_off()
    return figure


def _roc(runs: list[Run]) -> Figure:
    """Draw ROC curves, one panel per split."""
    figure, panels = _panels(runs)
    for split, axes in panels.items():
        drawing.diagonal(axes)
        for run in (run for run in runs if run.split == split):
            table, data = run.predictions(), run.record["data"]
            place = data["classes"].index(data["positive"] or data["classes"][-1])
            label = f"{_name(run)}: {run.record['test']['auroc']['value']:.3f}"
            drawing.roc(axes, probabilities_of(table).to_numpy()[:, place], table["label"].to_numpy() == place, label)
        axes.set(title=f"by {split}")
        axes.legend(fontsize="small", loc="lower right", title="area under the curve", title_fontsize="small")
    return figure


def _reliability(runs: list[Run]) -> Figure:
    """Draw reliability curves before and after calibration, one panel per split."""
    figure, panels = _panels(runs)
    for split, axes in panels.items():
        drawing.diagonal(axes, 0.5)
        for colour, run in enumerate(run for run in runs if run.split == split):
            table, error = run.answers(), run.record["test"]["calibration_error"]["value"]
            style: dict[str, Any] = {"color": f"C{colour}", "label": f"{_name(run)}: {error:.3f}"}
            drawing.reliability(axes, table["confidence"], table["right"], **style)
            if fitted := run.record.get("calibration"):
                softened = calibration.soften(probabilities_of(table).to_numpy(dtype=float), fitted["temperature"])
                label = f"calibrated: {fitted['test']['calibrated']['calibration_error']:.3f}"
                style |= {"linestyle": "--", "label": label}
                drawing.reliability(axes, softened.max(1), table["right"], **style)
        axes.set(title=f"by {split}")
        axes.legend(fontsize="small", loc="lower right", title="calibration error", title_fontsize="small")
    return figure


def _wrong(run: Run) -> list[Picture]:
    caption = (
        f"Experiment {run.row}, {run.optimizer}, by {run.split}, seed {run.seed}: its wrong predictions with "
        "the highest confidence, with the outline of the tumour mask where there is one."
    )
    return Picture.of_data(f"wrong_{run.row}_{run.optimizer.lower()}_{run.split}", caption, run.folder / "wrong.png")


def _panels(runs: list[Run]) -> tuple[Figure, dict[str, Axes]]:
    splits = list(dict.fromkeys(run.split for run in runs))
    figure = Figure(figsize=(5 * len(splits), 4.6), layout="constrained")
    return figure, dict(zip(splits, figure.subplots(1, len(splits), squeeze=False)[0], strict=True))


def _name(run: Run) -> str:
    return f"experiment {run.row}, {run.optimizer}"
