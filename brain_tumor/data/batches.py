"""Serve row numbers in batches, and define the batch that a model gets."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, default_convert


class Batch(NamedTuple):
    """The batch that a model gets.

    Attributes:
        inputs: float32 (B, C, size, size) images; with `cached`, the features (B, D) or maps (B, D, H, W) that the
            frozen part of a network has made of them.
        labels: int64 (B,).
        rows: int64 (B,), the slices' rows in the data module's table.
        masks: uint8 (B, size, size) of labels, transformed like the images; None where the task asks for none.
        cached: whether `inputs` are features.
    """

    inputs: Tensor
    labels: Tensor
    rows: Tensor
    masks: Tensor | None = None
    cached: bool = False


class Rows(Dataset[Tensor]):
    """Serve row numbers, a whole batch at a time: collating them one by one would cost more than a head's step."""

    def __init__(self, rows: NDArray[np.intp]) -> None:
        self._rows = torch.from_numpy(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitems__(self, indices: list[int]) -> Tensor:
        """Return the batch of rows int64 (B,)."""
        return self._rows[indices]


class Balanced(DistributedSampler[Any]):
    """Show every slice with a tumour in each epoch, and a fresh draw of those without.

    Args:
        rows: the dataset.
        positive: bool (n,), which of `rows` have a tumour.
        empty: how many slices without a tumour to show for each with one; at most all of them are shown.
        seed: determines the draw and the order, together with the epoch.
        num_replicas: how many processes share an epoch.
        rank: the number of this process.

    Attributes:
        total: how many slices an epoch shows, over all processes.
    """

    def __init__(
        self, rows: Dataset[Tensor], positive: NDArray[np.bool_], empty: float, seed: int, num_replicas: int, rank: int
    ) -> None:
        super().__init__(rows, num_replicas, rank, shuffle=True, seed=seed)
        self._tumours, self._empty = np.flatnonzero(positive), np.flatnonzero(~positive)
        self._drawn = min(len(self._empty), round(empty * len(self._tumours)))
        self.total = len(self._tumours) + self._drawn
        self.num_samples = -(-self.total // self.num_replicas)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self.seed, self.epoch])
        empty = generator.choice(self._empty, self._drawn, replace=False)
        order = generator.permutation(np.concatenate([self._tumours, empty]))
        # Every process gets equally many: where the rows do not divide, the first ones are shown twice.
        shared = np.resize(order, self.num_samples * self.num_replicas)
        return iter(shared[self.rank :: self.num_replicas].tolist())


def loader(rows: Rows, batch_size: int, sampler: DistributedSampler[Any] | None = None) -> DataLoader[Any]:
    """Return a loader of batches of rows int64 (B,), in order or as a sampler draws them."""
    # It gets its own generator, since an iterator draws a seed when it is made, and a resumed run makes one more
    # iterator than an unbroken one. Drawn from the global generator, that would change every later augmentation.
    return DataLoader(rows, batch_size, sampler=sampler, generator=torch.Generator(), collate_fn=default_convert)
