"""Quantize an exported file to int8, and compare both on slices that the network was not trained on."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.inference import onnx_file
from brain_tumor.inference.onnx_run import OnnxRun
from brain_tumor.metrics import calibration
from brain_tumor.scans import fitted
from brain_tumor.scans.fitted import Fitted

if TYPE_CHECKING:
    from onnx import ModelProto

PATIENTS = 16  # to calibrate on, and as many others to compare on
_SLICES = 8  # of a patient, to calibrate on
# What a residual network and a decoder are made of. Preprocessing and probabilities stay in float32.
_QUANTIZED = ["Conv", "Gemm", "Add", "Relu", "MaxPool", "Concat", "GlobalAveragePool"]
MOST_TURNED = 0.003  # share of the verdicts that may differ from float32's, rounded up to one
LEAST_DICE = 0.98  # of int8's masks with float32's, over the patients' volumes


def volumes(data: SliceDataModule, part: str, most: int = PATIENTS) -> list[Fitted]:
    """Return volumes of a part, evenly spread over its patients, as the network gets them.

    Args:
        data: set up.
        part: "train" or "test".
        most: number of volumes. A slice whose patient is unknown is a volume of its own.

    Raises:
        ValueError: the part is empty.
    """
    table = data.table.iloc[data.rows[part]]
    if table.empty:
        raise ValueError(f"precision=int8: the run has no {part} part, which the int8 file is made or checked with")
    units = table["case"].where(table["case"] != "", table["path"])
    names = sorted(units.unique())
    chosen = [names[place] for place in np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int)]
    return [_volume(data, table[units == name].sort_values("slice").index.to_numpy()) for name in chosen]


def _volume(data: SliceDataModule, rows: NDArray[np.int64]) -> Fitted:
    images = data.decoded.images[rows]
    numbers = data.table["slice"].to_numpy(np.int64)[rows]
    inputs, spacing = data.inputs, data.dataset.slice_mm
    step = fitted.step(np.nan if spacing is None else spacing, inputs.neighbour_mm)
    return fitted.of_volume(images, inputs.intensities == "volume", inputs.neighbours, step, numbers)


def write(source: Path, target: Path, calibrated_on: Sequence[Fitted]) -> None:
    """Write an exported file again with weights and activations in int8.

    Weights have seven bits, one scale per channel: with eight, processors without VNNI instructions would saturate
    their sums without a word, and the same file would say something else there.

    Args:
        source: the file in float32.
        target: of the file in int8.
        calibrated_on: volumes of the training part, from which the ranges of activations are measured.
    """
    import onnx
    from onnxruntime import quantization

    model = onnx.load(source)
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it advises a preprocessing that `export` has done
    try:
        quantization.quantize_static(
            str(source),
            str(target),
            _Reader(calibrated_on),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=_QUANTIZED,
            nodes_to_exclude=_outside_the_network(model),
            per_channel=True,
            reduce_range=True,
            weight_type=quantization.QuantType.QInt8,
            activation_type=quantization.QuantType.QUInt8,
        )
    finally:
        logger.setLevel(level)
    written = onnx.load(target)
    onnx_file.stamp(written, {**onnx_file.metadata(model, source), "precision": "int8"})
    onnx.save(written, target)


class _Reader:
    """Serve onnxruntime's calibration one slice at a time."""

    def __init__(self, volumes: Sequence[Fitted]) -> None:
        self._feeds = self._slices(volumes)

    def _slices(self, volumes: Sequence[Fitted]) -> Iterator[dict[str, NDArray[Any]]]:
        for volume in volumes:
            count = len(volume.images)
            for place in np.linspace(0, count - 1, min(_SLICES, count)).round().astype(int):
                part = volume.of(np.array([place]))
                yield onnx_file.feed(part.images, part)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """Return the inputs of the next slice; None after the last."""
        return next(self._feeds, None)


def _outside_the_network(model: "ModelProto") -> list[str]:
    """Return the names of the nodes before the first and after the last layer with weights."""
    layers = [place for place, node in enumerate(model.graph.node) if node.op_type in {"Conv", "Gemm"}]
    return [node.name for place, node in enumerate(model.graph.node) if not layers[0] <= place <= layers[-1]]


def compare(exact: OnnxRun, quantized: OnnxRun, held_out: Sequence[Fitted]) -> dict[str, float]:
    """Compare verdicts and masks of two files.

    Args:
        exact: in float32.
        quantized: in int8.
        held_out: volumes.

    Returns:
        `slices` and `volumes`, their numbers; `probabilities`, the largest difference, and `mean`; `turned`, how many
        verdicts differ; `dice`, the mean Dice of the masks over volumes in which either has any, 1 without masks.

    Raises:
        ValueError: verdicts or masks differ too much.
    """
    apart, turned, dice = [], 0, []
    for volume in held_out:
        first, second = exact(volume), quantized(volume)
        apart.append(np.abs(first.probabilities - second.probabilities).max(1))
        turned += int((_verdicts(exact, first.probabilities) != _verdicts(exact, second.probabilities)).sum())
        if first.maps is not None and second.maps is not None:
            masks = first.maps >= 0.5, second.maps >= 0.5
            if total := masks[0].sum() + masks[1].sum():
                dice.append(2 * (masks[0] & masks[1]).sum() / total)
    all_apart = np.concatenate(apart)
    found = {
        **{"slices": len(all_apart), "volumes": len(held_out), "turned": turned},
        **{"probabilities": float(all_apart.max()), "mean": float(all_apart.mean())},
        "dice": float(np.mean(dice)) if dice else 1.0,
    }
    if turned > max(1, MOST_TURNED * len(all_apart)) or found["dice"] < LEAST_DICE:
        raise ValueError(
            f"precision=int8: {turned} of {len(all_apart)} verdicts differ from float32's (at most {MOST_TURNED:.1%}), "
            f"the masks' Dice with float32's is {found['dice']:.3f} (at least {LEAST_DICE}); nothing was written"
        )
    return found


def _verdicts(run: OnnxRun, probabilities: NDArray[np.float64]) -> NDArray[np.intp]:
    if run.positive is None:
        ranked: NDArray[np.intp] = probabilities.argmax(1)
        return ranked
    calibrated = calibration.soften(probabilities, run.temperatures[run.name])
    return np.asarray(calibrated[:, run.classes.index(run.positive)] >= run.threshold, np.intp)
