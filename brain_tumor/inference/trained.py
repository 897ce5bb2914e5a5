"""Open a finished run: its record, its data, its model, its transforms.

A run's folder may come from a stranger. A class that its record names is used only if it is defined in this package, or
in a module that the user trusts by name on the command line, and if it has the right base class. No other value of the
record is instantiated, and the checkpoint is read as tensors.
"""

import hashlib
import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from brain_tumor.data import description, opening
from brain_tumor.data import novelty as novelty_
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.targets import TUMOUR_CLASSES
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.base import DataSet
from brain_tumor.datasets.regions import Regions
from brain_tumor.inference import torch_network
from brain_tumor.inference.base import Facts
from brain_tumor.inference.calibrated import CalibratedNetwork
from brain_tumor.metrics import calibration
from brain_tumor.models import checkpoint
from brain_tumor.models.task import Task
from brain_tumor.runs import class_names, versions
from brain_tumor.runs import record as records
from brain_tumor.runs.record import Record

T = TypeVar("T")


@dataclass(frozen=True)
class Trained(Facts):
    """A finished run, as a folder.

    Attributes:
        folder: the run's.
        record: its results.json.
        trusted: modules of the user whose classes the record may name.
    """

    folder: Path
    record: Record
    trusted: tuple[str, ...] = ()

    @property
    def precision(self) -> str:
        """Lightning's name of the precision that it was trained in."""
        return self.record["versions"]["arithmetic"]

    @property
    def checkpoint(self) -> Path:
        """The checkpoint whose weights it was tested with."""
        return self.folder / "checkpoints" / f"{self.record['test']['checkpoint']}.ckpt"

    def transforms(self) -> Transforms:
        """Make its transforms."""
        transforms = self._make("transforms", Transforms, self.record["config"]["transforms"])
        transforms.take(len(self.sequences) or 3)
        return transforms

    def data(self, transforms: Transforms | None = None, **changes: Any) -> SliceDataModule:
        """Make its data module.

        Args:
            transforms: instead of the run's.
            **changes: settings that differ from the run's, such as `cache_dir`.
        """
        settings = {**self.record["config"]["data"], **changes}
        place = self._place("data")
        target = class_names.current(str(settings.get("_target_")))
        # The abstract class is only the required base; mypy thinks that it is instantiated.
        declared = find_class(target, DataSet, place, self.trusted)  # type: ignore[type-abstract]
        return opening.build(declared, _plain(settings, place), place, transforms=transforms or self.transforms())

    def model(self, path: Path | None = None) -> Task:
        """Make its model with the weights of the scored checkpoint, or of another one."""
        settings = self.record["config"]["model"]
        class_ = find_class(str(settings.get("_target_")), Task, self._place("model"), self.trusted)  # type: ignore[type-abstract]
        labels = self.record["data"].get("mask_labels")
        facts = description.of_model(class_, len(self.sequences) or 3, labels, self.size)
        facts["num_classes"] = len(self.record["data"]["classes"])
        model = self._make("model", Task, settings, **facts)  # type: ignore[type-abstract]
        checkpoint.load(model, path or self.checkpoint)
        return model

    def digest(self) -> str:
        """Return the SHA-256 of the scored checkpoint, hexadecimal."""
        return hashlib.sha256(self.checkpoint.read_bytes()).hexdigest()

    def versions(self) -> dict[str, str]:
        """Return the versions of the software and hardware that compute here."""
        return versions.versions(torch_network.device(), self.precision)

    def network(self) -> CalibratedNetwork:
        """Make its network, in the precision that it was trained in."""
        network = torch_network.TorchNetwork(self.model(), self.transforms(), self.precision)
        return CalibratedNetwork(network, self.temperatures[self.name], self.novelty)

    @property
    def novelty(self) -> novelty_.Reference | None:
        """What its training slices look like; None if unknown.

        Raises:
            ValueError: the file of these is damaged.
        """
        training = novelty_.Novelty.read(self.folder / novelty_.FILE)
        return None if training is None else training.reference

    def _make(self, key: str, base: type[T], settings: Mapping[str, Any], **more: Any) -> T:
        """Make the object of a group of the configuration.

        Args:
            key: of the group.
            base: required base class.
            settings: the group.
            **more: further arguments of the class.
        """
        place = self._place(key)
        class_ = find_class(str(settings.get("_target_")), base, place, self.trusted)
        values = _plain(settings, place)
        if "weights" in inspect.signature(class_).parameters:
            values["weights"] = "none"  # the checkpoint has them
        try:
            return class_(**values, **more)
        except TypeError as error:
            raise ValueError(f"{place}: {error}") from error

    def _place(self, group: str) -> str:
        """Return where a group of the configuration is written, for messages."""
        return f"{self.folder}/results.json: config.{group}"


