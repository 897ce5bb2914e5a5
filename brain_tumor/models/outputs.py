"""Collect what a network puts out during an epoch, batch by batch."""

from collections import defaultdict
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from brain_tumor.data.batches import Batch


class TitledFigure(NamedTuple):
    """A figure of a finished run, its title on the dashboard, and its file's name in the run's folder, "" for none."""

    title: str
    figure: Figure
    file: str = ""


class Outputs:
    """Collect the outcomes of batches, by the part of the data that they belong to."""

    def __init__(self) -> None:
        self._batches: defaultdict[str, list[tuple[Tensor, Tensor, Tensor]]] = defaultdict(list)

    def add(self, part: str, batch: Batch, outcomes: Tensor) -> None:
        """Store the outcomes (B, ...) of a batch."""
        self._batches[part].append((batch.rows, outcomes.detach(), batch.labels))

    def take(self, part: str) -> tuple[Tensor, Tensor, Tensor]:
        """Return a part's rows int64 (n,), outcomes (n, ...) and labels int64 (n,), and forget them."""
        rows, outcomes, labels = (torch.cat(tensors) for tensors in zip(*self._batches.pop(part), strict=True))
        return rows, outcomes, labels

    def clear(self) -> None:
        """Forget the outcomes of all parts."""
        self._batches.clear()


def in_order(rows: Tensor, outcomes: Tensor) -> tuple[Tensor, Tensor]:
    """Sort rows int64 (n,) with their outcomes (n, ...), drop repeated rows, and return both on the CPU."""
    order = torch.argsort(rows, stable=True)
    rows, outcomes = rows[order].cpu(), outcomes[order].cpu()
    first = torch.cat([torch.ones(1, dtype=torch.bool), rows[1:] != rows[:-1]])
    return rows[first], outcomes[first]


def count_not_finite(outcomes: Tensor) -> int:
    """Count the slices with an outcome (n, ...) that is NaN or infinite."""
    return int((~outcomes.isfinite().reshape(len(outcomes), -1).all(1)).sum()) if len(outcomes) else 0
