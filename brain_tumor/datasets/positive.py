"""Guess which of two classes is positive, if their names are unmistakable."""

import re
from collections.abc import Sequence

_POSITIVE = frozenset(
    {"yes", "true", "positive", "pos", "abnormal", "cancer", "lesion", "tumor", "tumour", "tumors", "tumours",
     "tumorous", "tumourous", "braintumor", "braintumour", "braintumors", "braintumours", "hastumor", "hastumour",
     "withtumor", "withtumour"}
)  # fmt: skip
_NEGATIVE = frozenset(
    {"no", "false", "negative", "neg", "normal", "healthy", "nocancer", "nolesion", "nontumor", "nontumour", "notumor",
     "notumour", "notumors", "notumours", "nobraintumor", "nobraintumour", "withouttumor", "withouttumour"}
)  # fmt: skip


def guess(classes: Sequence[str]) -> str | None:
    """Return the class that means a tumour; None unless one of two names means a tumour, and the other one none."""
    if len(classes) != 2:
        return None
    plain = [re.sub(r"[\W_]", "", name).casefold() for name in classes]
    for place, other in ((0, 1), (1, 0)):
        if plain[place] in _POSITIVE and plain[other] in _NEGATIVE:
            return classes[place]
    return None
