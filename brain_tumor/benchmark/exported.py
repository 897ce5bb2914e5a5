"""Measure exported files: onnxruntime beside torch, on the same fitted slices as `predict`."""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from brain_tumor.benchmark.bench import Bench
from brain_tumor.benchmark.loops import rate
from brain_tumor.benchmark.measure import Row, alone, interleave
from brain_tumor.inference import onnx_export
from brain_tumor.inference.base import Network
from brain_tumor.inference.onnx_file import FACTS, FORMAT
from brain_tumor.inference.onnx_run import OnnxRun
from brain_tumor.inference.torch_network import TorchNetwork
from brain_tumor.models.segmenter import Segmenter
from brain_tumor.models.task import Task
from brain_tumor.scans.fitted import Fitted

_SLICES = 64


def exported(bench: Bench) -> Iterator[Row]:
    """Measure images per second of classifiers and a U-Net: as an ONNX file, and with torch in two precisions."""
    fitted = Fitted(np.ascontiguousarray(bench.data.decoded.images[bench.data.rows["test"][:_SLICES]]))
    unet = "resunet18"
    builders: dict[str, Callable[[], Task]] = {name: partial(bench.build, name, "finetune") for name in bench.models}
    builders[unet] = partial(Segmenter, encoder="resnet18", num_classes=2, weights="none")
    for name, build in builders.items():
        networks: dict[str, Network] = {"onnxruntime, float32": _file(build(), bench)}
        for precision in dict.fromkeys(["32-true", bench.precision]):
            networks[f"torch, {precision}"] = TorchNetwork(build(), bench.data.transforms, precision)
        sides = {side: partial(_rate, network, fitted, bench.device) for side, network in networks.items()}
        for side, speeds in interleave(sides, bench.repeats).items():
            yield alone(f"{name} predicts: {side}", "images/s", speeds)


def _rate(network: Network, fitted: Fitted, device: torch.device) -> float:
    return rate(lambda: len(network(fitted).probabilities), device)


def _file(model: Task, bench: Bench) -> OnnxRun:
    whole = onnx_export.Whole(model, bench.data.transforms, bench.data.size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        facts = {name: type_() for name, type_ in FACTS.items()}
        onnx_export.write(whole, path, {**facts, "format": FORMAT, "labels": None})
        return OnnxRun.open(path)
