"""Say at which institution each patient was scanned, so that one of them can be left out of the training."""

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data import grouping


def find(table: pd.DataFrame, by: str, patients: pd.DataFrame) -> "pd.Series[str]":
    """Return each row's site.

    Args:
        table: column `case`.
        by: a regular expression whose one group is the site in a patient's name, or a column of `patients`.
        patients: the patients' properties (see `brain_tumor.datasets.base.Listing`).

    Raises:
        ValueError: patients are unknown, `by` is neither of the two, or it tells no site for a patient.
    """
    grouping.require_patients(table, "data.split=site")
    cases = table["case"]
    found = cases.map(patients[by]) if by in patients else cases.str.extract(_pattern(by, patients), expand=False)
    unknown = cases[found.fillna("") == ""].unique()
    if len(unknown):
        raise ValueError(
            f"data.site_by={by}: tells no site for {len(unknown)} of {cases.nunique()} patients, such as {unknown[0]}"
        )
    return found


def of_site(table: pd.DataFrame, site: str | None) -> NDArray[np.bool_]:
    """Return which rows (n,) are of a site.

    Args:
        table: columns `case` and `site`.
        site: the site's name.

    Raises:
        ValueError: there is no such site.
    """
    sizes = count(table)
    if site not in sizes:
        known = ", ".join(f"{name} ({size} patient{'s' * (size > 1)})" for name, size in sizes.items())
        raise ValueError(f"data.site={site}: choose the site to test: {known}")
    return (table["site"] == site).to_numpy()


def count(table: pd.DataFrame) -> dict[str, int]:
    """Return the number of patients of each site, in the order of the sites' names."""
    return {str(site): int(cases.nunique()) for site, cases in table.groupby("site")["case"]}


def _pattern(by: str, patients: pd.DataFrame) -> "re.Pattern[str]":
    example = "a pattern over patients' names with one group, such as '^TCGA_([A-Z0-9]+)_'"
    columns = f", or one of the columns {', '.join(map(str, patients))}" if len(patients.columns) else ""
    if not by:
        raise ValueError(f"data.split=site: sites are not known. Give data.site_by: {example}{columns}")
    try:
        pattern = re.compile(by)
    except re.error as error:
        raise ValueError(f"data.site_by={by}: no regular expression ({error}); give {example}{columns}") from error
    if pattern.groups != 1:
        raise ValueError(f"data.site_by={by}: give {example}{columns}")
    return pattern
