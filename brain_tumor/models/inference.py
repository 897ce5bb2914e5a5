"""Run a trained network over slices without a trainer."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from brain_tumor.data.batches import Batch
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.transforms import Transforms
from brain_tumor.models import precision as precision_
from brain_tumor.models.outputs import Outputs
from brain_tumor.models.task import Task

_BATCH = {"cpu": 16, "cuda": 256}


def device() -> torch.device:
    """Return what is computed on here."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Network:
    """A trained network with its transforms and its arithmetic (see `brain_tumor.models.outputs.Network`)."""

    def __init__(self, model: Task, transforms: Transforms, arithmetic: str, device: torch.device) -> None:
        self.model, self.transforms = model.to(device).eval(), transforms.to(device).eval()
        self.arithmetic, self.device = arithmetic, device

    @torch.no_grad()
    def __call__(self, fitted: NDArray[np.uint8]) -> Outputs:
        """Look at uint8 (n, size, size, 3), and return what a test would have recorded."""
        precision_.use(self.arithmetic)
        outputs = []
        for part in torch.split(torch.from_numpy(fitted), _BATCH[self.device.type]):
            inputs = self.transforms(part.permute(0, 3, 1, 2).to(self.device))
            with precision_.autocast(self.arithmetic, self.device):
                outputs.append(self.model(inputs).float().cpu())
        output = torch.cat(outputs)
        if self.model.kind != "segmentation":
            return Outputs(torch.softmax(output.double(), 1).numpy(), None)
        maps = torch.sigmoid(output).half()  # as a test keeps them
        sure = maps.flatten(1).amax(1).double()
        return Outputs(torch.stack([1 - sure, sure], 1).numpy(), maps.float().numpy())


def batches(data: SliceDataModule, rows: NDArray[np.intp], device: torch.device, title: str) -> Iterator[Batch]:
    """Serve rows of the data in order, as a test sees them, with a progress bar of that title."""
    data.place(device)
    data.transforms.eval()
    parts = torch.split(torch.tensor(rows), data.eval_batch_size(device))
    for part in tqdm(parts, title, unit=" batches", leave=False, disable=None):
        yield data.batch(part, device)


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
