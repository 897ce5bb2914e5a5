"""Open the data that a configuration names: a data set with its own settings, and the data module that serves it."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from brain_tumor.config import typed
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.base import DataSet
from brain_tumor.runs import class_names

_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def open_data(config: Mapping[str, Any], transforms: Transforms, seed: int = 0) -> SliceDataModule:
    """Make the data module of a configuration; nothing is read yet.

    Args:
        config: of a command; its group `data` names the data set and holds the settings of both.
        transforms: applied to every batch.
        seed: of the order of training batches.

    Raises:
        ValueError: there is no such data set, or it does not take a setting, or not that value.
    """
    settings = {**config["data"], "_target_": class_names.current(str(config["data"]["_target_"]))}
    declared = typed.named("data", settings)
    if not (isinstance(declared, type) and issubclass(declared, DataSet)):
        base = f"{DataSet.__module__}.{DataSet.__name__}"
        raise ValueError(f"data._target_={settings['_target_']}: no data set; name a class that derives from {base}")
    for taker in (declared, SliceDataModule):
        typed.refuse_misfits("data", settings, taker)
    return build(declared, settings, "data", transforms=transforms, seed=seed)


def build(declared: type[DataSet], settings: Mapping[str, Any], place: str, **given: Any) -> SliceDataModule:
    """Make a data set of the settings that it takes, and a data module of all others and of those that both take.

    Args:
        declared: the data set's class.
        settings: a group `data` of a configuration.
        place: where they stand, for messages.
        **given: what the data module takes besides, such as `transforms`.

    Raises:
        ValueError: neither takes a setting, one is missing, or a value is out of range.
    """
    values = {name: value for name, value in settings.items() if name not in {"_target_", "_convert_"}}
    its, ours = _taken(declared), _taken(SliceDataModule)
    try:
        dataset = declared(**{name: value for name, value in values.items() if name in its})
        rest = {name: value for name, value in values.items() if name in ours or name not in its}
        return SliceDataModule(dataset=dataset, **rest, **given)
    except TypeError as error:
        refused = re.sub(r"^\w+\.__init__\(\) ", "", str(error))
        raise ValueError(f"{place}: {refused}") from error


def _taken(made: type) -> set[str]:
    """Name what a class's constructor takes, with those of the classes that it hands `**others` on to."""
    names: set[str] = set()
    for one in made.__mro__:
        if "__init__" in vars(one):
            parameters = list(inspect.signature(vars(one)["__init__"]).parameters.values())[1:]
            names |= {taken.name for taken in parameters if taken.kind in _BY_NAME}
            if not any(taken.kind is inspect.Parameter.VAR_KEYWORD for taken in parameters):
                break
    return names
