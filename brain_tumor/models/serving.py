"""Serve slices to a trained network in a loop without a trainer."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from brain_tumor.data.batches import Batch
from brain_tumor.data.datamodule import SliceDataModule


def batches(data: SliceDataModule, rows: NDArray[np.intp], device: torch.device, title: str) -> Iterator[Batch]:
    """Yield batches of slices in order, transformed as in a test, and show a progress bar.

    Args:
        data: set up; its store is placed on the device.
        rows: (n,), the slices' rows in the data's table.
        device: to put the batches on.
        title: of the progress bar.
    """
    data.store.place(device)
    data.transforms.eval()
    chunks = torch.split(torch.tensor(rows), data.eval_batch_size(device))
    for chunk in tqdm(chunks, title, unit=" batches", leave=False, disable=None):
        yield data.store.batch(chunk, device)
