"""The one path from a case to its prediction.

    slices -> fitted to the network's size -> each network's probabilities and maps, calibrated -> their mean
    (`run_predictor`, `calibrated`) -> maps on the case's grid, thresholded -> small components removed -> emptied
    where a detector is below its threshold -> a row a slice, masks, doubts

`predict`, the page, the check of an export and Spark's archive use it; `evaluate` runs its detector through the same
`RunPredictor`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.inference import doubts, two_stage
from brain_tumor.inference.base import Outputs, Run
from brain_tumor.inference.prediction import BEFORE, DETECTED, Prediction
from brain_tumor.inference.run_predictor import RunPredictor
from brain_tumor.io.tables import columns
from brain_tumor.metrics import gating
from brain_tumor.scans import cases, components, sequences, volumes
from brain_tumor.scans.cases import Case, Slices


class Predictor:
    """Trained runs that predict cases.

    Args:
        run: a classifier, or a segmenter.
        detector: a classifier whose slices below the threshold lose their mask.
        threshold: a slice's calibrated probability of a tumour; None for the detector's own, or, without one, the
            run's.
        types: a classifier that tells the tumours' types, on slices whose mask is not empty; without a segmenter, on
            slices from the threshold on.
        keep_from: the segmenter's probability from which a slice keeps its mask, whatever the detector says; None for
            never.

    Attributes:
        threshold: the one that is used.
        threshold_origin: where it comes from.

    Raises:
        ValueError: the runs cannot work together, or a checkpoint is missing or damaged.
    """

    def __init__(
        self,
        run: Run,
        detector: Run | None = None,
        threshold: float | None = None,
        types: Run | None = None,
        keep_from: float | None = None,
    ) -> None:
        if detector:
            two_stage.refuse_misfit(run, detector)
        if types:
            two_stage.refuse_types(run, types)
        two_stage.refuse_keep_from(keep_from, run, detector)
        self.keep_from = keep_from
        self.run, self.detector, self.types = run, detector, types
        self.threshold, self.threshold_origin = two_stage.threshold(threshold, detector or run)
        for key, used in self.runs.items():
            two_stage.refuse_unusable(key, used)
        self._run = RunPredictor(run)
        self._detector = RunPredictor(detector, "detector") if detector else None
        self._types = RunPredictor(types, "types") if types else None

    @classmethod
    def of(cls, runs: Mapping[str, Run], threshold: float | None, keep_from: float | None = None) -> "Predictor":
        """Make a predictor of runs by their roles: "run", "detector", "types" (see `Predictor`)."""
        return cls(runs["run"], runs.get("detector"), threshold, runs.get("types"), keep_from)

    @property
    def batch(self) -> int:
        """The number of slices that are predicted together."""
        return self._run.batch

    @property
    def runs(self) -> dict[str, Run]:
        """The runs by their roles."""
        runs = {"run": self.run, "detector": self.detector, "types": self.types}
        return {key: run for key, run in runs.items() if run is not None}

    def preset(self, given: str) -> str:
        """Return how volumes are scaled: as those of the training if it was on volumes, or as given."""
        return given if self.run.scaling is None else self.run.scaling

    def read(self, case: Case, preset: str, register: str = "none") -> Slices | str:
        """Read a case into slices, or return why it cannot be read.

        Args:
            case: the case.
            preset: how a volume's intensities are scaled (see `preset`).
            register: how sequences are brought onto one grid, one of `registration.WAYS`.
        """
        runs, preset = self.runs.values(), self.preset(preset)
        # With known sequences, an unnamed volume stands in for different ones.
        mixed = any(run.sequences for run in runs)
        seen = sequences.shown([run.sequences for run in runs])
        slices = cases.try_read(case, preset, mixed, seen, self.run.plane, register)
        if isinstance(slices, str):
            return slices
        try:
            for run in runs:
                slices.of(run.sequences)
        except ValueError as error:
            return str(error)
        return slices

    def describe(self) -> dict[str, Any]:
        """Return facts for predict.json: the runs, their thresholds, and versions."""
        none = dict.fromkeys(("detector", "types"))
        thresholds = {run.name: {"value": run.threshold, "origin": run.threshold_origin} for run in self.runs.values()}
        return {
            **none,
            **{key: run.name for key, run in self.runs.items()},
            "threshold_from": self.threshold_origin,
            "thresholds": thresholds,
            "versions": self.run.versions(),
        }

    @property
    def identity(self) -> dict[str, Any]:
        """What a prediction depends on: every run's weights, temperature and positive class, and the threshold."""
        runs = self.runs.values()
        return {
            "weights": {run.name: run.digest() for run in runs},
            "temperatures": {name: value for run in runs for name, value in run.temperatures.items()},
            "positive": {run.name: run.positive for run in runs},
            "threshold": self.threshold,
            "keep_from": self.keep_from,
        }

    def refuse_unnamed(self) -> None:
        """Refuse a scan without a named sequence if the runs need different ones.

        Raises:
            ValueError: the runs need different sequences.
        """
        two_stage.refuse_unlike(self.runs)

    def predict(self, several: Sequence[Slices]) -> list[Prediction]:
        """Predict several cases at once."""
        outputs = self._run(several)
        detected = self._detector(several) if self._detector else [None] * len(several)
        predictions = [self._conclude(*parts) for parts in zip(several, outputs, detected, strict=True)]
        if self._types:
            self._add_types(self._types, several, predictions)
        return predictions

    def explain(self, case: Slices) -> NDArray[np.float32] | None:
        """Return a classifier's heat maps of a tumour, float32 (n, H, W) from 0 up; None if it has none.

        Raises:
            ValueError: the backbone has no block that heat maps can be made of.
        """
        if self.run.positive is None:
            return None
        maps = self._run.explain(case, self.run.classes.index(self.run.positive))
        return None if maps is None else np.stack([_on_grid(case, heat) for heat in maps])

    def _conclude(self, case: Slices, output: Outputs, detected: Outputs | None) -> Prediction:
        """Make the prediction of a case from the outputs of the run and the detector."""
        values: dict[str, Any] = {
            "slice": np.arange(len(case.images)) if case.numbers is None else case.numbers,
            "position_mm": case.grid.positions if case.grid else np.nan,
            **dict(zip(columns(self.run.classes), output.probabilities.T, strict=True)),
            "novelty": output.novelty,
        }
        masks: NDArray[np.uint8] | None = None
        lines = doubts.unlike(output, "run") + (doubts.unlike(detected, "detector") if detected else [])
        lines += doubts.skulls(case, self.runs) + doubts.surroundings(case, self.runs)
        if output.maps is not None:
            labels = np.stack([self._decide(case, pixels) for pixels in output.maps])
            flagged = labels > 0
            if case.volume is not None or case.numbers is not None:
                flagged = components.keep_large(flagged.astype(np.uint8), self.run.components).astype(bool)
            if detected is not None:
                values |= self._empty(flagged, detected, output)
            values["area_px"] = flagged.sum((1, 2))
            height, width = case.millimetres
            values["area_mm2"] = values["area_px"] * height * width if case.grid else np.nan
            masks = labels * flagged
            for name, members in self.run.regions.members.items() if len(self.run.regions.names) > 1 else ():
                values[f"area_px({name})"] = np.isin(masks, members).sum((1, 2))
        table = pd.DataFrame(values)
        regions = {} if masks is None else self.run.regions.members
        prediction = Prediction(table, masks, self.run.classes, self.run.positive, self.threshold, lines, regions)
        prediction.doubts += doubts.overruled(case, prediction)
        return prediction

    def _decide(self, case: Slices, pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return a slice's labels (H, W) on the case's grid, from a map or those of several regions."""
        regions = [_on_grid(case, region) for region in pixels.reshape(-1, *pixels.shape[-2:])]
        return self.run.regions.decide(np.stack(regions))

    def _empty(self, masks: NDArray[np.bool_], detected: Outputs, output: Outputs) -> dict[str, Any]:
        """Empty the masks (n, H, W) of slices in which the detector sees no tumour; return its columns of the table."""
        assert self.detector is not None
        chances = two_stage.positive_probabilities(self.detector, detected)
        before = masks.sum((1, 2))
        segmented = two_stage.positive_probabilities(self.run, output)
        masks[gating.emptied(chances, segmented, self.threshold, self.keep_from)] = False
        return {f"{DETECTED}{self.detector.positive})": chances, BEFORE: before}

    def _add_types(self, types: RunPredictor, several: Sequence[Slices], predictions: Sequence[Prediction]) -> None:
        """Add the types' probabilities to slices with a tumour."""
        assert self.types is not None
        rows = [prediction.tumours for prediction in predictions]
        for prediction, chosen, output in zip(predictions, rows, types(several, rows), strict=True):
            chances = pd.DataFrame(output.probabilities, chosen, columns(self.types.classes))
            prediction.table["type"] = chances.idxmax(axis=1).str[2:-1] if len(chosen) else ""
            prediction.table = prediction.table.join(chances.add_prefix("type "))
            prediction.doubts += doubts.unlike(output, "types run")


def _on_grid(case: Slices, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring a map (size, size) over a fitted slice back to the case's grid (H, W)."""
    return volumes.fit_back(pixels, case.images.shape[1:3], case.millimetres)
