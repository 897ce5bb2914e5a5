"""Find identical images of which the data says different things."""

from collections.abc import Callable, Hashable, Sequence

import pandas as pd


def find(table: pd.DataFrame, names: Sequence[str], mask: Callable[[int], Hashable]) -> list[str]:
    """Name identical files in different classes, or with different masks; a line each.

    Args:
        table: columns `path` and `digest`.
        names: each row's class; "" for a row that is left out.
        mask: tells the masks' pixels apart, by the row; asked for rows with identical files alone.
    """
    rows: dict[str, list[int]] = {}
    for row, digest in enumerate(table["digest"]):
        rows.setdefault(digest, []).append(row)
    return [
        line
        for equal in rows.values()
        if len(equal) > 1
        and (line := _difference(table, "classes", [(row, names[row]) for row in equal if names[row]])
             or _difference(table, "masks", [(row, mask(row)) for row in equal]))
    ]  # fmt: skip


def _difference(table: pd.DataFrame, what: str, facts: list[tuple[int, Hashable]]) -> str:
    """Name the first two rows of identical files of which different facts are told; "" where all are alike."""
    other = next((row for row, fact in facts if fact != facts[0][1]), None)
    if other is None:
        return ""
    pair = " and ".join(table["path"].iloc[[facts[0][0], other]])
    more = f" ({len(facts)} in all)" if len(facts) > 2 else ""
    return f"identical files in different {what}: {pair}{more}; keep the one that is right"
