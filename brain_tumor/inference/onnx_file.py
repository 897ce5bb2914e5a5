"""The ONNX file that `export` writes: what its metadata must say, and that nothing has changed since."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brain_tumor.datasets import positive

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from onnx import ModelProto

SUFFIX = ".onnx"
PRODUCER = "brain_tumor"
PREFIX = "brain_tumor."  # of the names in the file's metadata, whose values are JSON
FORMAT = 2
OUTPUTS = ("probabilities", "pixels", "mask")  # the last two of a segmenter
# What stands in the metadata, each with its type.
FACTS: dict[str, type] = {
    "format": int,
    "task": str,
    "classes": list,
    "positive": str,  # the class that means a tumour; null where the data does not say
    "data": str,  # the data set's name
    "data_key": str,  # identifies names, pixels and labels
    "data_licence": str,
    "sequences": list,  # that the three channels were, in this order; empty where that is not known
    "skull": bool,  # whether the heads in training had theirs; null where that is not known
    "preset": str,  # of a volume's intensities
    "size": int,
    "threshold": float,  # the calibrated probability of the positive class from which a slice counts as positive
    "threshold_origin": str,
    "temperature": float,  # that calibrates the probabilities; 1 where they are raw
    "run": str,
    "weights_sha256": str,  # of the run's checkpoint
}
_NULLABLE = ("positive", "skull")
_STANDARD = {"", "ai.onnx"}  # domains of operators


def digest(model: "ModelProto") -> str:
    """Return the SHA-256 of a model's weights and of what is computed with them, in an order of its own."""
    found = hashlib.sha256()
    for tensor in sorted(model.graph.initializer, key=lambda tensor: tensor.name):
        found.update(repr((tensor.name, list(tensor.dims), tensor.data_type)).encode())
        found.update(tensor.raw_data)
    for node in model.graph.node:
        found.update(repr((node.op_type, list(node.input), list(node.output))).encode())
        for attribute in sorted(node.attribute, key=lambda attribute: attribute.name):
            found.update(attribute.SerializeToString(deterministic=True))
    return found.hexdigest()


def metadata(model: "ModelProto", path: Path) -> dict[str, Any]:
    """Return a file's metadata.

    Raises:
        ValueError: it is not one that `export` has written, or has changed since.
    """
    if model.producer_name != PRODUCER:
        origin = model.producer_name[:40] or "nobody"
        raise ValueError(f"{path}: written by {origin!r}; give a file that brain_tumor.export has written")
    if any(_is_external(tensor) for tensor in _tensors(model)):
        raise ValueError(f"{path}: keeps weights in other files; only what is in the file itself is read")
    domains = {node.domain for node in model.graph.node} | {own.domain for own in model.opset_import}
    if domains - _STANDARD or len(model.functions):
        raise ValueError(f"{path}: has operators of its own, which export never writes")
    try:
        found = {
            own.key.removeprefix(PREFIX): json.loads(own.value)
            for own in model.metadata_props
            if own.key.startswith(PREFIX)
        }
    except ValueError as error:
        raise ValueError(f"{path}: its metadata is damaged") from error
    if found.get("format") == 1:
        found |= _from_format_1(found)
    unknown = {name for name in _NULLABLE if found.get(name, "") is None}
    lacking = [name for name, kind in FACTS.items() if name not in unknown and not isinstance(found.get(name), kind)]
    if lacking:
        raise ValueError(f"{path}: lacks metadata ({', '.join(lacking)}); export the run again")
    if found["format"] != FORMAT:
        raise ValueError(f"{path}: of format {found['format']}, which this version does not know; update brain_tumor")
    if found.pop("content_sha256", "") != digest(model):
        raise ValueError(f"{path}: damaged, or changed after it was exported; export the run again")
    return found


def _from_format_1(found: dict[str, Any]) -> dict[str, Any]:
    """Say what format 1 left to be known by the classes' names."""
    classes: Any = found.get("classes")
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    return {
        "format": FORMAT,
        "positive": positive.guess(classes) if named else None,
        "skull": None,
        "threshold_origin": "the file's",
    }


def _tensors(message: "Message") -> Iterator[Any]:
    """Yield every tensor in a message, wherever it is."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for own in value if hasattr(value, "__len__") else [value]:
                yield from _tensors(own)


def _is_external(tensor: Any) -> bool:
    return bool(tensor.data_location != 0 or len(tensor.external_data))