def open_run(folder: Path, trusted: Sequence[str] = ()) -> Trained:
    """Open the finished run in `folder`.

    Args:
        folder: the run's.
        trusted: modules of the user whose classes the record may name.

    Raises:
        ValueError: there is no finished run, or its record is damaged.
    """
    record = records.read(folder)
    try:
        facts = _facts(str(folder), record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{folder}/results.json: not a record of brain_tumor ({type(error).__name__}: {error})"
        ) from error
    return Trained(**facts, folder=folder, record=record, trusted=tuple(trusted))


def _facts(name: str, record: Record) -> dict[str, Any]:
    """Return the facts of a run from its record."""
    data, calibrated = record["data"], record.get("calibration")
    # For a segmenter a slice has a tumour or none, whatever classes its data has.
    segments = record["task"] == "segmentation"
    return {
        "name": name,
        "task": record["task"],
        "dataset": data["kind"],
        "classes": list(TUMOUR_CLASSES) if segments else data["classes"],
        "positive": TUMOUR_CLASSES[1] if segments else data["positive"],
        "sequences": tuple(data["sequences"]),
        "regions": Regions.of(data.get("mask_labels")),
        "scaling": data.get("volumes", {}).get("scaling"),
        "plane": data.get("volumes", {}).get("plane", "axial"),
        "skull": data["skull"],
        "threshold": record["threshold"]["value"],
        "threshold_origin": record["threshold"]["origin"],
        "size": int(record["hyperparameters"]["size"]),
        "crop": record["config"]["data"].get("crop"),
        "neighbours": data.get("neighbours", {}).get("count", 0),
        "neighbour_mm": data.get("neighbours", {}).get("mm"),
        "components": float(record["config"]["model"].get("components", 0)),
        "intensities": record["config"]["data"].get("intensities", "file"),
        "temperatures": {name: calibrated["temperature"] if calibrated else calibration.RAW},
    }


def find_class(target: str, base: type[T], place: str, trusted: Sequence[str] = ()) -> type[T]:
    """Return the class of that name if it is defined in the module that the name gives, and derives from `base`.

    Args:
        target: module and class, as in a `_target_`.
        base: required base class.
        place: where the name is written, for the message.
        trusted: modules besides this package's.

    Raises:
        ValueError: it is anything else. Other modules are not even imported.
    """
    module, _, name = target.rpartition(".")
    refused = ValueError(
        f"{place}: names {target}, which is no {base.__name__} of brain_tumor; not obeyed. If it is a class of your "
        "own, trust its module by trusted=[MODULE]"
    )
    if module not in trusted and module.partition(".")[0] != "brain_tumor":
        raise refused
    try:
        value = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise refused from error
    if not (isinstance(value, type) and issubclass(value, base) and value.__module__ == module):
        raise refused
    return value


def _plain(settings: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the settings of a group, without the class that it names.

    Raises:
        ValueError: a value names another class, at any depth.
    """
    values = {name: value for name, value in settings.items() if name not in {"_target_", "_convert_"}}
    if nested := _nested_target(values):
        raise ValueError(f"{place}: asks for another object, {nested}, which no run of brain_tumor does")
    return values


def _nested_target(value: Any) -> str:
    """Return the first `_target_` in a value, at any depth; "" for none."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            return str(value["_target_"])
        value = list(value.values())
    if isinstance(value, list):
        return next(filter(None, map(_nested_target, value)), "")
    return ""
