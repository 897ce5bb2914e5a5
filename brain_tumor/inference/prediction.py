"""The prediction of a case, by slice and as a summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.inference import measurements
from brain_tumor.io.tables import columns
from brain_tumor.scans.cases import Slices

BEFORE = "area_px_before_detector"
DETECTED = "detector p("  # prefix of the detector's column
TYPED = "type p("  # prefix of the types' columns


@dataclass
class Prediction:
    """The prediction of a case.

    Attributes:
        table: one row per slice: `slice` (from 0; in a stack of pictures its number), `position_mm` (NaN for a
            picture), `p(<class>)`, `novelty` (above 1 if unlike the training slices, NaN if unknown), with a segmenter
            `area_px` and `area_mm2` (NaN without millimetres), `area_px(<region>)` of several regions, with a detector
            `area_px_before_detector` and
            `detector p(<class>)` of its positive class, with a run of types `type` and `type p(<class>)` (for slices
            with a tumour).
        masks: uint8 (n, H, W) of the run's labels, 0 for none; None without a segmenter.
        classes: names of the run's classes.
        positive: the one that means a tumour; None if the data does not say.
        threshold: the positive class's probability from which a slice counts as one with a tumour, without a segmenter.
        doubts: reasons not to trust the prediction, one per line.
        regions: the labels of the masks that each region is made of, by its name; {} without a segmenter.
    """

    table: pd.DataFrame
    masks: NDArray[np.uint8] | None
    classes: Sequence[str]
    positive: str | None
    threshold: float
    doubts: list[str] = field(default_factory=list)
    regions: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def chances(self) -> pd.DataFrame:
        """The slices' probabilities, one column per class."""
        return self.table[columns(self.classes)].set_axis(list(self.classes), axis=1)

    @property
    def shown(self) -> str:
        """The class whose probability is drawn along the slices: the positive one, or the most probable of all."""
        return self.positive if self.positive is not None else str(self.chances.mean().idxmax())

    @property
    def probability(self) -> float | None:
        """The case's probability of a tumour: the largest of its slices; None without a positive class."""
        return None if self.positive is None else float(self.chances[self.positive].max())

    @property
    def tumours(self) -> NDArray[np.intp]:
        """The slices with a tumour: those with a mask, or, without a segmenter, from the threshold on."""
        if self.masks is not None:
            return np.flatnonzero(self.masks.any((1, 2)))
        if self.positive is None:
            return np.empty(0, np.intp)
        return np.flatnonzero(self.chances[self.positive] >= self.threshold)

    @property
    def emptied(self) -> NDArray[np.intp]:
        """The slices whose mask a detector has emptied."""
        if BEFORE not in self.table:
            return np.empty(0, np.intp)
        return np.flatnonzero((self.table[BEFORE] > 0) & (self.table["area_px"] == 0))

    @property
    def detected(self) -> "pd.Series[float] | None":
        """The slices' probabilities of a tumour by the detector; None without one."""
        names = [str(name) for name in self.table if str(name).startswith(DETECTED)]
        return self.table[names[0]] if names else None


def amount(case: Slices, pixels: float) -> tuple[float, str]:
    """Return the volume of some pixels of a case's masks and its unit: "ml", or "px" if the pixels' size is unknown."""
    if case.volume is not None and case.volume.even:
        return pixels * case.volume.millilitres, "ml"
    return pixels, "px"


def summarise(case: Slices, prediction: Prediction) -> dict[str, Any]:
    """Summarize a case.

    Returns:
        `slices`; `p_max` and `p_mean` of the positive class; without one, or with more than two classes, the most
        probable `class`, the mean `p(<class>)` over the slices, and `slices_by_class`, the number of slices in which
        each class is the most probable one; with a segmenter `volume_ml` and what `measurements.measure` returns; of a
        positive class `flagged_share`, the share of slices that show it; with a detector `detector_p_max`,
        `emptied_slices`, and the volume of their masks (`emptied_ml` or `emptied_px`); with a run of types `type` and
        `type p(<class>)`, the mean over the slices with a tumour.
    """
    summary: dict[str, Any] = {"slices": len(prediction.table)}
    if prediction.positive is not None:
        chance = prediction.chances[prediction.positive].to_numpy()
        summary |= {"p_max": prediction.probability, "p_mean": chance.mean()}
    if prediction.positive is None or len(prediction.classes) > 2:
        summary |= _classes(prediction)
    if prediction.masks is not None:
        size, unit = amount(case, float((prediction.masks > 0).sum()))
        summary |= {"volume_ml": size} if unit == "ml" else {}
        summary |= _regions(case, prediction)
        summary |= measurements.measure(case, prediction.masks, prediction.regions, prediction.table["slice"].tolist())
    if prediction.positive is not None:
        summary["flagged_share"] = len(prediction.tumours) / len(prediction.table)
    if prediction.detected is not None:
        size, unit = amount(case, float(prediction.table[BEFORE].iloc[prediction.emptied].sum()))
        summary |= {"detector_p_max": prediction.detected.max(), "emptied_slices": len(prediction.emptied)}
        summary[f"emptied_{unit}"] = size
    if "type" in prediction.table:
        types = prediction.table[[name for name in prediction.table if str(name).startswith(TYPED)]].mean()
        name = "" if types.isna().all() else str(types.idxmax())[len(TYPED) : -1]
        summary |= {"type": name, **{str(column): value for column, value in types.items()}}
    return summary


def _regions(case: Slices, prediction: Prediction) -> dict[str, Any]:
    """Return the volume of each of several regions, where the size of voxels is known."""
    areas = prediction.table[[name for name in prediction.table if str(name).startswith("area_px(")]].sum()
    sizes = {str(name).removeprefix("area_px"): amount(case, float(pixels)) for name, pixels in areas.items()}
    return {f"volume_ml{name}": size for name, (size, unit) in sizes.items() if unit == "ml"}


def _classes(prediction: Prediction) -> dict[str, Any]:
    """Return the mean probability of each class, and in how many slices it is the most probable one."""
    means, counts = prediction.chances.mean(), prediction.chances.idxmax(axis=1).value_counts()
    classes = {"class": str(means.idxmax()), **means.add_prefix("p(").add_suffix(")")}
    if len(prediction.table) > 1:
        classes["slices_by_class"] = ", ".join(f"{count} {name}" for name, count in counts.items())
    return classes
