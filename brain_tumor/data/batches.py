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


class Rows(Dataset[Tensor]):
    """Serve row numbers, a whole batch at a time: collating them one by one would cost more than a head's step."""

    def __init__(self, rows: NDArray[np.intp]) -> None:
        self._rows = torch.from_numpy(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitems__(self, indices: list[int]) -> Tensor:
        """Return the batch of rows int64 (B,)."""
        return self._rows[indices]
