"""Show what a reader may expect of a classifier: by patient, at working points, and how far its probabilities go."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from brain_tumor.metrics import bootstrap, working_points
from brain_tumor.metrics.classification import place_of, probabilities_of
from brain_tumor.report import paired
from brain_tumor.report.aggregates import Groups
from brain_tumor.report.formatting import flat, interval
from brain_tumor.report.page import Block, Heading, Line, Picture, Table, Text
from brain_tumor.report.pooled import Pool

_DRAWN = 4  # configurations in the decision curves
_THRESHOLDS = np.linspace(0.02, 0.9, 89)
_NUMBERS = {
    "brier": "Brier score", "slope": "calibration slope",
    "calibrated_brier": "Brier score, calibrated", "calibrated_slope": "calibration slope, calibrated",
}  # fmt: skip
_POINTS = {
    "specific_specificity": "specificity, aim 95 %", "specific_sensitivity": "sensitivity there",
    "sensitive_sensitivity": "sensitivity, aim 95 %", "sensitive_specificity": "specificity there",
}  # fmt: skip


def chapter(groups: Groups) -> list[Block]:
    """Show spread over patients, working points, calibration and decision curves of configurations in folds."""
    pools = [pool for pool in groups.pools if pool.runs and _place(pool) is not None and len(pool.folds) > 1]
    pools = [pool for pool in pools if not any(run.diverged for runs in pool.runs.values() for run in runs)]
    pools.sort(key=lambda pool: -(pool.scores["accuracy"]["value"] or 0))
    if not pools:
        return []
    lines = [_line(pool) for pool in pools]
    return [
        Heading("What to expect"),
        Text(
            "In folds: every patient is tested once. Accuracies by patient are means over seeds; the rest is of "
            "the lowest seed. Thresholds and temperatures of a fold were fitted on the predictions for the other "
            "folds. A Brier score is the mean squared error of the probability. A calibration slope of 1 is right; "
            "below 1 the probabilities are too extreme."
        ),
        Table.of("expectations", lines, _columns()),
        Picture.of(
            "decisions",
            "Net benefit of acting on slices from a probability on, beside acting on all and on none, with calibrated "
            "probabilities. Where tumours are rarer than in this data, the curves lie lower.",
            _decisions(pools[:_DRAWN]),
        ),
    ]


def _columns() -> dict[str, Any]:
    return {
        "model": "{model}",
        "accuracy of the median patient": "{median:.1%}",
        "a tenth of patients is below": "{tenth:.1%}",
        "worst patient": "{worst:.1%}",
        **{title: _column(name, "{:.1%}") for name, title in _POINTS.items()},
        **{title: _column(name, "{:.3f}") for name, title in _NUMBERS.items()},
    }


def _column(name: str, form: str) -> Any:
    return lambda line: interval(line, name, form)


def _place(pool: Pool) -> int | None:
    data = pool.example.record["data"]
    return place_of(data["positive"], data["classes"])


def _probabilities(pool: Pool) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], working_points.CrossFitted]:
    """Return the lowest seed's table, the positive class's probabilities, the labels, and what was fitted on them."""
    table, place = next(iter(pool.tables.values())), _place(pool)
    assert place is not None, "chosen by it"
    scores = probabilities_of(table).to_numpy(dtype=np.float64)[:, place]
    labels = (table["label"] == place).to_numpy()
    return table, scores, labels, working_points.cross_fit(scores, labels, table["fold"].to_numpy())


def _line(pool: Pool) -> Line:
    table, scores, labels, fitted = _probabilities(pool)
    by_patient = paired.values(list(pool.tables.values())).groupby("case")["value"].mean()
    actual = torch.from_numpy(labels.astype(np.float64))
    errors = {
        "brier": torch.from_numpy((scores - labels) ** 2),
        "calibrated_brier": torch.from_numpy((fitted.calibrated - labels) ** 2),
    }
    positive = {name: torch.from_numpy(getattr(fitted, name).astype(np.float64)) for name in ("specific", "sensitive")}

    def measure(weights: Tensor) -> dict[str, Tensor]:
        values = {name: weights @ error / weights.sum(1) for name, error in errors.items()}
        for name, answer in positive.items():
            values[f"{name}_sensitivity"] = weights @ (answer * actual) / (weights @ actual)
            values[f"{name}_specificity"] = weights @ ((1 - answer) * (1 - actual)) / (weights @ (1 - actual))
        values["slope"] = working_points.slope(scores, labels, weights)
        values["calibrated_slope"] = working_points.slope(fitted.calibrated, labels, weights)
        return values

    found = bootstrap.intervals(measure, list(table["case"]), list(table["fold"]))
    return {
        "model": pool.example.title,
        "median": float(by_patient.median()),
        "tenth": float(by_patient.quantile(0.1)),
        "worst": float(by_patient.min()),
        **flat(found),
    }


def _decisions(pools: Sequence[Pool]) -> Figure:
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    for pool in pools:
        _, _, labels, fitted = _probabilities(pool)
        benefit = working_points.net_benefit(fitted.calibrated, labels, _THRESHOLDS)
        axes.plot(_THRESHOLDS, benefit, label=pool.example.title)
    everyone = working_points.net_benefit(np.ones(len(labels)), labels, _THRESHOLDS)
    axes.plot(_THRESHOLDS, everyone, color="#555555", linestyle="--", linewidth=0.9, label="act on all")
    axes.axhline(0, color="#555555", linestyle=":", linewidth=0.9, label="act on none")
    most = 1.1 * float(labels.mean())
    axes.set(xlabel="probability from which on one acts", ylabel="net benefit per slice", ylim=(-0.1 * most, most))
    figure.legend(fontsize="small", loc="outside lower center")
    return figure
