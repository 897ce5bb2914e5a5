"""Score a segmenter behind a detector, which empties the masks of slices in which it sees no tumour."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.inference import two_stage
from brain_tumor.inference.base import Run
from brain_tumor.inference.run_predictor import RunPredictor
from brain_tumor.metrics import segmentation
from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.models import mask_scores


def probabilities(detector: Run, data: SliceDataModule, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the detector's calibrated probabilities of a tumour, (n,), as `predict` computes them.

    Args:
        detector: a classifier with a positive class.
        data: fitted to the detector's size.
        rows: (n,) of the data.

    Raises:
        ValueError: the data shows other sequences than the detector was trained on, or the detector gives no numbers.
    """
    shown = data.dataset.sequences
    if shown and detector.sequences and shown != detector.sequences:
        raise ValueError(
            f"detector={detector.name}: sees {two_stage.listed(detector.sequences)}, but the data shows "
            f"{two_stage.listed(shown)}"
        )
    outputs = RunPredictor(detector, "detector").predict_fitted(data.store.fitted, rows)
    return two_stage.positive_probabilities(detector, outputs)


def score(predictions: pd.DataFrame, data: SliceDataModule, below: NDArray[np.bool_]) -> dict[str, Any]:
    """Score a segmenter's masks alone, gated by a detector, and gated by the truth.

    Args:
        predictions: the segmenter's, with its comparison of every slice.
        data: that the segmenter predicted, set up.
        below: bool (n,), the slices whose masks the detector empties (see `metrics.gating.emptied`).

    Returns:
        `alone`, `gated` and `gated_by_truth`, each as `segmentation.score` returns it; the numbers of `tumour_slices`,
        and of those that lost a mask, `tumour_slices_lost`; the numbers of slices without a tumour that had a mask,
        `false_alarms`, and of those that lost it, `false_alarms_cleaned`.
    """
    slices, areas = data.table.loc[predictions.index], mask_scores.thirds(data)
    positive = slices["positive"].to_numpy(dtype=bool)
    flagged = (predictions["predicted_area"] > 0).to_numpy()
    diagonals = np.hypot(slices["height"].to_numpy(dtype=float), slices["width"].to_numpy(dtype=float))

    def scored(emptied: NDArray[np.bool_]) -> dict[str, Interval]:
        return segmentation.score(segmentation.emptied(predictions, emptied, diagonals), areas)

    return {
        "alone": scored(np.zeros_like(below)),
        "gated": scored(below),
        "gated_by_truth": scored(~positive),
        "tumour_slices": int(positive.sum()),
        "tumour_slices_lost": int((positive & flagged & below).sum()),
        "false_alarms": int((~positive & flagged).sum()),
        "false_alarms_cleaned": int((~positive & flagged & below).sum()),
    }
