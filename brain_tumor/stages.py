"""Two stages: a detector says which slices have a tumour, and a segmenter's masks count on those only."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data import cases
from brain_tumor.data.targets import TUMOUR_CLASSES
from brain_tumor.models.outputs import Run

# What needs torch is imported late: predict does without, where both are ONNX files.
if TYPE_CHECKING:
    from brain_tumor.data.datamodule import SliceDataModule
    from brain_tumor.results.bootstrap import Interval
    from brain_tumor.trained import Trained


def refuse_misfit(run: Run, detector: Run) -> None:
    """Refuse two runs that cannot work in turn, before anything is computed.

    Raises:
        ValueError: a run of another task, or of other classes.
    """
    if run.task != "segmentation":
        raise ValueError(f"detector={detector.name}: goes before a segmenter; run={run.name} is a {run.task}")
    if detector.task != "classification":
        raise ValueError(f"detector={detector.name}: must be a classifier; this is a {detector.task}")
    if run.classes != TUMOUR_CLASSES:
        raise ValueError(f"run={run.name}: tells {', '.join(run.classes)} apart, not whether there is a tumour")
    if detector.classes != run.classes:
        raise ValueError(
            f"detector={detector.name}: tells {', '.join(detector.classes)} apart, the segmenter "
            f"{', '.join(run.classes)}; train a detector on the segmenter's data"
        )


def refuse_types(run: Run, types: Run) -> None:
    """Refuse a run that cannot tell the types of the tumours that another one finds.

    Raises:
        ValueError: it is no classifier, or the other does not tell whether there is a tumour.
    """
    if run.classes != TUMOUR_CLASSES:
        raise ValueError(
            f"types={types.name}: needs a run that tells whether there is a tumour; run={run.name} tells "
            f"{', '.join(run.classes)} apart"
        )
    if types.task != "classification":
        raise ValueError(f"types={types.name}: must be a classifier; this is a {types.task}")
    if types.classes == TUMOUR_CLASSES:
        raise ValueError(f"types={types.name}: tells whether there is a tumour, not its type; give it as detector=")


def refuse_unlike(runs: Mapping[str, Run]) -> None:
    """Refuse to show one unnamed input to runs that have learnt from unlike sequences.

    Raises:
        ValueError: two of them have.
    """
    shown = {key: cases.shown(run.kind) for key, run in runs.items()}
    known = {key: own for key, own in shown.items() if own}
    for key, own in known.items():
        for other, its in known.items():
            if own != its:
                raise ValueError(
                    f"{other}={runs[other].name}: sees {_named(its)}, but {key}={runs[key].name} {_named(own)}; "
                    f"instead of input=..., give {_given(known.values())}"
                )


def _named(sequences: tuple[str, ...]) -> str:
    return ", ".join(dict.fromkeys(sequences))


def _given(shown: Iterable[tuple[str, ...]]) -> str:
    names = {name for own in shown for name in own}
    return ", ".join(f"sequences.{name}=..." for name in cases.SEQUENCES if name in names)


def probabilities(detector: "Trained", data: "SliceDataModule", rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the detector's probability of a tumour for rows of data that has its transforms and its size: (n,)."""
    import torch

    from brain_tumor.models import inference

    device = torch.device("cuda" if torch.cuda.is_available() and _on_gpu(detector) else "cpu")
    logits = inference.outputs(detector.model(), data, rows, detector.record["versions"]["arithmetic"], device)
    found: NDArray[np.float64] = torch.softmax(logits.double(), 1)[:, 1].numpy()
    return found


def threshold(detector: "Trained", cache_dir: str) -> tuple[float, str]:
    """Return the probability from which a slice counts as a tumour's, and where that comes from.

    It is where sensitivity and specificity together are highest on the detector's own validation part, the
    lowest of several; .5 where it has none.
    """
    if not detector.record["split"]["val"]["slices"]:
        return 0.5, "default"
    data = detector.data(cache_dir=cache_dir)
    data.prepare_data()
    data.setup()
    rows = data.rows["val"]
    scores, labels = probabilities(detector, data, rows), data.table["label"].to_numpy()[rows]
    candidates = np.unique(scores)
    found = scores[:, None] >= candidates
    gain = found[labels == 1].mean(0) - found[labels == 0].mean(0)
    return float(candidates[gain.argmax()]), "validation part"


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
        `alone`, `gated` and `gated_by_truth`, each as `localization.score` has it; `tumour_slices`, how many there
        are, and `tumour_slices_lost`, of how many a mask was emptied; `false_alarms`, how many slices without a tumour
        had a mask, and `false_alarms_cleaned`.
    """
    from brain_tumor.models import mask_scores
    from brain_tumor.results import localization

    own, areas = data.table.loc[predictions.index], mask_scores.thirds(data)
    positive = own["positive"].to_numpy(dtype=bool)
    marked = (predictions["predicted_area"] > 0).to_numpy()
    diagonals = np.hypot(own["height"].to_numpy(dtype=float), own["width"].to_numpy(dtype=float))
    gone = chance < threshold

    def scored(emptied: NDArray[np.bool_]) -> "dict[str, Interval]":
        return localization.score(localization.emptied(predictions, emptied, diagonals), areas)

    return {
        "alone": scored(np.zeros_like(gone)),
        "gated": scored(gone),
        "gated_by_truth": scored(~positive),
        "tumour_slices": int(positive.sum()),
        "tumour_slices_lost": int((positive & marked & gone).sum()),
        "false_alarms": int((~positive & marked).sum()),
        "false_alarms_cleaned": int((~positive & marked & gone).sum()),
    }


def _on_gpu(run: "Trained") -> bool:
    return run.record["versions"]["device"] != "cpu"
