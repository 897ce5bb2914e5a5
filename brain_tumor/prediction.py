"""What trained runs say of cases: fitted, classified and marked, and brought back to their own grid."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from brain_tumor import case_files, stages
from brain_tumor.data import cases as cases_
from brain_tumor.data import volumes
from brain_tumor.data.cases import Case, Slices
from brain_tumor.models.outputs import Outputs, Run
from brain_tumor.results.predictions import Predictions, columns

_SUFFIXES = {"overlays": ".png", "pages": ".html"}
T = TypeVar("T")
R = TypeVar("R")


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
            outputs = [self._network(fitted) for fitted in _ahead(pool, self._fit, parts)]
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


def part(cases: Sequence[Case], text: str | None) -> list[Case]:
    """Choose the cases of a part such as "1/4", the same on every machine.

    Raises:
        ValueError: it is none.
    """
    if text is None:
        return list(cases)
    number, _, count = str(text).partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ValueError(f"part={text}: write 1/4 for the first of four")
    digests = [int(hashlib.sha256(case.name.encode()).hexdigest(), 16) for case in cases]
    return [case for case, digest in zip(cases, digests, strict=True) if digest % int(count) == int(number) - 1]


def run(
    predictor: Predictor,
    cases: Sequence[Case],
    written: Predictions,
    preset: str,
    overlays: bool,
    pages: bool = False,
) -> None:
    """Predict cases and keep each as soon as it is done; what has been kept is left alone.

    Pictures are looked at many at a time; while one batch is, the next is read and the last is written.
    """
    marks = predictor.run.task == "segmentation"

    def pictures(case: Case) -> dict[str, str]:
        # A single picture without a mask would only be copied.
        folders = {"overlays": overlays and (marks or not _flat(case)), "pages": pages}
        return {name: _SUFFIXES[name] for name, wanted in folders.items() if wanted}

    todo = [case for case in cases if not written.done(case.name, _stamp(case), pictures(case))]

    def read(batch: Sequence[Case]) -> list[tuple[Case, Slices | str]]:
        return [(case, read_safely(case, preset, predictor.mixed)) for case in batch]

    def look(batch: Sequence[tuple[Case, Slices | str]]) -> list[tuple[Case, tuple[Slices, Prediction] | str]]:
        predictions = iter(predictor.predict([own for _, own in batch if not isinstance(own, str)]))
        return [(case, own if isinstance(own, str) else (own, next(predictions))) for case, own in batch]

    with ThreadPoolExecutor(2) as pool, tqdm(total=len(todo), desc="predicting", disable=None) as bar:
        for batch in _ahead(pool, look, _ahead(pool, read, _batches(todo, predictor.batch))):
            for case, found in batch:
                _write(written, case, found, pictures(case))
            bar.update(len(batch))


def _ahead(pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Apply a function to items in order, always to one more than is needed."""
    following: Future[R] | None = None
    for item in items:
        current, following = following, pool.submit(function, item)
        if current is not None:
            yield current.result()
    if following is not None:
        yield following.result()


def _write(
    written: Predictions, case: Case, found: tuple[Slices, Prediction] | str, pictures: Mapping[str, str]
) -> None:
    """Keep what was read and said of a case, or why it could not be read."""
    if isinstance(found, str):
        written.fail(case.name, _stamp(case), found, _shown(case))
        return
    own, said = found
    row = {**summarise(own, said), "source": _shown(case), "warnings": "; ".join([*own.warnings, *said.doubts])}
    if said.masks is not None:
        case_files.write_mask(written.folder / "masks", case, own, said.masks)
    if "overlays" in pictures:
        path = written.folder / "overlays" / f"{case.name}.png"
        case_files.write_overlay(path, own, said.table, said.masks)
    if "pages" in pictures:
        path = written.folder / "pages" / f"{case.name}.html"
        case_files.write_page(path, {"case": case.name, **row}, own, said.table, said.masks)
    written.write(case.name, _stamp(case), row, said.table)


def read_safely(case: Case, preset: str, mixed: bool) -> Slices | str:
    """Read a case; a string says why that cannot be done."""
    try:
        return cases_.read(case, preset, mixed)
    except Exception as error:
        # Files come from anywhere, and decoders raise what they like: one bad file must not end a night's work.
        text = " ".join(str(error).split())[:300]
        return text if isinstance(error, ValueError) else f"cannot be read ({type(error).__name__}: {text})"


def _batches(cases: Sequence[Case], size: int) -> list[list[Case]]:
    """Put pictures together, `size` at a time; a volume is a batch by itself."""
    pictures: list[Case] = []
    others: list[Case] = []
    for case in cases:
        (pictures if _flat(case) else others).append(case)
    together = range(0, len(pictures), size)
    return [pictures[start : start + size] for start in together] + [[case] for case in others]


def _flat(case: Case) -> bool:
    return all(source.kind == "image" for source in case.sources.values())


def _stamp(case: Case) -> str:
    """Identify a case's files by name, size and time."""
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in case.paths]
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:16]


def _shown(case: Case) -> str:
    paths = case.paths
    return str(paths[0]) + (f" and {len(paths) - 1} more" if len(paths) > 1 else "") if paths else ""
