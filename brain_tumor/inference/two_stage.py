"""Combine runs, a detector before a segmenter and types after it: refuse those that do not fit, set the threshold."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from brain_tumor.inference.base import Outputs, Run
from brain_tumor.scans import cases


def refuse_misfit(run: Run, detector: Run) -> None:
    """Refuse a detector and a segmenter that do not fit, before anything is computed.

    Raises:
        ValueError: one has another task, or the detector does not tell whether there is a tumour.
    """
    if run.task != "segmentation":
        raise ValueError(f"detector={detector.name}: goes before a segmenter; run={run.name} is a {run.task}")
    if detector.task != "classification":
        raise ValueError(f"detector={detector.name}: must be a classifier; this is a {detector.task}")
    if reason := _undecided(detector):
        raise ValueError(f"detector={detector.name}: {reason}")
    if detector.crop not in (None, "none"):
        raise ValueError(f"detector={detector.name}: was trained on crops around tumours, not on whole slices")


def refuse_types(run: Run, types: Run) -> None:
    """Refuse a run that cannot classify the types of the tumours that another run finds.

    Raises:
        ValueError: the run is no classifier of types, or the other does not tell whether there is a tumour.
    """
    if reason := _undecided(run):
        raise ValueError(
            f"types={types.name}: needs a run that tells whether there is a tumour; run={run.name}: {reason}"
        )
    if types.task != "classification":
        raise ValueError(f"types={types.name}: must be a classifier; this is a {types.task}")
    if types.positive is not None:
        raise ValueError(f"types={types.name}: tells whether there is a tumour, not its type; give it as detector=")


def _undecided(run: Run) -> str:
    """Return why a run does not tell whether there is a tumour; "" if it does."""
    classes = ", ".join(run.classes)
    if len(run.classes) != 2:
        return f"tells {classes} apart, not whether there is a tumour"
    if run.positive is None:
        return f"nobody says which of {classes} means a tumour; train it with data.positive=NAME"
    return ""


def refuse_unlike(runs: Mapping[str, Run]) -> None:
    """Refuse to predict one unnamed input with runs that were trained on different sequences.

    Raises:
        ValueError: two of the runs were.
    """
    with_sequences = {key: run for key, run in runs.items() if run.sequences}
    for key, run in with_sequences.items():
        for other_key, other in with_sequences.items():
            if run.sequences != other.sequences:
                raise ValueError(
                    f"{other_key}={other.name}: sees {listed(other.sequences)}, but {key}={run.name} "
                    f"{listed(run.sequences)}; instead of input=..., give "
                    f"{_arguments(run.sequences for run in with_sequences.values())}"
                )


def refuse_unknown(runs: Mapping[str, Run]) -> None:
    """Refuse to predict named sequences with runs that were trained on other sequences.

    Raises:
        ValueError: one of the runs was.
    """
    for key, run in runs.items():
        if run.sequences != cases.SEQUENCES and len(set(run.sequences)) == len(run.sequences):
            continue  # every channel shows another sequence, which can be named
        if unknown := set(run.sequences) - set(cases.SEQUENCES):
            raise ValueError(
                f"{key}={run.name}: sees {listed(run.sequences)}, and {min(unknown)} cannot be given as a sequence; "
                "give input=..."
            )


def listed(sequences: tuple[str, ...]) -> str:
    """Return the names of sequences, each once."""
    return ", ".join(dict.fromkeys(sequences))


def _arguments(trained_on: Iterable[tuple[str, ...]]) -> str:
    """Return the arguments of the command line that name these sequences."""
    names = {name for sequences in trained_on for name in sequences}
    ordered = [*(name for name in cases.SEQUENCES if name in names), *sorted(names - set(cases.SEQUENCES))]
    return ", ".join(f"sequences.{name}=..." for name in ordered)


def threshold(chosen: float | None, run: Run) -> tuple[float, str]:
    """Return the probability from which a slice counts as positive, and where it comes from.

    Args:
        chosen: by the user; None for the run's threshold.
        run: predicts the probabilities.

    Raises:
        ValueError: the chosen one is no probability.
    """
    if chosen is None:
        return run.threshold, run.threshold_origin
    if type(chosen) not in (int, float) or not 0 <= chosen <= 1:
        raise ValueError(f"threshold={chosen}: a probability lies between 0 and 1; null takes the run's own")
    return float(chosen), "given"


def refuse_keep_from(chosen: float | None, run: Run, detector: Run | None) -> None:
    """Refuse a `keep_from` (see `metrics.gating.emptied`) that is no probability, or that decides nothing.

    Raises:
        ValueError: it is out of range, or no detector goes before the segmenter.
    """
    if chosen is None:
        return
    if type(chosen) not in (int, float) or not 0 <= chosen <= 1:
        raise ValueError(f"keep_from={chosen}: a probability lies between 0 and 1; null for the detector alone")
    if detector is None:
        raise ValueError(
            f"keep_from={chosen}: limits a detector, which run={run.name} lacks; give detector=... as well"
        )


def positive_probabilities(run: Run, outputs: Outputs) -> NDArray[np.float64]:
    """Return the calibrated probability that each slice has a tumour, (n,), by a run that has not been refused."""
    assert run.positive is not None, "refused before"
    return outputs.probabilities[:, run.classes.index(run.positive)]


def refuse_unusable(key: str, run: Run) -> None:
    """Refuse a run that cannot predict whole slices.

    Args:
        key: the run's key in the configuration.
        run: the run.

    Raises:
        ValueError: the run was trained on crops, or its record is damaged.
    """
    if run.crop not in (None, "none"):
        raise ValueError(f"{key}={run.name}: was trained on crops around tumours, which scans do not come with")
    if run.positive not in (None, *run.classes):
        raise ValueError(f"{key}={run.name}: its record is damaged: {run.positive} is none of its classes")
