"""Open an ONNX file that `export` has written, and predict with it, without torch."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brain_tumor.data.novelty import Reference
from brain_tumor.datasets.regions import Regions
from brain_tumor.inference import onnx_file
from brain_tumor.inference.base import Facts, Outputs
from brain_tumor.inference.calibrated import CalibratedNetwork
from brain_tumor.runs import versions
from brain_tumor.scans.fitted import Fitted

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_BATCH = 16


@dataclass(frozen=True)
class OnnxRun(Facts):
    """A run in an ONNX file. It is its own network.

    Attributes:
        folder: the file.
        facts: its metadata.
        session: runs the file.
        novelty: what its training slices look like; None if unknown.
    """

    folder: Path
    facts: dict[str, Any]
    session: "InferenceSession"
    novelty: Reference | None

    @classmethod
    def open(cls, path: Path, name: str = "") -> "OnnxRun":
        """Open a file; other files that it names are not read.

        Args:
            path: of the file.
            name: what it is called in messages and tables; "" for its path.

        Raises:
            ValueError: the file is missing or damaged, or `export` has not written it.
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
        facts = onnx_file.metadata(model, path)
        try:
            # The bytes that were checked, since the file may have changed meanwhile.
            session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        except Exception as error:
            # Its errors have no common base class.
            raise ValueError(f"{path}: onnxruntime refuses it ({' '.join(str(error).split())[:200]})") from error
        names = [output.name for output in session.get_outputs()]
        images, *others = session.get_inputs()
        inputs = [images.name, *(other.name for other in others)]
        channels = (len(facts["sequences"]) or 3) * (2 * facts["neighbours"] + 1)
        fits = (
            images.type == "tensor(uint8)"
            and images.shape[3:] == [channels]
            and inputs == list(onnx_file.inputs(facts))
        )
        if names != list(onnx_file.OUTPUTS[: len(names)]) or not fits:
            raise ValueError(f"{path}: takes or gives something else than `export` writes; export the run again")
        try:
            novelty = None if facts["novelty"] is None else Reference.from_text(facts["novelty"])
        except ValueError as error:
            raise ValueError(f"{path}: {error}; export the run again") from error
        return cls(**_facts(name or str(path), facts), folder=path, facts=facts, session=session, novelty=novelty)

    @property
    def batch(self) -> int:
        """The number of slices that it predicts together."""
        return _BATCH

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.folder.read_bytes()).hexdigest()

    def digest(self) -> str:
        """Return the file's SHA-256, hexadecimal."""
        return self._digest

    def versions(self) -> dict[str, str]:
        """Return the versions of the software and hardware that compute here."""
        return versions.without_torch(("onnxruntime", "numpy", "pillow"))

    def network(self) -> CalibratedNetwork:
        """Return itself with calibrated probabilities, which also says how new a slice is."""
        return CalibratedNetwork(self, self.temperatures[self.name], self.novelty)

    def __call__(self, fitted: Fitted) -> Outputs:
        """Predict slices, which the file's resizing leaves unchanged."""
        # Not the mask: the predictor makes it from the map, on the scan's grid.
        wanted = [output.name for output in self.session.get_outputs()][:2]
        batches = [self.session.run(wanted, onnx_file.feed(part.images, part)) for part in fitted.batches(_BATCH)]
        probabilities, *maps = (np.concatenate(outputs) for outputs in zip(*batches, strict=True))
        return Outputs(probabilities.astype(np.float64), maps[0] if maps else None)

    def explain(self, fitted: Fitted, target: int) -> None:
        """Return None: a heat map needs gradients, which the file does not have."""


def _facts(name: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a run from the metadata."""
    same = (
        "task", "classes", "positive", "skull", "threshold", "threshold_origin", "size", "intensities", "neighbours",
        "neighbour_mm", "components", "scaling", "plane",
    )  # fmt: skip
    return {
        **{key: metadata[key] for key in same},
        "name": name,
        "dataset": metadata["data"],
        "sequences": tuple(metadata["sequences"]),
        "regions": Regions.of(metadata["labels"]),
        "crop": None,  # `export` refuses any other
        "temperatures": {name: metadata["temperature"]},
    }
