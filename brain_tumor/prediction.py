"""What trained runs say of cases: fitted, classified and marked, and brought back to their own grid."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor import stages
from brain_tumor.data import cases as cases_
from brain_tumor.data import volumes
from brain_tumor.data.cases import Slices
from brain_tumor.models.outputs import Outputs, Run
from brain_tumor.prefetch import prefetch
from brain_tumor.results.predictions import columns


@dataclass
class Prediction:
    """What the runs say of a case.

    Attributes:
        table: a row a slice: `slice` (from 0), `position_mm` (NaN for a picture), `p(<class>)`, `novelty` (above 1
            where it is unlike the training's slices, NaN where that is not known), `area_px` and `area_mm2` (NaN
            without a segmenter or millimetres), `type` and `type p(<class>)` (of slices with a tumour).
        masks: uint8 (n, H, W) of 0 and 1; None without a segmenter.
    """

    table: pd.DataFrame
    masks: NDArray[np.uint8] | None

    @property
    def doubts(self) -> list[str]:
        """What speaks against trusting it, a line each."""
        unlike = int((self.table["novelty"] > 1).sum())
        count = f"{unlike} of {len(self.table)} slices are" if len(self.table) > 1 else "this is"
        return [f"{count} unlike what the run was trained on"] if unlike else []

    def tumours(self, threshold: float) -> NDArray[np.intp]:
        """Return the slices with a tumour: those with a mask, or, without masks, with such a probability."""
        column = self.table["p(tumour)"] >= threshold if self.masks is None else self.masks.any((1, 2))
        return np.flatnonzero(column)


class Predictor:
    """Trained runs, ready to look at cases.

    Args:
        run: a classifier, or a segmenter.
        detector: a classifier whose slices below `threshold` lose their mask.
        threshold: a slice's probability of a tumour.
        types: a classifier that tells the tumours' types, on slices whose mask is not empty; without a segmenter, on
            slices from `threshold` on.

    Raises:
        ValueError: the runs cannot work together, or a checkpoint is missing or damaged.
    """

    def __init__(self, run: Run, detector: Run | None, threshold: float, types: Run | None = None) -> None:
        if detector:
            stages.refuse_misfit(run, detector)
        if types:
            stages.refuse_types(run, types)
        for key, own in (("run", run), ("types", types)):
            if own is not None and own.crop not in (None, "none"):
                raise ValueError(f"{key}={own.name}: was trained on crops around tumours, which scans do not come with")
        self.run, self.detector, self.types, self.threshold = run, detector, types, threshold
        self._network = _Network(run)
        self._detecting = _Network(detector) if detector else None
        self._typing = _Network(types) if types else None

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
        return any(cases_.shown(run.kind) for run in self.runs.values())

    def describe(self) -> dict[str, Any]:
        """Return what stands in predict.json: the runs, what calibrates them, and versions."""
        none = dict.fromkeys(("detector", "types"))
        runs = {key: run.name for key, run in self.runs.items()}
        temperatures = {name: own for run in self.runs.values() for name, own in run.temperatures.items()}
        return {**none, **runs, "temperatures": temperatures, "versions": self.run.versions()}

    @property
    def checkpoints(self) -> dict[str, str]:
        """The SHA-256 of every run's weights."""
        return {own.name: own.digest() for own in self.runs.values()}

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
        chosen = [own.tumours(self.threshold) for own in found]
        for own, rows, output in zip(found, chosen, self._typing(cases, chosen), strict=True):
            chances = pd.DataFrame(output.probabilities, rows, columns(self.types.classes))
            own.table["type"] = chances.idxmax(axis=1).str[2:-1] if len(rows) else ""
            own.table = own.table.join(chances.add_prefix("type "))
        return found

    def explain(self, case: Slices) -> NDArray[np.float32] | None:
        """Return where a classifier of two classes looks for the second: float32 (n, H, W) from 0 up; None if unknown.

        Raises:
            ValueError: its backbone has no block to look at.
        """
        maps = self._network.explain(case, 1) if len(self.run.classes) == 2 else None
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
        if output.maps is None:
            return Prediction(pd.DataFrame(said), None)
        shape = case.images.shape[1:3]
        masks = np.stack([volumes.fit_back(own, shape, case.millimetres) >= 0.5 for own in output.maps])
        if detected is not None:
            chance = detected.probabilities[:, 1]
            masks[chance < self.threshold] = False
            said["detector p(tumour)"] = chance
        said["area_px"] = masks.sum((1, 2))
        said["area_mm2"] = said["area_px"] * case.millimetres[0] * case.millimetres[1] if case.grid else np.nan
        return Prediction(pd.DataFrame(said), masks.astype(np.uint8))


