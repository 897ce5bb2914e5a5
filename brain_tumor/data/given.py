"""Divide slices as the data's own folders do: train/, val/ and test/, or numbered folds."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def are_named(table: pd.DataFrame) -> bool:
    """Return whether the data's folders name parts or folds."""
    return bool((table["part"] != "").any() or (table["fold"] >= 0).any())


def parts(table: pd.DataFrame, fold: int | None) -> NDArray[np.str_]:
    """Return the parts that the data's folders name; "" for a row whose file also stands in a later part.

    Args:
        table: columns `digest`, `part` and `fold`.
        fold: the fold to test, of data that has folds.

    Raises:
        ValueError: there is no such fold, or the folders name no parts.
    """
    folds = sorted(set(table["fold"]) - {-1})
    if folds:
        if fold not in folds:
            raise ValueError(f"data.fold={fold}: the data has the folds {folds[0]} to {folds[-1]}; choose one of them")
        found = np.where(table["fold"] == fold, "test", "train").astype("<U5")
    elif fold is not None:
        raise ValueError(f"data.fold={fold}: the data has no folds of its own; give data.folds to divide its patients")
    else:
        found = table["part"].to_numpy(dtype="<U5").copy()
    if not (set(found) >= {"train", "test"}):
        raise ValueError("data.split=given: the data has no train/ and test/ folders; choose slice or patient")
    for part, later in (("train", ("val", "test")), ("val", ("test",))):
        duplicated = table["digest"].isin(table["digest"][np.isin(found, later)]).to_numpy()
        found[(found == part) & duplicated] = ""
    return found
