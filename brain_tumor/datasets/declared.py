"""Find the data sets that this package declares: every `DataSet` in a module of this folder."""

import importlib
import inspect
import pkgutil
from functools import cache

from brain_tumor.datasets.base import DataSet


@cache
def by_name() -> dict[str, type[DataSet]]:
    """Return every declared data set by its name, sorted by name."""
    package = importlib.import_module(__name__.rpartition(".")[0])
    names = [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    classes = [
        value
        for name in names
        for value in vars(importlib.import_module(name)).values()
        if isinstance(value, type) and value.__module__ == name and issubclass(value, DataSet)
    ]
    datasets = [value for value in classes if not inspect.isabstract(value)]
    return {dataset.name: dataset for dataset in sorted(datasets, key=lambda dataset: dataset.name)}


def facts(name: str) -> type[DataSet]:
    """Return the declaration of a data set by its name; `DataSet` with its defaults for a user's data set."""
    return by_name().get(name, DataSet)
