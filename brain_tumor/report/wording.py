"""How the report writes numbers."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from brain_tumor.results.bootstrap import Interval


def share(value: Any, missing: str = "not run") -> str:
    """Write a share in percent."""
    return missing if math.isnan(value) else f"{value:.1%}"


def points(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """Write a difference of shares with its interval, in points."""
    if math.isnan(value):
        return "not run"
    limits = "" if math.isnan(low) else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    return f"{100 * value:+.1f}{limits} points"


def losses(train: float, test: float) -> str:
    """Write train and test loss."""
    return "" if math.isnan(train) else f"{train:.2f}, {test:.2f}"


def flat(scores: Mapping[str, Interval]) -> dict[str, float | None]:
    """Spread scores over columns: `name`, `name low`, `name high`."""
    columns: dict[str, float | None] = {}
    for name, own in scores.items():
        columns |= {name: own["value"], f"{name} low": own["low"], f"{name} high": own["high"]}
    return columns


def interval(line: "pd.Series[Any] | Mapping[str, Any]", name: str, form: str = "{:.1%}") -> str:
    """Write a score of a line that `flat` made with its limits, where it has them; "" for none."""
    value, low, high = (line.get(column) for column in (name, f"{name} low", f"{name} high"))
    if value is None or pd.isna(value):
        return ""
    limits = "" if low is None or pd.isna(low) else f" ({form.format(low)} to {form.format(high)})"
    return form.format(value) + limits


def intervals(table: pd.DataFrame, titles: Mapping[str, str]) -> dict[str, list[str]]:
    """Write columns of scores, by title, of a table whose lines `flat` made.

    Args:
        table: a line a row.
        titles: of each score's name.
    """
    lines = [line for _, line in table.iterrows()]
    return {title: [interval(line, name) for line in lines] for name, title in titles.items()}
