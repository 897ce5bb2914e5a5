"""What a data set's class is called in old records and in ids: once it was a data module of its own.

    brain_tumor.datasets.lgg.Lgg  <->  brain_tumor.data.sources.LggDataModule

Ids are hashes of configurations that name the class. They go by the old name, so that every run keeps its id.
"""

from brain_tumor.datasets import declared

_NOW = "brain_tumor.datasets."
_BEFORE = "brain_tumor.data.sources."
_ENDING = "DataModule"


def identifying(target: str) -> str:
    """Return the name that a class has in ids."""
    if not target.startswith(_NOW):
        return target
    return f"{_BEFORE}{target.rpartition('.')[2]}{_ENDING}"


def current(target: str) -> str:
    """Return the name that a class has now; one that was never a data module stays as it is."""
    known = {f"{one.__module__}.{one.__name__}" for one in declared.by_name().values()}
    return next((name for name in known if identifying(name) == target), target)
