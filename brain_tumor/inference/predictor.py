"""What trained runs say of cases: fitted, classified and marked, and brought back to their own grid."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.inference import two_stage
from brain_tumor.inference.base import Outputs, Run
from brain_tumor.inference.fitted_network import FittedNetwork
from brain_tumor.metrics.classification import columns
from brain_tumor.scans import skull, volumes
from brain_tumor.scans.cases import Slices

BEFORE = "area_px_before_detector"
_DETECTED = "detector p("  # how the detector's column begins


@dataclass
class Prediction:
    """What the runs say of a case.

    Attributes:
        table: a row a slice: `slice` (from 0), `position_mm` (NaN for a picture), `p(<class>)`, `novelty` (above 1
            where it is unlike the training's slices, NaN where that is not known), `area_px` and `area_mm2` (NaN
            without a segmenter or millimetres), `area_px_before_detector` and `detector p(<class>)` of a detector's
            positive class, `type` and `type p(<class>)` (of slices with a tumour).
        masks: uint8 (n, H, W) of 0 and 1; None without a segmenter.
        classes: names of the run's classes.
        positive: the one that means a tumour; None where nobody says.
        threshold: its probability from which a slice without masks has a tumour.
        doubts: what speaks against trusting it, a line each.
    """

    table: pd.DataFrame
    masks: NDArray[np.uint8] | None
    classes: Sequence[str]
    positive: str | None
    threshold: float
    doubts: list[str] = field(default_factory=list)

    @property
    def chances(self) -> pd.DataFrame:
        """The slices' probabilities, a column a class."""
        return self.table[columns(self.classes)].set_axis(list(self.classes), axis=1)

    @property
    def shown(self) -> str:
        """The class whose probability is drawn along the slices: the positive one, or the most probable of all."""
        return self.positive if self.positive is not None else str(self.chances.mean().idxmax())

    @property
    def tumours(self) -> NDArray[np.intp]:
        """The slices with a tumour: those with a mask, or, without masks, with such a probability."""
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
        found = [str(name) for name in self.table if str(name).startswith(_DETECTED)]
        return self.table[found[0]] if found else None


