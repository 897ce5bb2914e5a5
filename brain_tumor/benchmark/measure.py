"""Measure sides in turn, so that other work of the machine slows all of them alike, and put them in a table."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HEAD = "| | unit | plain loop | brain_tumor | times better | |\n|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Spread:
    """The median, smallest and largest of repeated measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise at least one value."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Row:
    """One line of the benchmark.

    Attributes:
        what: what was measured.
        unit: unit of both sides; "images/s" is better when larger, "s" when smaller.
        plain: the plain loop's values; None where it has none.
        ours: the framework's values.
        ratio: how many times better the framework is, pair by pair; None where nothing is compared.
        note: what a reader must know, such as "extrapolated"; "" for nothing.
    """

    what: str
    unit: str
    plain: Spread | None
    ours: Spread | None
    ratio: Spread | None = None
    note: str = ""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Row":
        """Make a row from the dictionary of `dataclasses.asdict`, as benchmark.json has it."""
        spreads = {name: Spread(**record[name]) for name in ("plain", "ours", "ratio") if record[name] is not None}
        return cls(**{**record, **spreads})


def interleave(sides: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Call every side once to warm up, then all in turn `repeats` times, and return each side's values."""
    for side in sides.values():
        side()
    values: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, side in sides.items():
            values[name].append(side())
    return values


def compare(what: str, unit: str, plain: Sequence[float], ours: Sequence[float], note: str = "") -> Row:
    """Make a row of two interleaved series; its ratio says how many times better ours is."""
    better = [b / a if unit.endswith("/s") else a / b for a, b in zip(plain, ours, strict=True)]
    return Row(what, unit, Spread.of(plain), Spread.of(ours), Spread.of(better), note)


def alone(what: str, unit: str, ours: Sequence[float], note: str = "") -> Row:
    """Make a row of a series that is compared with nothing."""
    return Row(what, unit, None, Spread.of(ours), None, note)


def line(row: Row) -> str:
    """Write a row as a line of a Markdown table: medians, and the smallest and largest of several measurements."""
    cells = (row.what, row.unit, _write(row.plain), _write(row.ours), _write(row.ratio), row.note)
    return f"| {' | '.join(cells)} |"


def markdown(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table."""
    return "\n".join([HEAD, *map(line, rows)])


def _write(spread: Spread | None) -> str:
    if spread is None:
        return "–"
    middle, low, high = (_digits(value) for value in (spread.median, spread.low, spread.high))
    return middle if low == high else f"**{middle}** ({low} to {high})"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
