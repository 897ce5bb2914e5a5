"""Serve slices to a trained network without a trainer."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from brain_tumor.data.batches import Batch
from brain_tumor.data.datamodule import SliceDataModule


def batches(data: SliceDataModule, rows: NDArray[np.intp], device: torch.device, title: str) -> Iterator[Batch]:
    """Serve rows of the data in order, as a test sees them, with a progress bar of that title."""
    data.store.place(device)
    data.transforms.eval()
    parts = torch.split(torch.tensor(rows), data.eval_batch_size(device))
    for part in tqdm(parts, title, unit=" batches", leave=False, disable=None):
        yield data.store.batch(part, device)
