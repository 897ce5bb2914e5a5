"""What trained runs say of cases: fitted, classified and marked, and brought back to their own grid."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from brain_tumor import stages
from brain_tumor.data import cases as cases_
from brain_tumor.data import nifti, volumes
from brain_tumor.data.cases import Case, Slices
from brain_tumor.data.targets import TUMOUR_CLASSES
from brain_tumor.data.transforms import Transforms
from brain_tumor.models import precision
from brain_tumor.models.task import Task
from brain_tumor.results import plots, versions
from brain_tumor.results.predictions import Predictions
from brain_tumor.trained import Trained

_MIXED = {"lgg", "phantom"}  # data whose three channels are these sequences
_BATCH = {"cpu": 16, "cuda": 256}
_SHOWN = 12  # slices in an overlay


@dataclass
class Prediction:
    """What the runs say of a case.

    Attributes:
        table: a row a slice: `slice` (from 0), `position_mm` (NaN for a picture), `p(<class>)`, `area_px` and
            `area_mm2` (NaN without a segmenter or millimetres).
        masks: uint8 (n, H, W) of 0 and 1; None without a segmenter.
    """

    table: pd.DataFrame
    masks: NDArray[np.uint8] | None


class Predictor:
    """Trained runs, ready to look at cases.

    Args:
        run: a classifier, or a segmenter.
        detector: a classifier whose slices below `threshold` lose their mask.
        threshold: a slice's probability of a tumour.

    Raises:
        ValueError: the detector cannot work with the run, or a checkpoint is missing or damaged.
    """

    def __init__(self, run: Trained, detector: Trained | None, threshold: float) -> None:
        if detector:
            stages.refuse_misfit(run, detector)
        if run.record["hyperparameters"].get("crop"):
            raise ValueError(f"run={run.folder}: was trained on crops around tumours, which scans do not come with")
        self.run, self.detector, self.threshold = run, detector, threshold
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = _Network(run, self.device)
        self._detecting = _Network(detector, self.device) if detector else None

    @property
    def mixed(self) -> bool:
        """Whether the runs have seen sequences as colours."""
        return self.run.record["data"]["kind"] in _MIXED

    def describe(self) -> dict[str, Any]:
        """Return what stands in predict.json: the runs, and versions of everything that numbers may depend on."""
        runs = {"run": str(self.run.folder), "detector": str(self.detector.folder) if self.detector else None}
        return {**runs, "versions": versions.versions(self.device, self.run.record["versions"]["arithmetic"])}

    @property
    def checkpoints(self) -> dict[str, str]:
        """The SHA-256 of every run's weights."""
        return {
            str(own.folder): hashlib.sha256(own.checkpoint.read_bytes()).hexdigest()
            for own in (self.run, self.detector)
            if own is not None
        }

    def predict(self, cases: Sequence[Slices]) -> list[Prediction]:
        """Look at several cases at once."""
        outputs = self._network(cases)
        detected = self._detecting(cases) if self._detecting else [None] * len(cases)
        return [self._conclude(*own) for own in zip(cases, outputs, detected, strict=True)]

    def _conclude(self, case: Slices, output: Tensor, logits: Tensor | None) -> Prediction:
        table = pd.DataFrame({"slice": range(len(case.images))})
        table["position_mm"] = case.grid.positions if case.grid else np.nan
        if self.run.record["task"] != "segmentation":
            return Prediction(table.join(_probabilities(torch.softmax(output.double(), 1), self.run)), None)
        shape = case.images.shape[1:3]
        maps = torch.sigmoid(output).half()  # as a test keeps them
        masks = np.stack([volumes.fit_back(own.float().numpy(), shape, case.millimetres) >= 0.5 for own in maps])
        sure = maps.flatten(1).amax(1).double()
        table = table.join(_probabilities(torch.stack([1 - sure, sure], 1), self.run))
        if logits is not None:
            chance = torch.softmax(logits.double(), 1)[:, 1].numpy()
            masks[chance < self.threshold] = False
            table["detector p(tumour)"] = chance
        table["area_px"] = masks.sum((1, 2))
        table["area_mm2"] = table["area_px"] * case.millimetres[0] * case.millimetres[1] if case.grid else np.nan
        return Prediction(table, masks.astype(np.uint8))


class _Network:
    """One run's network with its size, transforms and arithmetic."""

    def __init__(self, run: Trained, device: torch.device) -> None:
        self.model: Task = run.model().to(device).eval()
        self.transforms: Transforms = run.transforms().to(device).eval()
        self.size, self.device = run.size, device
        self.by_way_of = volumes.PUBLISHED if run.record["data"]["kind"] in _MIXED else None
        self.arithmetic = run.record["versions"]["arithmetic"]

    @torch.no_grad()
    def __call__(self, cases: Sequence[Slices]) -> list[Tensor]:
        """Return each case's output (n, ...), on the CPU."""
        fitted = [
            volumes.fit(image, self.size, case.millimetres, self.by_way_of if case.volume is not None else None)
            for case in cases
            for image in case.images
        ]
        precision.use(self.arithmetic)
        outputs = []
        for part in torch.split(torch.from_numpy(np.stack(fitted)), _BATCH[self.device.type]):
            inputs = self.transforms(part.permute(0, 3, 1, 2).to(self.device))
            with precision.autocast(self.arithmetic, self.device):
                outputs.append(self.model(inputs).float().cpu())
        return list(torch.split(torch.cat(outputs), [len(case.images) for case in cases]))


