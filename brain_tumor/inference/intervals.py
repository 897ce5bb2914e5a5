"""Read a table of how far a segmenter's measurements were off on held-out patients, and give intervals by it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brain_tumor.inference.base import Run
from brain_tumor.io import tables
from brain_tumor.metrics.conformal import Factors

FORMAT = 1
NOT_MEASURED = "not measured"
# The columns of cases.csv that each measurement of a table gives an interval to.
COLUMNS = {
    "volume": ("volume_ml",), "diameter": ("diameter_mm", "diameter_px"), "across": ("across_mm", "across_px"),
}  # fmt: skip


@dataclass(frozen=True)
class Intervals:
    """A table of intervals, as `python -m brain_tumor.intervals` writes it.

    Attributes:
        content: the table.
        digest: the file's SHA-256, hexadecimal.
        factors: of each measurement.
    """

    content: Mapping[str, Any]
    digest: str
    factors: Mapping[str, Factors]

    @classmethod
    def read(cls, path: Path) -> "Intervals":
        """Read a table.

        Raises:
            ValueError: the file is missing, damaged, or no such table.
        """
        try:
            content = tables.read_json(path)
        except ValueError as error:
            raise ValueError(f"intervals={error}") from error
        try:
            factors = _factors(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            made = "make one by python -m brain_tumor.intervals"
            raise ValueError(f"intervals={path}: no table of intervals of this version; {made}") from error
        return cls(content, hashlib.sha256(path.read_bytes()).hexdigest(), factors)

    def refuse_misfit(self, run: Run, detector: Run | None) -> None:
        """Refuse a table that was not measured on runs like these.

        Raises:
            ValueError: the data or the regions are others, or a detector changes the masks.
        """
        if run.task != "segmentation":
            raise ValueError(f"intervals: run={run.name} is a {run.task}, which measures nothing")
        if detector is not None:
            raise ValueError("intervals: were measured on masks without a detector; leave out detector or intervals")
        for name, own, measured in (
            ("data", run.dataset, self.content["data"]),
            ("regions", run.regions.names, self.content["regions"]),
        ):
            if own != measured:
                raise ValueError(f"intervals: were measured on runs with the {name} {measured}, and this has {own}")

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns of a case with the ends of its intervals, `_low` and `_high`, and what they are.

        A measurement of 0 has none, since a share of it is 0, too.
        """
        ends: dict[str, Any] = {}
        for name, (low, high) in self.factors.items():
            for column in COLUMNS[name]:
                if row.get(column):
                    ends |= {f"{column}_low": low * row[column], f"{column}_high": high * row[column]}
        level, patients, unit = (self.content[key] for key in ("level", "patients", "unit"))
        return ends | {"intervals": f"{level:.0%}, by {patients} held-out patients in {unit}"}


def _factors(content: Mapping[str, Any]) -> dict[str, Factors]:
    """Return the factors of a table.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is no such table.
    """
    factors = {name: Factors(float(one["low"]), float(one["high"])) for name, one in content["measures"].items()}
    whole = content["format"] == FORMAT and 0 < content["level"] < 1 and int(content["patients"]) > 0
    told = isinstance(content["data"], str) and isinstance(content["regions"], list) and bool(content["unit"])
    ordered = all(0 <= low <= high for low, high in factors.values())
    if not (whole and told and ordered and factors and set(factors) <= set(COLUMNS)):
        raise ValueError
    return factors
