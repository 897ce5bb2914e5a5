"""Write an error in one line: what went wrong, and where."""

import re

from hydra.errors import HydraException, InstantiationException
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

# Groups that configure a class, which may take more settings than the configuration lists.
_CLASSES = {
    "trainer": "lightning.Trainer", "optimizer": "the optimizer", "data": "the data set", "model": "the model",
    "transforms": "the transforms",
}  # fmt: skip


def one_line(error: BaseException) -> str:
    """Return in one line what went wrong and where, without the libraries' advice."""
    text = str(error)
    if not isinstance(error, ValueError | OSError | HydraException | OmegaConfBaseException):
        text = f"{type(error).__name__}: {text}"  # the text alone says little, or nothing
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        place = re.search(r"full_key: (\S+)", text)
        cause = re.sub(r"^\w+\.__init__\(\) ", "", str(error.__cause__))
        key = place[1] if place else ""
        text = cause if isinstance(error.__cause__, ValueError) or not key else f"{key}: {cause}"
    elif isinstance(error, MissingMandatoryValue):
        text = f"{error.full_key} has no value: give {error.full_key}=..."
    elif isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {error.strerror}"
    elif isinstance(error, HydraException) and error.__cause__ is not None:
        text = f"{text} {error.__cause__}"
    advice = re.search(r"To append to your config use \+((\w+)\.\S+)", text)
    # Hydra advises to prefix `+`. That helps if a class takes the value; other keys are refused anyway.
    text = re.sub(
        r"(To append to your config use \S+|Config search path:.*|full_key: \S+|object_type=\S+)", "", text, flags=re.S
    )
    if advice and advice[2] in _CLASSES:
        text += f": if {_CLASSES[advice[2]]} takes it, write +{advice[1]}"
    return " ".join(text.split()).replace(" :", ":")