class Predictor:
    """Trained runs, ready to look at cases.

    Args:
        run: a classifier, or a segmenter.
        detector: a classifier whose slices below the threshold lose their mask.
        threshold: a slice's calibrated probability of a tumour; None for the detector's own, or, without one, the
            run's.
        types: a classifier that tells the tumours' types, on slices whose mask is not empty; without a segmenter, on
            slices from the threshold on.

    Attributes:
        threshold: what counts.
        threshold_origin: where it comes from.

    Raises:
        ValueError: the runs cannot work together, or a checkpoint is missing or damaged.
    """

    def __init__(
        self, run: Run, detector: Run | None = None, threshold: float | None = None, types: Run | None = None
    ) -> None:
        if detector:
            two_stage.refuse_misfit(run, detector)
        if types:
            two_stage.refuse_types(run, types)
        self.run, self.detector, self.types = run, detector, types
        self.threshold, self.threshold_origin = two_stage.threshold(threshold, detector or run)
        for key, own in self.runs.items():
            if own.crop not in (None, "none"):
                raise ValueError(f"{key}={own.name}: was trained on crops around tumours, which scans do not come with")
            if own.positive not in (None, *own.classes):
                raise ValueError(f"{key}={own.name}: its record is damaged: {own.positive} is none of its classes")
        self._network = FittedNetwork(run)
        self._detecting = FittedNetwork(detector) if detector else None
        self._typing = FittedNetwork(types) if types else None

    @property
    def batch(self) -> int:
        """How many pictures are looked at together."""
        return self._network.batch

    @property
    def runs(self) -> dict[str, Run]:
        """The runs by what they are for."""
        own = {"run": self.run, "detector": self.detector, "types": self.types}
        return {key: run for key, run in own.items() if run is not None}

    @property
    def mixed(self) -> bool:
        """Whether the runs have seen sequences that are known."""
        return any(run.sequences for run in self.runs.values())

    def describe(self) -> dict[str, Any]:
        """Return what stands in predict.json: the runs, what they mean, what calibrates them, and versions."""
        none = dict.fromkeys(("detector", "types"))
        thresholds = {own.name: {"value": own.threshold, "origin": own.threshold_origin} for own in self.runs.values()}
        return {
            **none,
            **{key: run.name for key, run in self.runs.items()},
            "threshold_from": self.threshold_origin,
            "thresholds": thresholds,
            "versions": self.run.versions(),
        }

    @property
    def identity(self) -> dict[str, Any]:
        """What a prediction depends on: every run's weights, what calibrates them, what is positive, the threshold."""
        runs = self.runs.values()
        return {
            "weights": {own.name: own.digest() for own in runs},
            "temperatures": {name: value for own in runs for name, value in own.temperatures.items()},
            "positive": {own.name: own.positive for own in runs},
            "threshold": self.threshold,
        }

    def refuse_unnamed(self) -> None:
        """Refuse a scan of which nobody has named the sequence, where the runs want unlike ones.

        Raises:
            ValueError: they do.
        """
        two_stage.refuse_unlike(self.runs)

    def predict(self, cases: Sequence[Slices]) -> list[Prediction]:
        """Look at several cases at once."""
        outputs = self._network(cases)
        detected = self._detecting(cases) if self._detecting else [None] * len(cases)
        found = [self._conclude(*own) for own in zip(cases, outputs, detected, strict=True)]
        return self._tell_types(cases, found) if self._typing else found

    def _tell_types(self, cases: Sequence[Slices], found: list[Prediction]) -> list[Prediction]:
        """Add the types' probabilities to slices with a tumour."""
        assert self._typing is not None
        assert self.types is not None
        chosen = [own.tumours for own in found]
        for own, rows, output in zip(found, chosen, self._typing(cases, chosen), strict=True):
            chances = pd.DataFrame(output.probabilities, rows, columns(self.types.classes))
            own.table["type"] = chances.idxmax(axis=1).str[2:-1] if len(rows) else ""
            own.table = own.table.join(chances.add_prefix("type "))
            own.doubts += _unlike(output, "types run")
        return found

    def explain(self, case: Slices) -> NDArray[np.float32] | None:
        """Return where a classifier looks for a tumour: float32 (n, H, W) from 0 up; None if unknown.

        Raises:
            ValueError: its backbone has no block to look at.
        """
        if self.run.positive is None:
            return None
        maps = self._network.explain(case, self.run.classes.index(self.run.positive))
        if maps is None:
            return None
        return np.stack([volumes.fit_back(own, case.images.shape[1:3], case.millimetres) for own in maps])

    def _conclude(self, case: Slices, output: Outputs, detected: Outputs | None) -> Prediction:
        said: dict[str, Any] = {
            "slice": np.arange(len(case.images)),
            "position_mm": case.grid.positions if case.grid else np.nan,
            **dict(zip(columns(self.run.classes), output.probabilities.T, strict=True)),
            "novelty": output.novelty,
        }
        masks: NDArray[np.uint8] | None = None
        doubts = [*_unlike(output, "run"), *(_unlike(detected, "detector") if detected else []), *self._skulls(case)]
        if output.maps is not None:
            shape = case.images.shape[1:3]
            marked = np.stack([volumes.fit_back(own, shape, case.millimetres) >= 0.5 for own in output.maps])
            if detected is not None:
                said |= self._detect(marked, detected)
            said["area_px"] = marked.sum((1, 2))
            said["area_mm2"] = said["area_px"] * case.millimetres[0] * case.millimetres[1] if case.grid else np.nan
            masks = marked.astype(np.uint8)
        found = Prediction(pd.DataFrame(said), masks, self.run.classes, self.run.positive, self.threshold, doubts)
        found.doubts += _overruled(case, found)
        return found

    def _detect(self, masks: NDArray[np.bool_], detected: Outputs) -> dict[str, Any]:
        """Empty the masks (n, H, W) of slices that the detector finds healthy; return what it says of each slice."""
        assert self.detector is not None
        assert self.detector.positive is not None, "refused before"
        chance = detected.probabilities[:, self.detector.classes.index(self.detector.positive)]
        before = masks.sum((1, 2))
        masks[chance < self.threshold] = False
        return {f"{_DETECTED}{self.detector.positive})": chance, BEFORE: before}

    def _skulls(self, case: Slices) -> list[str]:
        """Say whether a case lacks the skull that the training's heads had, or the other way round."""
        known = {key: own.skull for key, own in self.runs.items() if own.skull is not None}
        found = skull.has_skull(case.images, case.millimetres) if known else None
        if found is None or not (unlike := [key for key, own in known.items() if own != found]):
            return []
        runs = f"the {' and the '.join(unlike)} {'was' if len(unlike) == 1 else 'were'} trained on"
        seen = f"shows a skull, while {runs} skull-stripped heads"
        if not found:
            seen = f"looks skull-stripped, while {runs} heads with their skulls"
        return [f"{seen}: do not trust its masks and probabilities"]