def _probabilities(values: Tensor, run: Trained) -> pd.DataFrame:
    # A segmenter tells whether there is a tumour, whatever kinds its data has.
    names = TUMOUR_CLASSES if run.record["task"] == "segmentation" else run.classes
    return pd.DataFrame(values.numpy(), columns=[f"p({name})" for name in names])


def summarise(case: Slices, prediction: Prediction) -> dict[str, Any]:
    """Sum up a case: `slices`, `p_max` and `p_mean` of a tumour (of two classes, the second), `volume_ml`."""
    found: dict[str, Any] = {"slices": len(prediction.table)}
    chances = prediction.table.filter(regex=r"^p\(")
    if chances.shape[1] == 2:
        found |= {"p_max": chances.iloc[:, 1].max(), "p_mean": chances.iloc[:, 1].mean()}
    if prediction.masks is not None and case.volume is not None and case.volume.even:
        found["volume_ml"] = float(prediction.masks.sum()) * case.volume.millilitres
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


def run(predictor: Predictor, cases: Sequence[Case], written: Predictions, preset: str, overlays: bool) -> None:
    """Predict cases and keep each as soon as it is done; what has been kept is left alone.

    Pictures are looked at many at a time; while one batch is, the next is read.
    """
    todo = [case for case in cases if not written.done(case.name, _stamp(case))]
    batches = _batches(todo)
    with ThreadPoolExecutor(os.cpu_count()) as pool, tqdm(total=len(todo), desc="predicting", disable=None) as bar:
        reading: list[Future[Slices | str]] = []
        for place, batch in enumerate([*batches, []]):
            following = [pool.submit(read_safely, case, preset, predictor.mixed) for case in batch]
            if place:
                _predict(predictor, batches[place - 1], [future.result() for future in reading], written, overlays)
                bar.update(len(reading))
            reading = following


def _predict(
    predictor: Predictor,
    cases: Sequence[Case],
    read_: Sequence[Slices | str],
    written: Predictions,
    overlays: bool,
) -> None:
    good = [(case, own) for case, own in zip(cases, read_, strict=True) if not isinstance(own, str)]
    for case, own in zip(cases, read_, strict=True):
        if isinstance(own, str):
            written.fail(case.name, _stamp(case), own, _shown(case))
    if not good:
        return
    for (case, own), found in zip(good, predictor.predict([own for _, own in good]), strict=True):
        row = {**summarise(own, found), "source": _shown(case), "warnings": "; ".join(own.warnings)}
        if found.masks is not None:
            _write_mask(written.folder / "masks", case, own, found.masks)
        if overlays:
            _write_overlay(written.folder / "overlays" / f"{case.name}.png", own, found)
        written.write(case.name, _stamp(case), row, found.table)


def read_safely(case: Case, preset: str, mixed: bool) -> Slices | str:
    """Read a case; a string says why that cannot be done."""
    try:
        return cases_.read(case, preset, mixed)
    except Exception as error:
        # Files come from anywhere, and decoders raise what they like: one bad file must not end a night's work.
        text = " ".join(str(error).split())[:300]
        return text if isinstance(error, ValueError) else f"cannot be read ({type(error).__name__}: {text})"


def _batches(cases: Sequence[Case]) -> list[list[Case]]:
    """Put pictures together, a network's batch at a time; a volume is a batch by itself."""
    pictures: list[Case] = []
    others: list[Case] = []
    for case in cases:
        flat = all(source.kind == "image" for source in case.sources.values())
        (pictures if flat else others).append(case)
    together = range(0, len(pictures), _BATCH["cpu"])
    return [pictures[start : start + _BATCH["cpu"]] for start in together] + [[case] for case in others]


def _stamp(case: Case) -> str:
    """Identify a case's files by name, size and time."""
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in case.paths]
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:16]


def _shown(case: Case) -> str:
    paths = case.paths
    return str(paths[0]) + (f" and {len(paths) - 1} more" if len(paths) > 1 else "") if paths else ""


def _write_mask(folder: Path, case: Case, slices: Slices, found: NDArray[np.uint8]) -> None:
    if slices.volume is None or slices.grid is None:
        temporary = folder / f"{case.name}.tmp.png"
        Image.fromarray(found[0] * 255).save(temporary)
        temporary.replace(folder / f"{case.name}_mask.png")
        return
    source = case.sources.get("", case.sources.get("flair"))
    original = source.paths[0] if source is not None and source.kind == "nifti" else None
    nifti.write_mask(folder / f"{case.name}.nii.gz", slices.grid.volume(found), slices.volume.affine, original)


def _write_overlay(path: Path, slices: Slices, found: Prediction) -> None:
    """Write the slices that matter most side by side, with the outlines of their masks."""
    column = "area_px" if found.masks is not None else found.table.filter(regex=r"^p\(").columns[-1]
    chosen = found.table[column].nlargest(_SHOWN).index.sort_values().to_numpy()
    masks = [None] * len(chosen) if found.masks is None else list(found.masks[chosen])
    chances = found.table.filter(regex=r"^p\(").iloc[chosen, -1]
    titles = [f"{own}: {chance:.0%}" for own, chance in zip(chosen, chances, strict=True)]
    temporary = path.with_suffix(".tmp")
    plots.contact_sheet(list(slices.images[chosen]), masks, titles).save(temporary, format="png")
    temporary.replace(path)
