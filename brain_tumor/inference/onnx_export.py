"""Write a trained network as one ONNX file that takes raw pictures, and compare the file with the network."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.regions import BINARY
from brain_tumor.inference import onnx_file, resampling
from brain_tumor.models import region_maps
from brain_tumor.models.classifier import Classifier
from brain_tumor.models.segmenter import Segmenter
from brain_tumor.models.task import Task
from brain_tumor.scans import fitted

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime import InferenceSession

BATCHES = (1, 2, 7)
MOST_APART = 1e-4  # largest difference of a probability, and largest share of unequal pixels


class Whole(nn.Module):
    """A trained network with its preprocessing and its outputs' postprocessing, in float32.

    Args:
        model: a classifier or a segmenter.
        transforms: the model's.
        size: of the images that it was trained on, in pixels.

    Raises:
        ValueError: the model has another task.
    """

    def __init__(self, model: Task, transforms: Transforms, size: int) -> None:
        super().__init__()
        if isinstance(model, Classifier):
            # Not the model itself: a frozen one switches gradients off in `forward`, which cannot be exported.
            self.network: nn.Module = nn.Sequential(model.backbone, model.head)
        elif isinstance(model, Segmenter):
            self.network = model.network
        else:
            raise ValueError(f"export: writes classifiers and segmenters; this run's task is {model.kind}")
        self.segments = isinstance(model, Segmenter)
        self.regions = model.regions if isinstance(model, Segmenter) else BINARY
        self.transforms, self.size, self.mirror = transforms, size, model.mirror
        self.eval().to(memory_format=torch.contiguous_format)

    def forward(self, images: Tensor, statistics: Tensor | None = None) -> tuple[Tensor, ...]:
        """Predict pictures.

        Args:
            images: uint8 (N, H, W, C K), K slices of C channels: each among its neighbours.
            statistics: float32 (N, C, 4), for networks that see standardized intensities (see `Fitted`).

        Returns:
            Probabilities, float32 (N, C); a segmenter's are those of the surest pixel, and it also returns the
            probability of every pixel, float32 (N, H, W), or (N, R, H, W) of R regions, and the mask, uint8 (N, H, W)
            of labels.
        """
        whole = None if statistics is None else statistics[:, None]
        inputs = self.transforms(resampling.fit(images, self.size), whole)
        output = self.network(inputs)
        if self.mirror:
            mirrored = self.network(inputs.flip(-1))
            output = (output + (mirrored.flip(-1) if self.segments else mirrored)) / 2
        if not self.segments:
            return (torch.softmax(output, 1),)
        maps = region_maps.probabilities(output, self.regions)
        sure = region_maps.surest(maps, self.regions)
        chances = torch.stack([1 - sure, sure], 1)
        if len(self.regions.names) == 1:
            pixels = resampling.unfit(maps[:, 0], images)
            return chances, pixels, (pixels >= 0.5).to(torch.uint8) * self.regions.written[0]
        pixels = torch.stack([resampling.unfit(maps[:, place], images) for place in range(maps.shape[1])], 1)
        return chances, pixels, region_maps.labels(pixels, self.regions)


def write(whole: Whole, path: Path, facts: Mapping[str, Any]) -> None:
    """Write the network and its facts as one file.

    Args:
        whole: the network.
        path: of the file.
        facts: plain values by name (see `onnx_file.FACTS`).
    """
    import onnx

    sequences = len(facts["sequences"]) or 3
    channels = sequences * (2 * facts["neighbours"] + 1)
    batch, height, width = (torch.export.Dim(name, min=1) for name in ("batch", "height", "width"))
    inputs: dict[str, tuple[Tensor, dict[int, Any]]] = {
        "images": (
            torch.zeros(2, whole.size + 9, whole.size + 5, channels, dtype=torch.uint8),
            {0: batch, 1: height, 2: width},
        ),
        "statistics": (torch.ones(2, sequences, 4), {0: batch}),
    }  # fmt: skip
    inputs = {name: inputs[name] for name in onnx_file.inputs(facts)}
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch warns of its own code
        program = torch.onnx.export(
            whole,
            tuple(sample for sample, _ in inputs.values()),
            input_names=list(inputs),
            output_names=list(onnx_file.OUTPUTS[: 3 if whole.segments else 1]),
            dynamic_shapes={name: free for name, (_, free) in inputs.items()},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model: ModelProto = program.model_proto
    _strip(model)
    onnx_file.stamp(model, facts)
    onnx.save(model, path)


def _strip(model: "ModelProto") -> None:
    """Remove the exporter's notes, which name this machine's folders."""
    for graph in [model.graph, *model.functions]:
        for node in graph.node:
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer]:
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
    model.ClearField("doc_string")
    model.ClearField("metadata_props")


def apart(whole: Whole, session: "InferenceSession", samples: Sequence[NDArray[np.uint8]]) -> dict[str, float]:
    """Predict the same pictures with network and file, in batches of 1, 2 and 7, and return how much they differ.

    Args:
        whole: the network.
        session: of the file.
        samples: pictures, uint8 (n, H, W, C), one array per size.

    Returns:
        `probabilities`, the largest difference, and `pixels`, the share of the masks' pixels that are unequal.
    """
    chances, unequal, pixels = 0.0, 0, 0
    for pictures in samples:
        for count in BATCHES:
            batch = np.ascontiguousarray(pictures[np.arange(count) % len(pictures)])
            images, *others = session.get_inputs()
            whole_volume = fitted.of_volume(batch, bool(others), (images.shape[3] // batch.shape[3] - 1) // 2)
            feed = onnx_file.feed(whole_volume.images, whole_volume)
            with torch.no_grad():
                expected = [output.numpy() for output in whole(*map(torch.from_numpy, feed.values()))]
            outputs = session.run(None, feed)
            chances = max(chances, float(np.abs(expected[0] - outputs[0]).max()))
            if whole.segments:
                unequal += int((expected[2] != outputs[2]).sum())
                pixels += expected[2].size
    return {"probabilities": chances, "pixels": unequal / max(pixels, 1)}