def _unlike(output: Outputs, trained: str) -> list[str]:
    """Say of how many of the slices that were looked at a run has not learnt from the like."""
    if output.novelty is None or not (count := int((output.novelty > 1).sum())):
        return []
    slices = f"{count} of {len(output.novelty)} slices are" if len(output.novelty) > 1 else "this is"
    return [f"{slices} unlike what the {trained} was trained on"]


def _overruled(case: Slices, found: Prediction) -> list[str]:
    """Say what a detector has taken from a segmenter."""
    gone = found.emptied
    if not len(gone):
        return []
    assert found.detected is not None
    name, marked = str(found.detected.name).removeprefix("detector "), int((found.table[BEFORE] > 0).sum())
    amount, unit = _amount(case, float(found.table[BEFORE].iloc[gone].sum()))
    size = f"{amount:.1f} ml" if unit == "ml" else f"{amount:.0f} pixels"
    theirs, own = found.detected.iloc[gone].max(), found.chances[found.positive].iloc[gone].max()
    masks, largest = f"masks of {len(gone)} of {marked} marked slices", f"largest {name} there"
    if len(found.table) == 1:
        masks, largest = "mask", name
    return [f"the detector emptied the {masks}, {size}: its {largest} is {theirs:.3f}, the segmenter's {own:.3f}"]


def _amount(case: Slices, pixels: float) -> tuple[float, str]:
    """Return how much so many pixels of a case's masks are, in millilitres where that is known."""
    if case.volume is not None and case.volume.even:
        return pixels * case.volume.millilitres, "ml"
    return pixels, "px"


def summarise(case: Slices, prediction: Prediction) -> dict[str, Any]:
    """Sum up a case.

    Returns:
        `slices`; `p_max` and `p_mean` of the positive class; where nobody says which that is, or of more than two
        classes, `class`, the most probable one, every `p(<class>)`, the mean over the slices, and of how many slices
        each is the most probable one (`slices_by_class`); `volume_ml`; with a detector its own `detector_p_max`,
        `emptied_slices`, and how much those had been (`emptied_ml`, or `emptied_px`); `type` and `type p(<class>)`,
        the mean over the slices with a tumour.
    """
    table, chances = prediction.table, prediction.chances
    found: dict[str, Any] = {"slices": len(table)}
    if prediction.positive is not None:
        tumour = chances[prediction.positive].to_numpy()
        found |= {"p_max": tumour.max(), "p_mean": tumour.mean()}
    if prediction.positive is None or len(prediction.classes) > 2:
        means, counts = chances.mean(), chances.idxmax(axis=1).value_counts()
        found |= {"class": str(means.idxmax()), **means.add_prefix("p(").add_suffix(")")}
        if len(table) > 1:
            found["slices_by_class"] = ", ".join(f"{count} {name}" for name, count in counts.items())
    if prediction.masks is not None:
        amount, unit = _amount(case, float(prediction.masks.sum()))
        found |= {"volume_ml": amount} if unit == "ml" else {}
    if prediction.detected is not None:
        amount, unit = _amount(case, float(table[BEFORE].iloc[prediction.emptied].sum()))
        found |= {"detector_p_max": prediction.detected.max(), "emptied_slices": len(prediction.emptied)}
        found[f"emptied_{unit}"] = amount
    if "type" in table:
        types = table.filter(regex=r"^type p\(").mean()
        found |= {"type": "" if types.isna().all() else str(types.idxmax())[len("type p(") : -1], **types}
    return found
