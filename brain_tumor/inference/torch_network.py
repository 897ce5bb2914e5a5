"""Compute the network of a run with torch."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from brain_tumor.data.transforms import Transforms
from brain_tumor.inference.base import Outputs
from brain_tumor.models import gradcam, precision
from brain_tumor.models.classifier import Classifier
from brain_tumor.models.task import Task
from brain_tumor.scans.fitted import Fitted

_BATCH = {"cpu": 16, "cuda": 256}
_LANES = 4  # batches that a CPU computes in parallel; more would take too much memory


def device() -> torch.device:
    """Return the device to compute on: a GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class TorchNetwork:
    """A trained network with its transforms (see `brain_tumor.inference.base.Network`).

    The cores of a CPU compute several batches in parallel, since with one batch they would wait for each other.

    Args:
        model: the trained one.
        transforms: the model's.
        trained_in: Lightning's name of the precision that it was trained in.

    Raises:
        ValueError: the model's task predicts neither classes nor masks.
    """

    def __init__(self, model: Task, transforms: Transforms, trained_in: str) -> None:
        if not model.predicts:
            raise ValueError(f"run: predict knows classifiers and segmenters; this run's task is {model.kind}")
        self.device = device()
        self.model, self.transforms = model.to(self.device).eval(), transforms.to(self.device).eval()
        self._precision = trained_in
        self._lanes = min(_LANES, torch.get_num_threads()) if self.device.type == "cpu" else 1
        # The number of threads is set in each thread of the pool, and does not change that of other threads.
        threads = (torch.get_num_threads() // self._lanes,)
        self._pool = ThreadPoolExecutor(self._lanes, initializer=torch.set_num_threads, initargs=threads)

    @property
    def batch(self) -> int:
        """The number of slices that it predicts together."""
        return 2 * self._lanes * _BATCH[self.device.type]

    def __call__(self, fitted: Fitted) -> Outputs:
        """Predict slices as a test of the run would."""
        precision.use(self._precision)
        outcomes = torch.cat(list(self._pool.map(self._forward, self._parts(fitted))))
        probabilities, maps = self.model.predict_outcomes(outcomes)
        return Outputs(probabilities.numpy(), None if maps is None else maps.numpy())

    @torch.no_grad()
    def _forward(self, part: Fitted) -> torch.Tensor:
        with precision.autocast(self._precision, self.device):
            outcomes: torch.Tensor = self.model.infer(self._inputs(part)).float().cpu()
        return outcomes

    def explain(self, fitted: Fitted, target: int) -> NDArray[np.float32] | None:
        """Return a classifier's heat maps of a class, float32 (n, size, size) from 0 up; None for another task."""
        if not isinstance(self.model, Classifier):
            return None
        heat_maps = gradcam.explainer(self.model, target, fitted.images.shape[1])
        return np.concatenate([heat_maps(self._inputs(part)) for part in self._parts(fitted)])

    def _parts(self, fitted: Fitted) -> Iterator[Fitted]:
        """Divide slices into batches, so that every lane has one."""
        share = -(-len(fitted.images) // self._lanes)
        return fitted.batches(min(share, _BATCH[self.device.type]))

    def _inputs(self, part: Fitted) -> torch.Tensor:
        """Move slices to the device and transform them: float32 (B, 3 K, size, size)."""
        images = torch.from_numpy(part.images).permute(0, 3, 1, 2).to(self.device)
        if part.statistics is None:
            inputs: torch.Tensor = self.transforms(images)
            return inputs
        whole = torch.tensor(part.statistics[:, None]).to(self.device)
        standardized: torch.Tensor = self.transforms(images, whole)
        return standardized
