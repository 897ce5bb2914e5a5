"""Write numbers for the report."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.report.page import Column, Line


def share(value: Any, missing: str = "not run") -> str:
    """Write a share in percent; NaN as `missing`."""
    return missing if math.isnan(value) else f"{value:.1%}"


def points(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """Write a difference of shares with its interval, in percentage points."""
    limits = "" if math.isnan(low) else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    return "not run" if math.isnan(value) else f"{100 * value:+.1f}{limits} points"


def suffixes(titles: Sequence[Hashable]) -> list[str]:
    """Return what to add to titles, so that configurations whose titles are equal can be told apart."""
    return [
        f" (other settings, {count})" if (count := titles[: place + 1].count(title)) > 1 else ""
        for place, title in enumerate(titles)
    ]


def losses(train: float, test: float) -> str:
    """Write train and test loss."""
    return "" if math.isnan(train) else f"{train:.2f}, {test:.2f}"


def flat(scores: Mapping[str, Interval]) -> dict[str, float | None]:
    """Return scores as columns `name`, `name low` and `name high`."""
    columns: dict[str, float | None] = {}
    for name, score in scores.items():
        columns |= {name: score["value"], f"{name} low": score["low"], f"{name} high": score["high"]}
    return columns


def interval(line: "Line | pd.Series[Any]", name: str, form: str = "{:.1%}") -> str:
    """Write a score of a line of `flat` with its limits if it has them; "" for no score."""
    low, high = (number(f"{name} {limit}", form)(line) for limit in ("low", "high"))
    return number(name, form)(line) + (f" ({low} to {high})" if low else "")


def number(name: str, form: str) -> "Callable[[Line | pd.Series[Any]], str]":
    """Return a column (see `page.Table.of`) that writes a value of a line; "" for none."""
    return lambda line: form.format(line[name]) if pd.notna(line.get(name)) else ""


def intervals(titles: Mapping[str, str], form: str = "{:.1%}") -> dict[str, Column]:
    """Return the columns of a table (see `page.Table.of`) that write scores with their limits.

    Args:
        titles: titles of the columns, by the names of the scores.
        form: format of a number.
    """
    return {title: partial(interval, name=name, form=form) for name, title in titles.items()}
