"""What is to be told of a slice: its class and its label, from the facts that decoding found."""

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

TUMOUR_CLASSES = ["no tumour", "tumour"]


def available(table: pd.DataFrame) -> list[str]:
    """Name the targets that a listing allows, the default one first.

    Args:
        table: columns `mask` and `class` (see `brain_tumor.data.slices`).
    """
    allowed = {"tumour": (table["mask"] != "").all(), "class": (table["class"] != "").all()}
    return [name for name, possible in allowed.items() if possible]


def classify(table: pd.DataFrame, target: str | None) -> tuple[list[str], NDArray[np.int64]]:
    """Label every slice.

    Args:
        table: columns `mask`, `class` and `positive` (whether the mask has any foreground).
        target: "tumour" tells slices with a tumour from those without, by their masks; "class" tells the classes
            of the folders apart; None takes the first of these that the data allows.

    Returns:
        Class names, and the labels (n,), indices into them.

    Raises:
        ValueError: the data does not allow this target.
    """
    allowed = available(table)
    if target is None and allowed:
        target = allowed[0]
    if target not in allowed:
        raise ValueError(f"data.target={target}: this data allows {' and '.join(allowed) or 'no target'}")
    if target == "tumour":
        return list(TUMOUR_CLASSES), table["positive"].to_numpy(dtype=np.int64)
    classes = sorted(set(table["class"]))
    return classes, table["class"].map(classes.index).to_numpy(dtype=np.int64)


def content_key(table: pd.DataFrame, labels: NDArray[np.int64], classes: list[str], size: int) -> str:
    """Identify names, pixels and labels: 16 hexadecimal digits that tell which runs are on one data set.

    The same as revision 0205860 gave, so that its records and ours stand in one table.

    Args:
        table: columns `path`, `digest` and `mask_digest`.
        labels: (n,).
        classes: class names.
        size: side of the images, in pixels.
    """
    content = hashlib.sha256(f"1 {size} {classes}".encode())
    columns = (table[name] for name in ("path", "digest", "mask_digest"))
    for (path, digest, mask_digest), label in zip(zip(*columns, strict=True), labels.tolist(), strict=True):
        content.update(repr((path, label, digest, mask_digest)).encode())
    return content.hexdigest()[:16]
