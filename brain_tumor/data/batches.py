"""What goes from the data to the model: rows, and what becomes of them."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset


class Batch(NamedTuple):
    """What the model gets.

    Attributes:
        inputs: float32 (B, 3, size, size) images, or (B, D) features where the backbone's output is cached.
        labels: int64 (B,).
        rows: int64 (B,), the slices' rows in the data module's table.
    """

    inputs: Tensor
    labels: Tensor
    rows: Tensor


class Rows(Dataset[Tensor]):
    """Serve row numbers, a whole batch at a time: collating them one by one would cost more than a head's step."""

    def __init__(self, rows: NDArray[np.intp]) -> None:
        self._rows = torch.from_numpy(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitems__(self, indices: list[int]) -> Tensor:
        """Return the batch of rows int64 (B,)."""
        return self._rows[indices]
