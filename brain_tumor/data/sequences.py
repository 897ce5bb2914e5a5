"""Find patients who lack a sequence, where FLAIR stands in for it, as in the LGG data."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_PRESENT = "flair"  # stands in for the others


def missing(
    images: NDArray[np.uint8], cases: "pd.Series[str]", sequences: Sequence[str]
) -> dict[str, list[str]] | None:
    """Return the sequences that each patient lacks: whose channel equals that of FLAIR in all slices.

    Args:
        images: uint8 (n, H, W, C).
        cases: n names, "" for unknown.
        sequences: names of the C channels; fewer or none if they are unknown.

    Returns:
        The missing sequences of the patients who lack some, by their names. None where this cannot be told: FLAIR is
        not one of several different channels, or the patients are unknown.
    """
    if sequences.count(_PRESENT) != 1 or len(sequences) < 2 or (cases == "").any():
        return None
    place = sequences.index(_PRESENT)
    found: dict[str, list[str]] = {}
    for case, rows in sorted(cases.groupby(cases).indices.items()):
        # Almost always one slice tells that two channels differ.
        ordered = [rows[len(rows) // 2], *rows]
        lacking = [
            name
            for channel, name in enumerate(sequences)
            if channel != place and all((images[row, ..., channel] == images[row, ..., place]).all() for row in ordered)
        ]
        if lacking:
            found[str(case)] = lacking
    return found
