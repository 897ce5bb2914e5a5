"""Check an ONNX file that `export` has written: its metadata, and that nothing has changed since."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.datasets import positive
from brain_tumor.scans.fitted import Fitted

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from onnx import ModelProto

SUFFIX = ".onnx"
PRODUCER = "brain_tumor"
PREFIX = "brain_tumor."  # of the names in the file's metadata, whose values are JSON
FORMAT = 5
OUTPUTS = ("probabilities", "pixels", "mask")  # the last two of a segmenter
# The facts in the metadata, with their types.
FACTS: dict[str, type] = {
    "format": int,
    "task": str,
    "classes": list,
    "positive": str,  # the class that means a tumour; null if the data does not say
    "data": str,  # the data set's name
    "data_key": str,  # identifies names, pixels and labels
    "data_licence": str,
    "sequences": list,  # in the channels, in this order; empty for three unknown ones
    "skull": bool,  # whether the training heads had skulls; null if unknown
    "preset": str,  # of a volume's intensities
    "intensities": str,  # how they are scaled: "file", or "volume", then `statistics` is an input, too
    "size": int,
    "threshold": float,  # the calibrated probability of the positive class from which a slice counts as positive
    "threshold_origin": str,
    "temperature": float,  # calibrates the probabilities; 1 if they stay raw
    "neighbours": int,  # slices on each side of a slice, whose channels come before and after its own
    "neighbour_mm": float,  # how far apart these lie; null if unknown
    "labels": dict,  # the regions and labels of a mask; null for one region of the label 1
    "scaling": str,  # how training volumes were scaled, "levels"; null for data of pictures
    "plane": str,  # of the slices: "axial", "coronal" or "sagittal"
    "components": float,  # which components of a volume's mask are kept: of this share of the largest one's size
    "precision": str,  # of weights and activations: "float32" or "int8"
    "novelty": str,  # what the training slices look like (`data.novelty.Reference.to_text`); null if unknown
    "run": str,
    "weights_sha256": str,  # of the run's checkpoint
}
_NULLABLE = ("positive", "skull", "neighbour_mm", "labels", "scaling", "novelty")
# What formats 2 to 4 lacked, and meant.
_FROM_FORMAT_2 = {"intensities": "file", "neighbours": 0, "neighbour_mm": None, "components": 0.0}
_FROM_FORMAT_3 = {"labels": None, "scaling": None, "plane": "axial", "precision": "float32"}
_FROM_FORMAT_4 = {"novelty": None}
_STANDARD = {"", "ai.onnx"}  # domains of operators


def inputs(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Name a file's inputs: images uint8 (N, H, W, C K), and perhaps statistics float32 (N, C, 4) (see `Fitted`)."""
    return ("images", "statistics") if facts["intensities"] == "volume" else ("images",)


def feed(images: NDArray[np.uint8], fitted: Fitted) -> dict[str, NDArray[Any]]:
    """Return a file's inputs for images uint8 (N, H, W, C K), whose volumes' statistics `fitted` has."""
    images = np.ascontiguousarray(images)
    if fitted.statistics is None:
        return {"images": images}
    return {"images": images, "statistics": np.ascontiguousarray(fitted.statistics)}


def digest(model: "ModelProto") -> str:
    """Return the SHA-256 of a model's weights, sorted by name, and of its operations."""
    content = hashlib.sha256()
    for tensor in sorted(model.graph.initializer, key=lambda tensor: tensor.name):
        content.update(repr((tensor.name, list(tensor.dims), tensor.data_type)).encode())
        content.update(tensor.raw_data)
    for node in model.graph.node:
        content.update(repr((node.op_type, list(node.input), list(node.output))).encode())
        for attribute in sorted(node.attribute, key=lambda attribute: attribute.name):
            content.update(attribute.SerializeToString(deterministic=True))
    return content.hexdigest()


def stamp(model: "ModelProto", facts: Mapping[str, Any]) -> None:
    """Write facts (see `FACTS`) and the digest of its content into a model's metadata, in place of what is there."""
    assert set(facts) == set(FACTS), "the facts that are written are those that are read"
    model.producer_name = PRODUCER
    model.ClearField("metadata_props")
    for name, value in {**facts, "content_sha256": digest(model)}.items():
        model.metadata_props.add(key=PREFIX + name, value=json.dumps(value))


def metadata(model: "ModelProto", path: Path) -> dict[str, Any]:
    """Return a file's metadata.

    Raises:
        ValueError: `export` has not written the file, or it has changed since.
    """
    if model.producer_name != PRODUCER:
        origin = model.producer_name[:40] or "nobody"
        raise ValueError(f"{path}: written by {origin!r}; give a file that brain_tumor.export has written")
    if any(_is_external(tensor) for tensor in _tensors(model)):
        raise ValueError(f"{path}: keeps weights in other files; only what is in the file itself is read")
    domains = {node.domain for node in model.graph.node} | {opset.domain for opset in model.opset_import}
    if domains - _STANDARD or len(model.functions):
        raise ValueError(f"{path}: has operators of its own, which export never writes")
    try:
        facts = {
            prop.key.removeprefix(PREFIX): json.loads(prop.value)
            for prop in model.metadata_props
            if prop.key.startswith(PREFIX)
        }
    except ValueError as error:
        raise ValueError(f"{path}: its metadata is damaged") from error
    if facts.get("format") == 1:
        facts |= _from_format_1(facts)
    if facts.get("format") == 2:
        facts |= {"format": 3, **_FROM_FORMAT_2}
    if facts.get("format") == 3:
        facts |= {"format": 4, **_FROM_FORMAT_3}
    if facts.get("format") == 4:
        facts |= {"format": FORMAT, **_FROM_FORMAT_4}
    unknown = {name for name in _NULLABLE if facts.get(name, "") is None}
    lacking = [name for name, type_ in FACTS.items() if name not in unknown and not isinstance(facts.get(name), type_)]
    if lacking:
        raise ValueError(f"{path}: lacks metadata ({', '.join(lacking)}); export the run again")
    if facts["format"] != FORMAT:
        raise ValueError(f"{path}: of format {facts['format']}, which this version does not know; update brain_tumor")
    if facts.pop("content_sha256", "") != digest(model):
        raise ValueError(f"{path}: damaged, or changed after it was exported; export the run again")
    return facts


def _from_format_1(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that format 1 lacked; the classes' names may say which is positive."""
    classes: Any = facts.get("classes")
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    return {
        "format": 2,
        "positive": positive.guess(classes) if named else None,
        "skull": None,
        "threshold_origin": "the file's",
    }


def _tensors(message: "Message") -> Iterator[Any]:
    """Yield every tensor in a message, at any depth."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if hasattr(value, "__len__") else [value]:
                yield from _tensors(part)


def _is_external(tensor: Any) -> bool:
    return bool(tensor.data_location != 0 or len(tensor.external_data))
