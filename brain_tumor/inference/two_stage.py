"""Two stages: a detector says which slices have a tumour, and a segmenter's masks count on those only."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.inference.base import Run
from brain_tumor.scans import cases

# What needs torch is imported late: predict does without, where both are ONNX files.
if TYPE_CHECKING:
    from brain_tumor.data.datamodule import SliceDataModule
    from brain_tumor.inference.trained import Trained
    from brain_tumor.metrics.bootstrap import Interval


def refuse_misfit(run: Run, detector: Run) -> None:
    """Refuse two runs that cannot work in turn, before anything is computed.

    Raises:
        ValueError: a run of another task, or a detector that does not tell whether there is a tumour.
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
    """Refuse a run that cannot tell the types of the tumours that another one finds.

    Raises:
        ValueError: it is no classifier, or the other does not tell whether there is a tumour.
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
    """Say why a run does not tell whether there is a tumour; "" where it does."""
    told = ", ".join(run.classes)
    if len(run.classes) != 2:
        return f"tells {told} apart, not whether there is a tumour"
    if run.positive is None:
        return f"nobody says which of {told} means a tumour; train it with data.positive=NAME"
    return ""


def refuse_unlike(runs: Mapping[str, Run]) -> None:
    """Refuse to show one unnamed input to runs that have learnt from unlike sequences.

    Raises:
        ValueError: two of them have.
    """
    known = {key: run.sequences for key, run in runs.items() if run.sequences}
    for key, own in known.items():
        for other, its in known.items():
            if own != its:
                raise ValueError(
                    f"{other}={runs[other].name}: sees {_named(its)}, but {key}={runs[key].name} {_named(own)}; "
                    f"instead of input=..., give {_given(known.values())}"
                )


def refuse_unknown(runs: Mapping[str, Run]) -> None:
    """Refuse to show named sequences to runs that have learnt from others.

    Raises:
        ValueError: one of them has.
    """
    for key, run in runs.items():
        if unknown := set(run.sequences) - set(cases.SEQUENCES):
            raise ValueError(
                f"{key}={run.name}: sees {_named(run.sequences)}, and {min(unknown)} cannot be given as a sequence; "
                "give input=..."
            )


def _named(sequences: tuple[str, ...]) -> str:
    return ", ".join(dict.fromkeys(sequences))


def _given(shown: Iterable[tuple[str, ...]]) -> str:
    names = {name for own in shown for name in own}
    return ", ".join(f"sequences.{name}=..." for name in cases.SEQUENCES if name in names)


def threshold(given: float | None, run: Run) -> tuple[float, str]:
    """Return the probability from which a slice counts as positive, and where that comes from.

    Args:
        given: asked for; None for the run's own.
        run: whose probability it is.

    Raises:
        ValueError: no probability is given.
    """
    if given is None:
        return run.threshold, run.threshold_origin
    if type(given) not in (int, float) or not 0 <= given <= 1:
        raise ValueError(f"threshold={given}: a probability lies between 0 and 1; null takes the run's own")
    return float(given), "given"


def probabilities(detector: "Trained", data: "SliceDataModule", rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the detector's calibrated probability of a tumour for rows of data of its size: (n,), as predict's.

    Raises:
        ValueError: the data shows other sequences than those that the detector has learnt from, or it gives no numbers.
    """
    assert detector.positive is not None, "refused before"
    shown, wanted = data.dataset.sequences, detector.sequences
    if shown and wanted and shown != wanted:
        raise ValueError(f"detector={detector.name}: sees {_named(wanted)}, but the data shows {_named(shown)}")
    network, place = detector.network(), detector.classes.index(detector.positive)
    parts = np.split(rows, range(network.batch, len(rows), network.batch))
    found = np.concatenate([network(data.decoded.images[part]).probabilities[:, place] for part in parts])
    if not np.isfinite(found).all():
        raise ValueError(f"detector={detector.name}: its network gives no numbers (NaN); train it again")
    return found


def score(
    predictions: pd.DataFrame, data: "SliceDataModule", chance: NDArray[np.float64], threshold: float
) -> dict[str, Any]:
    """Score a segmenter's masks alone, gated by a detector, and gated by the truth.

    Args:
        predictions: a segmenter's, with its comparison of every slice.
        data: its, set up.
        chance: (n,) the detector's probability of a tumour.
        threshold: below which a slice's mask is emptied.

    Returns:
        `alone`, `gated` and `gated_by_truth`, each as `segmentation.score` has it; `tumour_slices`, how many there
        are, and `tumour_slices_lost`, of how many a mask was emptied; `false_alarms`, how many slices without a tumour
        had a mask, and `false_alarms_cleaned`.
    """
    from brain_tumor.metrics import segmentation
    from brain_tumor.models import mask_scores

    own, areas = data.table.loc[predictions.index], mask_scores.thirds(data)
    positive = own["positive"].to_numpy(dtype=bool)
    marked = (predictions["predicted_area"] > 0).to_numpy()
    diagonals = np.hypot(own["height"].to_numpy(dtype=float), own["width"].to_numpy(dtype=float))
    gone = chance < threshold

    def scored(emptied: NDArray[np.bool_]) -> "dict[str, Interval]":
        return segmentation.score(segmentation.emptied(predictions, emptied, diagonals), areas)

    return {
        "alone": scored(np.zeros_like(gone)),
        "gated": scored(gone),
        "gated_by_truth": scored(~positive),
        "tumour_slices": int(positive.sum()),
        "tumour_slices_lost": int((positive & marked & gone).sum()),
        "false_alarms": int((~positive & marked).sum()),
        "false_alarms_cleaned": int((~positive & marked & gone).sum()),
    }
