"""Read facts of patients from a table that the user gives, for the chapters that divide results by them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

_NAMES = ("case", "patient", "Patient", "participant_id")  # of the column with the patient's name
UNKNOWN = "unknown"
MOST = 8  # values of a column; a column of numbers with more is divided into thirds


@dataclass(frozen=True)
class Known:
    """What is known of patients beside the runs.

    Attributes:
        groups: the columns by which results are divided, as `read` returns them.
        covariates: numbers for which contrasts between patients are adjusted, likewise.
        areas: the tumours' areas by case, in pixels; empty where no segmenter tested all patients.
    """

    groups: pd.DataFrame = field(default_factory=pd.DataFrame)
    covariates: pd.DataFrame = field(default_factory=pd.DataFrame)
    areas: "pd.Series[float]" = field(default_factory=lambda: pd.Series(dtype=float))

    def of(self, cases: "pd.Series[str]", site: str) -> pd.DataFrame:
        """Return the covariates of cases, their tumours' areas as logarithms, and their institutions.

        Args:
            cases: n names.
            site: the pattern that finds the institution in a name; "" for none.

        Returns:
            n rows, with gaps where a fact is unknown; no columns if there are no covariates.

        Raises:
            ValueError: the table names none of the cases, or a covariate holds no number for any of them.
        """
        if self.covariates.empty:
            return pd.DataFrame(index=cases.index)
        owners = _owners(cases, self.covariates.index)
        facts: pd.DataFrame = (
            self.covariates.reindex(owners).apply(pd.to_numeric, errors="coerce").set_axis(cases.index)
        )
        if empty := [name for name in facts if facts[name].isna().all()]:
            raise ValueError(f"adjust={empty[0]}: holds no number for any patient of the runs; name columns of numbers")
        if len(self.areas):
            areas = self.areas.reindex(cases).to_numpy(dtype=np.float64)
            facts["log area of the tumour"] = np.log(np.where(areas > 0, areas, np.nan))
        if site:
            facts["institution"] = cases.str.extract(site, expand=False)
        return facts


NOTHING = Known()


def read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV file with one row per patient, separated by commas, semicolons or tabs.

    Args:
        path: of the file. One column holds the patients' names and is called case, patient or participant_id.
        columns: the columns to return.

    Returns:
        The columns as texts, "" for unknown, indexed by the patients' names.

    Raises:
        ValueError: the file cannot be read, lacks a column, or names a patient twice.
    """
    try:
        # The python engine finds the separator.
        table = pd.read_csv(path, sep=None, engine="python", dtype=str, keep_default_na=False)
    except (OSError, ValueError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"patients={path}: not a table of comma-separated values ({reason})") from error
    names = [name for name in _NAMES if name in table]
    if not names:
        raise ValueError(f"patients={path}: no column with patients' names; call it one of {', '.join(_NAMES[:2])}")
    indexed = table.set_index(names[0])
    if indexed.index.has_duplicates:
        raise ValueError(
            f"patients={path}: {indexed.index[indexed.index.duplicated()][0]} has two rows; keep one per patient"
        )
    if missing := [name for name in columns if name not in indexed]:
        raise ValueError(f"{missing[0]}: {path} has no such column, but {', '.join(map(str, indexed))}")
    return indexed[list(columns)]


def of_cases(facts: pd.DataFrame, cases: "pd.Series[str]") -> pd.DataFrame:
    """Return the facts of cases, with columns of many numbers divided into thirds.

    Args:
        facts: as `read` returns them.
        cases: n names. A case belongs to the patient of its name, or whose name and a `_` it begins with, as those of
            LGG do (`TCGA_CS_4941` and `TCGA_CS_4941_19960909`).

    Returns:
        A row per case, with ordered categories, the last for unknown.

    Raises:
        ValueError: the table names none of the cases, or a column has one value for them, or many that are no numbers.
    """
    owners = _owners(cases, facts.index)
    found = facts.reindex(pd.Index(owners)).fillna("").set_axis(cases.index)
    # Thirds are of patients, not of slices.
    patients = facts.reindex(pd.Index(sorted(set(owners) - {""})))
    return pd.DataFrame({name: _grouped(found[name], patients[name]) for name in found}, index=cases.index)


def _owners(cases: "pd.Series[str]", names: "pd.Index[str]") -> list[str]:
    """Return the patient of each case, "" for one whom the table does not name.

    Raises:
        ValueError: it names none.
    """
    known = {case: _owner(case, names) for case in cases.unique()}
    if not any(known.values()):
        first = names[0] if len(names) else "no rows"
        raise ValueError(
            f"patients: the table names none of the runs' patients: it has {first}, and the runs have {cases.iloc[0]}"
        )
    return [known[case] for case in cases]


def _owner(case: str, names: "pd.Index[str]") -> str:
    if case in names:
        return case
    return max((name for name in names if case.startswith(f"{name}_")), key=len, default="")


def _grouped(values: "pd.Series[str]", patients: "pd.Series[str]") -> "pd.Series[Any]":
    known = patients[patients != ""]
    groups = sorted(known.unique())
    if len(groups) < 2:
        raise ValueError(f"by={values.name}: has {len(groups)} value for the runs' patients, which divides nothing")
    if len(groups) > MOST:
        numbers = pd.to_numeric(known, errors="coerce")
        if numbers.isna().any():
            raise ValueError(f"by={values.name}: has {len(groups)} values that are no numbers; give at most {MOST}")
        low, high = numbers.quantile([1 / 3, 2 / 3])
        groups = [f"up to {low:g}", f"above {low:g} to {high:g}", f"above {high:g}"]
        limits = [-float("inf"), low, high, float("inf")]
        values = pd.cut(pd.to_numeric(values, errors="coerce"), limits, labels=groups).astype(object)
    named = values.where(values.isin(groups), UNKNOWN)
    return named.astype(pd.CategoricalDtype([*groups, UNKNOWN]))
