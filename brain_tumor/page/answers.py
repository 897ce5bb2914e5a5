"""Compute what the page shows of a case."""

import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.datasets import phantom, phantom3d
from brain_tumor.inference import case_files, opening
from brain_tumor.inference.prediction import Prediction, summarise
from brain_tumor.inference.predictor import Predictor
from brain_tumor.scans import cases, sequences
from brain_tumor.scans.cases import Case, Slices
from brain_tumor.scans.volumes import Grid, Volume

if TYPE_CHECKING:
    import altair

_COLOURS = ["#4cc9f0", "#f0a04c"]
_SEED = 2**20  # of phantoms
_SHAPE = (96, 96, 32)  # of phantom volumes


@dataclass(frozen=True)
class Answer:
    """What the page shows of a case.

    Attributes:
        slices: the case.
        prediction: of the case.
        heat: a classifier's heat maps, float32 (n, H, W) from 0 to 1; None if it has none.
        mask: the name and content of the mask's file; None without a segmenter.
        remarks: warnings for the reader.
    """

    slices: Slices
    prediction: Prediction
    heat: NDArray[np.float32] | None
    mask: tuple[str, bytes] | None
    remarks: Sequence[str]


def open_runs(config: Mapping[str, Any]) -> Predictor:
    """Open the command's runs.

    Raises:
        ValueError: they cannot be used.
    """
    config = opening.with_default_chain(config)
    return Predictor.of(opening.open_runs(config), config["threshold"], config["keep_from"])


def answer(predictor: Predictor, case: Case, slices: Slices) -> Answer:
    """Predict a case whose files are on the disk."""
    (prediction,) = predictor.predict([slices])
    remarks, heat, mask = [*slices.warnings, *prediction.doubts], None, None
    if prediction.masks is not None:
        mask = _mask_file(case, slices, prediction.masks)
    else:
        try:
            heat = predictor.explain(slices)
        except ValueError as error:
            remarks.append(str(error))
    if heat is not None:
        heat = heat / max(float(heat.max()), 1e-12)
    return Answer(slices, prediction, heat, mask, remarks)


def answer_phantom(predictor: Predictor, number: int) -> Answer:
    """Predict a phantom that is in no default training, on a grid as scans have.

    Runs that see other sequences than the LGG data's are shown the volumes of `phantom3d`, read from files as a user's.

    Raises:
        ValueError: the runs see a sequence that is not drawn.
    """
    seen = sequences.shown([run.sequences for run in predictor.runs.values()])
    if seen == cases.SEQUENCES:
        return answer(predictor, Case("phantom", {}), _draw_slices(number))
    if unknown := sorted(set(seen) - set(phantom3d.SEQUENCES)):
        raise ValueError(f"No phantom has {', '.join(unknown)}, which the run sees; give files.")
    with tempfile.TemporaryDirectory(prefix="brain_tumor-") as folder:
        phantom3d.write_case(Path(folder), _SEED, _SHAPE, number, held_out=True)
        paths = dict(zip(phantom3d.SEQUENCES, sorted(Path(folder).glob("imagesTs/*")), strict=True))
        case = Case("phantom", {name: sequences.one_source(name, str(paths[name])) for name in seen})
        return answer(predictor, case, cases.read(case, predictor.preset("maximum"), True, seen, predictor.run.plane))


def _draw_slices(number: int) -> Slices:
    images = np.stack([image for image, _ in phantom.draw_case(_SEED, number)])
    values = np.ascontiguousarray(images[..., 1].transpose(2, 1, 0)[::-1, ::-1]).astype(np.float32)
    volume = Volume(values, np.diag([0.9, 0.9, 5.0, 1.0]))
    grid = Grid.of(volume)
    return Slices(images, cases.SEQUENCES, grid.millimetres, volume, grid)


def _mask_file(case: Case, slices: Slices, masks: NDArray[np.uint8]) -> tuple[str, bytes]:
    """Return the name and the content of the file that `predict` would write."""
    with tempfile.TemporaryDirectory(prefix="brain_tumor-") as folder:
        (path,) = case_files.write_masks(Path(folder), case, slices, masks)
        return ("mask.nii.gz" if path.suffix == ".gz" else "mask.png"), path.read_bytes()


def verdict(answer: Answer) -> tuple[str, str]:
    """Return the predicted class, and a line on how probable it is."""
    prediction = answer.prediction
    if prediction.positive is None or len(prediction.classes) != 2:
        summary = summarise(answer.slices, prediction)
        means = ", ".join(f"{name} {summary[f'p({name})']:.2f}" for name in prediction.classes)
        by_slice = f"; by slice: {summary['slices_by_class']}" if "slices_by_class" in summary else ""
        return str(summary["class"]), f"mean probabilities: {means}{by_slice}"
    chances, count = prediction.chances[prediction.positive].to_numpy(), len(prediction.tumours)
    (other,) = (name for name in prediction.classes if name != prediction.positive)
    place = f", slice {chances.argmax()}" if len(chances) > 1 else ""
    how = "have a mask" if prediction.masks is not None else f"from {prediction.threshold:.4g} on"
    detail = f"largest probability of {prediction.positive} {prediction.probability:.2f}{place}"
    return prediction.positive if count else other, f"{detail}; {count} of {len(chances)} slices {how}"


def curves(answer: Answer) -> pd.DataFrame:
    """Return the curves along the slices, of the run and of the detector: `slice`, `probability`, and its name `of`."""
    prediction = answer.prediction
    drawn = {f"p({prediction.shown})": prediction.chances[prediction.shown]}
    if prediction.detected is not None:
        drawn[str(prediction.detected.name)] = prediction.detected
    lines = [pd.DataFrame({"probability": values.to_numpy(), "of": name}) for name, values in drawn.items()]
    return pd.concat([line.rename_axis("slice").reset_index() for line in lines], ignore_index=True)


def chart(answer: Answer, place: int | None) -> "altair.LayerChart | altair.FacetChart":
    """Draw the probability along the slices, the threshold if it decides anything, and the current slice, if any."""
    import altair

    points = curves(answer)
    axes = {
        "x": altair.X("slice:Q", axis=altair.Axis(tickMinStep=1)),
        "y": altair.Y("probability:Q", scale=altair.Scale(domain=[0, 1])),
        "color": altair.Color(
            "of:N", scale=altair.Scale(range=_COLOURS), legend=altair.Legend(orient="top", title=None)
        ),
    }
    current = points[points["slice"] == place]
    layers: list[altair.Chart] = [
        altair.Chart(points).mark_line().encode(**axes),
        altair.Chart(current).mark_rule(color="#888").encode(x="slice:Q"),
        altair.Chart(current).mark_point(filled=True, size=60).encode(**axes),
    ]
    if decides(answer):
        threshold = altair.Chart(pd.DataFrame({"probability": [answer.prediction.threshold]}))
        layers.append(threshold.mark_rule(strokeDash=[4, 4], color="#888").encode(y="probability:Q"))
    return altair.layer(*layers).properties(height=200)


def decides(answer: Answer) -> bool:
    """Return whether the threshold decides anything: it does for a classifier's or a detector's probabilities."""
    prediction = answer.prediction
    return prediction.detected is not None or (prediction.masks is None and prediction.positive is not None)


def table(answer: Answer) -> bytes:
    """Return the table of slices as CSV."""
    content = io.StringIO()
    answer.prediction.table.to_csv(content, index=False)
    return content.getvalue().encode(errors="backslashreplace")
