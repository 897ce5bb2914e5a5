"""How the report writes numbers."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from brain_tumor.results.bootstrap import Interval


def percent(value: Any, missing: str = "not run") -> str:
    """Write a share."""
    return missing if math.isnan(value) else f"{value:.1%}"


def points(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """Write a difference of shares with its interval, in points."""
    if math.isnan(value):
        return "not run"
    limits = "" if math.isnan(low) else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    return f"{100 * value:+.1f}{limits} points"


def estimate(line: "pd.Series[Any]", split: str) -> str:
    """Write the accuracy of a line of the grid with its interval, and the lowest and highest of several seeds."""
    value, low, high, n = (line[f"{split} {name}"] for name in ("accuracy", "low", "high", "n"))
    seeds = f"; {n} seeds {line[f'{split} lowest']:.1%} to {line[f'{split} highest']:.1%}" if n > 1 else ""
    limits = "" if math.isnan(low) else f" ({low:.1%} to {high:.1%})"
    return f"{value:.1%}{limits}{seeds}" if n else "not run"


def losses(grid: pd.DataFrame, side: str) -> list[str]:
    """Write the train and test losses of a side of the grid."""
    pairs = grid[[f"{side} train loss", f"{side} test loss"]].itertuples(index=False)
    return ["" if math.isnan(train) else f"{train:.2f}, {test:.2f}" for train, test in pairs]


def counted(table: pd.DataFrame, name: str) -> list[str]:
    """Write accuracies with the number of slices, and what the majority would score on them."""
    lines = table[[name, f"{name} n", f"{name} majority"]].itertuples(index=False)
    return [f"{value:.1%} of {n:,.0f} (majority {most:.1%})" if n else "" for value, n, most in lines]


def joined(first: str, second: str) -> str:
    """Say once what holds for both splits."""
    return first if not second or first == second else second if not first else f"slice: {first}; patient: {second}"


def flat(scores: Mapping[str, Interval]) -> dict[str, float | None]:
    """Spread scores over columns: `name`, `name low`, `name high`."""
    columns: dict[str, float | None] = {}
    for name, own in scores.items():
        columns |= {name: own["value"], f"{name} low": own["low"], f"{name} high": own["high"]}
    return columns


def interval(line: "pd.Series[Any]", name: str, form: str = "{:.1%}") -> str:
    """Write a score of a line that `flat` made with its limits, where it has them; "" for none."""
    value, low, high = (line.get(column) for column in (name, f"{name} low", f"{name} high"))
    if value is None or pd.isna(value):
        return ""
    limits = "" if low is None or pd.isna(low) else f" ({form.format(low)} to {form.format(high)})"
    return form.format(value) + limits
