"""Write a trained network as one ONNX file that takes raw pictures, and check it against the network."""

import json
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
from brain_tumor.inference import onnx_file, resampling
from brain_tumor.models.classifier import Classifier
from brain_tumor.models.segmenter import Segmenter, surest
from brain_tumor.models.task import Task

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime import InferenceSession

BATCHES = (1, 2, 7)
MOST_APART = 1e-4  # probabilities, and the share of the masks' pixels


class Whole(nn.Module):
    """A trained network with all that comes before and after it, in float32.

    Args:
        model: a classifier or a segmenter.
        transforms: its.
        size: of the images that it was trained on, in pixels.

    Raises:
        ValueError: a model of another task.
    """

    def __init__(self, model: Task, transforms: Transforms, size: int) -> None:
        super().__init__()
        if isinstance(model, Classifier):
            # Not the model itself: a frozen one switches gradients off on its way, which is not for a file.
            self.network: nn.Module = nn.Sequential(model.backbone, model.head)
        elif isinstance(model, Segmenter):
            self.network = model.network
        else:
            raise ValueError(f"export: writes classifiers and segmenters; this run's task is {model.kind}")
        self.marks = isinstance(model, Segmenter)
        self.transforms, self.size = transforms, size
        self.eval().to(memory_format=torch.contiguous_format)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Turn pictures uint8 (N, H, W, 3) into what is said of them.

        Returns:
            Probabilities float32 (N, C), and of a segmenter (a slice's being its surest pixel's) also every pixel's,
            float32 (N, H, W), and the mask, uint8 (N, H, W) of 0 and 1.
        """
        output = self.network(self.transforms(resampling.fit(images, self.size)))
        if not self.marks:
            return (torch.softmax(output, 1),)
        maps = torch.sigmoid(output[:, 0])
        sure = surest(maps)
        pixels = resampling.unfit(maps, images)
        return torch.stack([1 - sure, sure], 1), pixels, (pixels >= 0.5).to(torch.uint8)


def write(whole: Whole, path: Path, facts: Mapping[str, Any]) -> None:
    """Write the network as one file, with what is to be known of it.

    Args:
        whole: the network.
        path: of the file.
        facts: plain values by name (see `onnx_file.FACTS`).
    """
    import onnx

    assert set(facts) == set(onnx_file.FACTS), "what is written is what is read"
    free = {axis: torch.export.Dim(name, min=1) for axis, name in enumerate(("batch", "height", "width"))}
    sample = torch.zeros(2, whole.size + 9, whole.size + 5, 3, dtype=torch.uint8)
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch's about its own code
        program = torch.onnx.export(
            whole,
            (sample,),
            input_names=["images"],
            output_names=list(onnx_file.OUTPUTS[: 3 if whole.marks else 1]),
            dynamic_shapes=(free,),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model: ModelProto = program.model_proto
    _strip(model)
    model.producer_name = onnx_file.PRODUCER
    for name, value in {**facts, "content_sha256": onnx_file.digest(model)}.items():
        model.metadata_props.add(key=onnx_file.PREFIX + name, value=json.dumps(value))
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
    """Run network and file over the same bytes, in batches of 1, 2 and 7; return how far apart they are.

    Args:
        whole: the network.
        session: of the file.
        samples: uint8 (n, H, W, 3), those of one size together.

    Returns:
        `probabilities`, the largest difference, and `pixels`, the share of the masks' pixels that are not equal.
    """
    chances, unequal, pixels = 0.0, 0, 0
    for own in samples:
        for count in BATCHES:
            batch = np.ascontiguousarray(own[np.arange(count) % len(own)])
            with torch.no_grad():
                expected = [output.numpy() for output in whole(torch.from_numpy(batch))]
            found = session.run(None, {"images": batch})
            chances = max(chances, float(np.abs(expected[0] - found[0]).max()))
            if whole.marks:
                unequal += int((expected[2] != found[2]).sum())
                pixels += expected[2].size
    return {"probabilities": chances, "pixels": unequal / max(pixels, 1)}
