"""Find the patients that a run was trained on, so that no model which has seen them is tested on them."""

from pathlib import Path

import pandas as pd

from brain_tumor.io import tables

INHERITED = "inherited.csv"  # in a run's folder: the slices that the runs it started from were trained on


def trained_on(folder: Path) -> pd.DataFrame:
    """Return `case` and `digest` of the slices that a run, or one it started from, was trained or validated on.

    Digests are "" for run folders of revision 0205860, which did not write them.

    Raises:
        ValueError: its split.csv is missing or damaged.
    """
    split = tables.read_csv(folder / "split.csv")
    split["digest"] = split.get("digest", "")
    seen = [split[split["part"].isin(["train", "val"])][["case", "digest"]]]
    if (folder / INHERITED).exists():
        seen.append(tables.read_csv(folder / INHERITED))
    return pd.concat(seen).drop_duplicates()


def refuse(folder: Path, tested: pd.DataFrame, allow: bool) -> list[str]:
    """Return the patients (or, where these are unknown, the slices) of `tested` that a run was trained on.

    A patient is recognized by name or by an identical image: the name stays in another format, the image under another
    name.

    Args:
        folder: the run's.
        tested: slices, with the columns `path`, `case` and `digest`.
        allow: return the names instead of refusing.

    Raises:
        ValueError: there are any, and they are not allowed.
    """
    seen = trained_on(folder)
    trained = ((tested["case"] != "") & tested["case"].isin(seen["case"])) | tested["digest"].isin(
        set(seen["digest"]) - {""}
    )
    names = sorted(set(tested["case"].where(tested["case"] != "", tested["path"])[trained]))
    if names and not allow:
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise ValueError(
            f"{folder}: was trained on what is tested here: {shown}. Test other patients "
            "(data.test_cases, data.folds), or let the record say so by allow_overlap=true"
        )
    return names