class _Network:
    """One run's network, and how it wants its pictures."""

    def __init__(self, run: Run) -> None:
        self._network, self._size, self._classes = run.network(), run.size, len(run.classes)
        self._channels = cases_.shown(run.kind)
        self._by_way_of = volumes.PUBLISHED if self._channels == cases_.SEQUENCES else None

    @property
    def batch(self) -> int:
        return self._network.batch

    def __call__(self, cases: Sequence[Slices], rows: Sequence[NDArray[np.intp]] | None = None) -> list[Outputs]:
        """Return what the network says of each case, or of its chosen rows; the next are fitted meanwhile."""
        shown = [case.of(self._channels) for case in cases]
        chosen = [np.arange(len(own)) for own in shown] if rows is None else rows
        work = [(case, own[row]) for case, own, part in zip(cases, shown, chosen, strict=True) for row in part]
        if not work:
            return [Outputs(np.empty((0, self._classes)), None) for _ in cases]
        with ThreadPoolExecutor(1) as pool:
            parts = [work[start : start + self.batch] for start in range(0, len(work), self.batch)]
            outputs = [self._network(fitted) for fitted in prefetch(pool, self._fit, parts)]
        return _divide(outputs, [len(part) for part in chosen])

    def explain(self, case: Slices, target: int) -> NDArray[np.float32] | None:
        """Return how much each place speaks for a class, float32 (n, size, size) from 0 up; None if it cannot tell."""
        return self._network.explain(self._fit([(case, image) for image in case.of(self._channels)]), target)

    def _fit(self, work: Sequence[tuple[Slices, NDArray[np.uint8]]]) -> NDArray[np.uint8]:
        """Fit slices of cases into squares: uint8 (n, size, size, 3)."""
        fitted = [
            volumes.fit(image, self._size, case.millimetres, self._by_way_of if case.volume is not None else None)
            for case, image in work
        ]
        return np.stack(fitted)


def _divide(outputs: Sequence[Outputs], counts: Sequence[int]) -> list[Outputs]:
    """Put batches together, and divide them into so many slices each."""
    ends = np.cumsum(counts)[:-1]

    def divided(parts: Iterable[NDArray[Any] | None]) -> list[Any]:
        known = [part for part in parts if part is not None]
        return np.split(np.concatenate(known), ends) if known else [None] * len(counts)

    fields = (divided(parts) for parts in zip(*outputs, strict=True))
    return [Outputs(*own) for own in zip(*fields, strict=True)]


def summarise(case: Slices, prediction: Prediction) -> dict[str, Any]:
    """Sum up a case.

    Returns:
        `slices`; `p_max` and `p_mean` of a tumour (of two classes, the second); `volume_ml`; `type` and
        `type p(<class>)`, the mean over the slices with a tumour.
    """
    table = prediction.table
    found: dict[str, Any] = {"slices": len(table)}
    chances = [name for name in table if str(name).startswith("p(")]
    if len(chances) == 2:
        tumour = table[chances[1]].to_numpy()
        found |= {"p_max": tumour.max(), "p_mean": tumour.mean()}
    if prediction.masks is not None and case.volume is not None and case.volume.even:
        found["volume_ml"] = float(prediction.masks.sum()) * case.volume.millilitres
    if "type" in table:
        types = table.filter(regex=r"^type p\(").mean()
        found |= {"type": "" if types.isna().all() else str(types.idxmax())[len("type p(") : -1], **types}
    return found
