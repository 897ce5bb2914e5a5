"""Open a file that `export` has written, and run it without torch."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.datasets import positive
from brain_tumor.inference.base import Outputs, Qualified
from brain_tumor.runs import versions

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from onnx import ModelProto
    from onnxruntime import InferenceSession

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
_BATCH = 16
_STANDARD = {"", "ai.onnx"}  # domains of operators


@dataclass(frozen=True)
class OnnxRun:
    """A run in a file of its own (see `brain_tumor.inference.base.Run`).

    Attributes:
        folder: the file.
        facts: its metadata.
        session: that runs it.
    """

    folder: Path
    facts: dict[str, Any]
    session: "InferenceSession"

    @classmethod
    def open(cls, path: Path) -> "OnnxRun":
        """Open a file; nothing else is read, whatever it names.

        Raises:
            ValueError: it is missing, damaged, or not one that `export` has written.
        """
        try:
            import onnx
            import onnxruntime
            from google.protobuf.message import DecodeError
        except ImportError as error:
            raise ValueError(f"{path}: needs {error.name}: pip install 'brain-tumor[onnx]'") from error
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
        try:
            model = onnx.ModelProto.FromString(content)
        except DecodeError as error:
            raise ValueError(f"{path}: damaged, or no ONNX file") from error
        facts = _facts(model, path)
        try:
            # The bytes that were looked at, not the file, which may be another by now.
            session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        except Exception as error:
            # Its errors have no common class of their own.
            raise ValueError(f"{path}: onnxruntime refuses it ({' '.join(str(error).split())[:200]})") from error
        names = [output.name for output in session.get_outputs()]
        (taken,) = session.get_inputs()
        if names != list(OUTPUTS[: len(names)]) or taken.type != "tensor(uint8)" or taken.shape[3:] != [3]:
            raise ValueError(f"{path}: takes or gives something else than `export` writes; export the run again")
        return cls(path, facts, session)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return str(self.folder)

    @property
    def task(self) -> str:
        """What it has learnt."""
        return str(self.facts["task"])

    @property
    def dataset(self) -> str:
        """The name of the data set that it was trained on."""
        return str(self.facts["data"])

    @property
    def classes(self) -> list[str]:
        """The names of the classes that it tells apart."""
        return list(self.facts["classes"])

    @property
    def positive(self) -> str | None:
        """The class that means a tumour; None where its data does not say."""
        found: str | None = self.facts["positive"]
        return found

    @property
    def sequences(self) -> tuple[str, ...]:
        """The sequences in the three channels of its training data; () where nobody knows."""
        return tuple(self.facts["sequences"])

    @property
    def skull(self) -> bool | None:
        """Whether the heads that it was trained on had their skulls; None where that is not known."""
        found: bool | None = self.facts["skull"]
        return found

    @property
    def threshold(self) -> float:
        """The calibrated probability of the positive class from which a slice counts as positive."""
        return float(self.facts["threshold"])

    @property
    def threshold_origin(self) -> str:
        """Where the threshold comes from."""
        return str(self.facts["threshold_origin"])

    @property
    def size(self) -> int:
        """The side of the images that it was trained on, in pixels."""
        return int(self.facts["size"])

    @property
    def crop(self) -> None:
        """What of a slice it was shown in training: all of it, which `export` sees to."""

    @property
    def batch(self) -> int:
        """How many pictures it looks at together."""
        return _BATCH

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.folder.read_bytes()).hexdigest()

    def digest(self) -> str:
        """Return the file's SHA-256, hexadecimal."""
        return self._digest

    def versions(self) -> dict[str, str]:
        """Return the versions of what computes here."""
        return versions.without_torch(("onnxruntime", "numpy", "pillow"))

    @property
    def temperatures(self) -> dict[str, float]:
        """What its probabilities are calibrated by; the file itself gives raw ones."""
        return {self.name: float(self.facts["temperature"])}

    def network(self) -> Qualified:
        """Return what looks at pictures: itself."""
        return Qualified(self, self.temperatures[self.name], None)

    def __call__(self, fitted: NDArray[np.uint8]) -> Outputs:
        """Look at uint8 (n, size, size, 3), which its own fitting leaves as they are."""
        parts = [fitted[start : start + _BATCH] for start in range(0, len(fitted), _BATCH)]
        # The mask is left to whoever brings the map back to the scan's grid.
        wanted = [output.name for output in self.session.get_outputs()][:2]
        found = [self.session.run(wanted, {"images": np.ascontiguousarray(part)}) for part in parts]
        outputs = [np.concatenate(own) for own in zip(*found, strict=True)]
        return Outputs(outputs[0].astype(np.float64), outputs[1] if len(outputs) > 1 else None)

    def explain(self, fitted: NDArray[np.uint8], target: int) -> None:
        """Return None: a heat map needs gradients, which the file has not."""


def digest(model: "ModelProto") -> str:
    """Return the SHA-256 of a model's weights and of what is computed with them, in an order of its own."""
    found = hashlib.sha256()
    for tensor in sorted(model.graph.initializer, key=lambda own: own.name):
        found.update(repr((tensor.name, list(tensor.dims), tensor.data_type)).encode())
        found.update(tensor.raw_data)
    for node in model.graph.node:
        found.update(repr((node.op_type, list(node.input), list(node.output))).encode())
        for attribute in sorted(node.attribute, key=lambda own: own.name):
            found.update(attribute.SerializeToString(deterministic=True))
    return found.hexdigest()


def _facts(model: "ModelProto", path: Path) -> dict[str, Any]:
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
