"""Several trained runs that predict together, such as those of five folds."""

import hashlib
from collections.abc import Sequence
from dataclasses import fields

from brain_tumor.inference.base import Facts, Run
from brain_tumor.inference.calibrated import MeanNetwork

_EQUAL = (
    "task",
    "dataset",
    "classes",
    "positive",
    "sequences",
    "regions",
    "scaling",
    "plane",
    "size",
    "crop",
    "intensities",
    "neighbours",
    "neighbour_mm",
    "components",
)


class Ensemble(Facts):
    """Several runs as one, which predicts the mean of their calibrated probabilities and of their maps.

    Its threshold is the mean of theirs.

    Args:
        runs: two or more.

    Raises:
        ValueError: their tasks, classes, sequences, sizes or crops differ.
    """

    runs: Sequence[Run]

    def __init__(self, runs: Sequence[Run]) -> None:
        _refuse_unlike(runs)
        shared = {field.name: getattr(runs[0], field.name) for field in fields(Facts)}
        skulls = {run.skull for run in runs}
        origins = ", ".join(f"{run.threshold:.3f} ({run.threshold_origin})" for run in runs)
        super().__init__(
            **shared
            | {
                "name": ", ".join(run.name for run in runs),
                "skull": skulls.pop() if len(skulls) == 1 else None,
                "threshold": sum(run.threshold for run in runs) / len(runs),
                "threshold_origin": f"mean of {origins}",
                "temperatures": {name: value for run in runs for name, value in run.temperatures.items()},
            }
        )
        object.__setattr__(self, "runs", runs)  # the facts are frozen

    def digest(self) -> str:
        """Return the SHA-256 of its runs' digests, hexadecimal."""
        return hashlib.sha256(" ".join(run.digest() for run in self.runs).encode()).hexdigest()

    def versions(self) -> dict[str, str]:
        """Return the versions of the software and hardware that compute here."""
        return self.runs[0].versions()

    def network(self) -> MeanNetwork:
        """Make the networks of all runs."""
        return MeanNetwork([run.network() for run in self.runs])


def _refuse_unlike(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        for name in _EQUAL:
            if (value := getattr(run, name)) != (other := getattr(first, name)):
                raise ValueError(
                    f"{run.name}: cannot answer together with {first.name}: its {name} is {value}, the other's {other}"
                )
