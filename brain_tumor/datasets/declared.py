"""The data sets that this package declares: every `DataSet` in a module of this folder, without a list to keep."""

import importlib
import inspect
import pkgutil
from functools import cache

from brain_tumor.datasets.base import DataSet


@cache
def by_name() -> dict[str, type[DataSet]]:
    """Return every declared data set by its name, in the order of the names."""
    package = importlib.import_module(__name__.rpartition(".")[0])
    names = [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    classes = [
        value
        for name in names
        for value in vars(importlib.import_module(name)).values()
        if isinstance(value, type) and value.__module__ == name and issubclass(value, DataSet)
    ]
    return {one.name: one for one in sorted(filter(_is_whole, classes), key=lambda one: one.name)}


def facts(name: str) -> type[DataSet]:
    """Return the declaration of a data set by its name; the defaults, which know nothing, for one of a user's own."""
    return by_name().get(name, DataSet)


def _is_whole(declared: type[DataSet]) -> bool:
    return not inspect.isabstract(declared)
