"""Translate the name of a data set's class to and from the name that old records and ids have for it.

    brain_tumor.datasets.lgg.Lgg  <->  brain_tumor.data.sources.LggDataModule

Each data set once was a data module. An id is a hash of a configuration that names the class; it uses the old name, so
that every run keeps its id.
"""

_NOW = "brain_tumor.datasets."
_BEFORE = "brain_tumor.data.sources."
_ENDING = "DataModule"


def identifying(target: str) -> str:
    """Return the name that ids use for a class."""
    if not target.startswith(_NOW):
        return target
    return f"{_BEFORE}{target.rpartition('.')[2]}{_ENDING}"


def current(target: str) -> str:
    """Return today's name of a class; one that was never a data module keeps its name."""
    from brain_tumor.datasets import declared  # late: it imports every data set, and ids do not need it

    names = {f"{dataset.__module__}.{dataset.__name__}" for dataset in declared.by_name().values()}
    return next((name for name in names if identifying(name) == target), target)
