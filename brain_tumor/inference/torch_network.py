"""A run's network over pictures that are fitted already, with torch."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from brain_tumor.data.transforms import Transforms
from brain_tumor.inference.base import Outputs
from brain_tumor.models import gradcam, precision
from brain_tumor.models.classifier import Classifier
from brain_tumor.models.task import Task

_TASKS = ("classification", "segmentation")
_BATCH = {"cpu": 16, "cuda": 256}
_LANES = 4  # batches that a CPU works at side by side; more would take memory


def device() -> torch.device:
    """Return what is computed on here."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class TorchNetwork:
    """A trained network with its transforms and its arithmetic (see `brain_tumor.inference.base.Network`).

    A CPU's cores work at batches of their own, since all of them at one would wait for each other.

    Raises:
        ValueError: a model of another task, whose outputs are no probabilities of classes or pixels.
    """

    def __init__(self, model: Task, transforms: Transforms, arithmetic: str) -> None:
        if model.kind not in _TASKS:
            raise ValueError(f"run: predict knows classifiers and segmenters; this run's task is {model.kind}")
        self.device = device()
        self.model, self.transforms = model.to(self.device).eval(), transforms.to(self.device).eval()
        self.arithmetic = arithmetic
        self._lanes = min(_LANES, torch.get_num_threads()) if self.device.type == "cpu" else 1
        # What it sets holds for each thread of the pool, and for none that is there already.
        threads = (torch.get_num_threads() // self._lanes,)
        self._pool = ThreadPoolExecutor(self._lanes, initializer=torch.set_num_threads, initargs=threads)

    @property
    def batch(self) -> int:
        """How many pictures it looks at together."""
        return 2 * self._lanes * _BATCH[self.device.type]

    def __call__(self, fitted: NDArray[np.uint8]) -> Outputs:
        """Look at uint8 (n, size, size, 3), and return what a test would have recorded."""
        precision.use(self.arithmetic)
        output = torch.cat(list(self._pool.map(self._look, self._parts(fitted))))
        if self.model.kind != "segmentation":
            return Outputs(torch.softmax(output.double(), 1).numpy(), None)
        maps = torch.sigmoid(output).half()  # as a test keeps them
        sure = maps.flatten(1).amax(1).double()
        return Outputs(torch.stack([1 - sure, sure], 1).numpy(), maps.float().numpy())

    @torch.no_grad()
    def _look(self, part: torch.Tensor) -> torch.Tensor:
        with precision.autocast(self.arithmetic, self.device):
            output: torch.Tensor = self.model(self.transforms(part)).float().cpu()
        return output

    def explain(self, fitted: NDArray[np.uint8], target: int) -> NDArray[np.float32] | None:
        """Return where a classifier looks for a class: float32 (n, size, size) from 0 up; None of another task."""
        if not isinstance(self.model, Classifier):
            return None
        look = gradcam.explainer(self.model, target, fitted.shape[1])
        return np.concatenate([look(self.transforms(part)) for part in self._parts(fitted)])

    def _parts(self, fitted: NDArray[np.uint8]) -> list[torch.Tensor]:
        pictures = torch.from_numpy(fitted).permute(0, 3, 1, 2)
        share = -(-len(pictures) // self._lanes)  # so that no lane is left without
        return [part.to(self.device) for part in torch.split(pictures, min(share, _BATCH[self.device.type]))]
