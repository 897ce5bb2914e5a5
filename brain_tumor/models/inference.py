"""Run a trained network over slices without a trainer."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from brain_tumor.data.batches import Batch
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.models import precision as precision_


def batches(data: SliceDataModule, rows: NDArray[np.intp], device: torch.device, title: str) -> Iterator[Batch]:
    """Serve rows of the data in order, as a test sees them, with a progress bar of that title."""
    data.store.place(device)
    data.transforms.eval()
    parts = torch.split(torch.tensor(rows), data.eval_batch_size(device))
    for part in tqdm(parts, title, unit=" batches", leave=False, disable=None):
        yield data.store.batch(part, device)


@torch.no_grad()
def outputs(
    network: nn.Module, data: SliceDataModule, rows: NDArray[np.intp], precision: str, device: torch.device
) -> Tensor:
    """Return what a network makes of slices: float32 (n, ...) on the CPU.

    Args:
        network: images (B, 3, H, W) to (B, ...).
        data: set up, with the network's transforms.
        rows: (n,) of the data's table.
        precision: Lightning's name.
        device: to compute on.
    """
    network.to(device).eval()
    chunks = []
    for batch in batches(data, rows, device, "classifying"):
        with precision_.autocast(precision, device):
            chunks.append(network(batch.inputs).float().cpu())
    return torch.cat(chunks)
