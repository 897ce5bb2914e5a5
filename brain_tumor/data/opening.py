"""Open the data that a configuration names: the data set, and the data module that serves it."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from brain_tumor.config import typed
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets import declared as declarations
from brain_tumor.datasets.base import DataSet
from brain_tumor.runs import class_names
from brain_tumor.scans.nifti import MOST_CHANNELS

_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def open_data(config: Mapping[str, Any], transforms: Transforms, seed: int = 0) -> SliceDataModule:
    """Make the data module of a configuration; nothing is read yet.

    Args:
        config: of a command; its group `data` names the data set, and holds the settings of the data set and of the
            data module.
        transforms: applied to every batch.
        seed: of the order of training batches.

    Raises:
        ValueError: there is no such data set, or a setting is unknown or has a bad value.
    """
    settings = {**config["data"], "_target_": class_names.current(str(config["data"]["_target_"]))}
    declared = typed.named("data", settings)
    if not (isinstance(declared, type) and issubclass(declared, DataSet)):
        base = f"{DataSet.__module__}.{DataSet.__name__}"
        raise ValueError(f"data._target_={settings['_target_']}: no data set; name a class that derives from {base}")
    for constructed in (declared, SliceDataModule):
        typed.refuse_misfits("data", settings, constructed)
    return build(declared, settings, "data", transforms=transforms, seed=seed)


def build(declared: type[DataSet], settings: Mapping[str, Any], place: str, **given: Any) -> SliceDataModule:
    """Make a data set and its data module.

    The data set gets the settings that its constructor takes. The data module gets all others and those that both take.

    Args:
        declared: the data set's class.
        settings: the group `data` of a configuration.
        place: where the settings stand, for messages.
        **given: further arguments of the data module, such as `transforms`.

    Raises:
        ValueError: a setting is unknown or missing, or a value is out of range.
    """
    _refuse_mistakable(declared)
    values = {name: value for name, value in settings.items() if name not in {"_target_", "_convert_"}}
    of_dataset, of_module = _parameters(declared), _parameters(SliceDataModule)
    try:
        dataset = declared(**{name: value for name, value in values.items() if name in of_dataset})
        rest = {name: value for name, value in values.items() if name in of_module or name not in of_dataset}
        return SliceDataModule(dataset=dataset, **rest, **given)
    except TypeError as error:
        refused = re.sub(r"^\w+\.__init__\(\) ", "", str(error))
        raise ValueError(f"{place}: {refused}") from error


def _refuse_mistakable(dataset: type[DataSet]) -> None:
    """Refuse a declaration whose runs would pass for others, since records know a data set by its name alone.

    Raises:
        ValueError: the data set has no name or that of another one, or names more than eight channels.
    """
    place, name = f"{dataset.__module__}.{dataset.__name__}", getattr(dataset, "name", "")
    if not name:
        raise ValueError(f"{place}.name={name}: give the data set a name")
    known = declarations.by_name().get(name, dataset)
    if known is not dataset:
        raise ValueError(
            f"{place}.name={name}: is that of the data set {known.__module__}.{known.__name__}; choose another name"
        )
    if len(dataset.sequences) > MOST_CHANNELS:
        shown = ", ".join(dataset.sequences)
        raise ValueError(f"{place}.sequences={shown}: name one for each channel, at most {MOST_CHANNELS}, or none")


def _parameters(constructed: type) -> set[str]:
    """Name the parameters of a class's constructor, and of base classes that it passes `**others` on to."""
    names: set[str] = set()
    for base in constructed.__mro__:
        if "__init__" in vars(base):
            parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
            names |= {parameter.name for parameter in parameters if parameter.kind in _BY_NAME}
            if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
                break
    return names
