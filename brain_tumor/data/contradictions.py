"""Find identical images to which the data gives different classes or masks."""

from collections.abc import Callable, Hashable, Sequence

import pandas as pd


def find(table: pd.DataFrame, names: Sequence[str], mask: Callable[[int], Hashable]) -> list[str]:
    """Name identical files in different classes or with different masks, one line per group of files.

    Args:
        table: columns `path` and `digest`.
        names: each row's class; "" for a row that is left out.
        mask: returns a value that identifies the mask of a row; called for rows with identical files only.
    """
    groups: dict[str, list[int]] = {}
    for row, digest in enumerate(table["digest"]):
        groups.setdefault(digest, []).append(row)
    return [
        line
        for equal in groups.values()
        if len(equal) > 1
        and (line := _difference(table, "classes", [(row, names[row]) for row in equal if names[row]])
             or _difference(table, "masks", [(row, mask(row)) for row in equal]))
    ]  # fmt: skip


def _difference(table: pd.DataFrame, what: str, facts: list[tuple[int, Hashable]]) -> str:
    """Name the first two of identical files with different facts; "" where all facts are equal.

    Args:
        table: as for `find`.
        what: the facts' name, for the message.
        facts: rows, each with its fact.
    """
    other = next((row for row, fact in facts if fact != facts[0][1]), None)
    if other is None:
        return ""
    pair = " and ".join(table["path"].iloc[[facts[0][0], other]])
    more = f" ({len(facts)} in all)" if len(facts) > 2 else ""
    return f"identical files in different {what}: {pair}{more}; keep the one that is right"
