"""What goes from the data to the model: rows, and what becomes of them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler


class Batch(NamedTuple):
    """What the model gets.

    Attributes:
        inputs: float32 (B, 3, size, size) images, or with `cached` (B, D) features that a backbone has made of them.
        labels: int64 (B,).
        rows: int64 (B,), the slices' rows in the data module's table.
        masks: uint8 (B, size, size) of 0 and 1, transformed like the images; None where the task asks for none.
        cached: whether `inputs` are features.
    """

    inputs: Tensor
    labels: Tensor
    rows: Tensor
    masks: Tensor | None = None
    cached: bool = False


class Balanced(DistributedSampler[Any]):
    """Show every slice with a tumour, and of those without so many that are drawn anew in each epoch.

    Args:
        rows: the dataset.
        positive: bool (n,), which of `rows` have a tumour.
        empty: slices without a tumour for each with one; at most as many as there are.
        seed: with the epoch it determines the draw and the order.
        num_replicas: how many processes share an epoch.
        rank: which of them this is.
    """

    def __init__(
        self, rows: Dataset[Tensor], positive: NDArray[np.bool_], empty: float, seed: int, num_replicas: int, rank: int
    ) -> None:
        super().__init__(rows, num_replicas, rank, shuffle=True, seed=seed)
        self._kinds = np.flatnonzero(positive), np.flatnonzero(~positive)
        self._drawn = min(len(self._kinds[1]), round(empty * len(self._kinds[0])))
        self.total = len(self._kinds[0]) + self._drawn
        self.num_samples = -(-self.total // self.num_replicas)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self.seed, self.epoch])
        empty = generator.choice(self._kinds[1], self._drawn, replace=False)
        order = generator.permutation(np.concatenate([self._kinds[0], empty]))
        # Processes get equally many: the first rows stand twice where they do not divide.
        shared = np.resize(order, self.num_samples * self.num_replicas)
        return iter(shared[self.rank :: self.num_replicas].tolist())


class Rows(Dataset[Tensor]):
    """Serve row numbers, a whole batch at a time: collating them one by one would cost more than a head's step."""

    def __init__(self, rows: NDArray[np.intp]) -> None:
        self._rows = torch.from_numpy(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitems__(self, indices: list[int]) -> Tensor:
        """Return the batch of rows int64 (B,)."""
        return self._rows[indices]
