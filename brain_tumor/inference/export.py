"""Export a run as an ONNX file, which gets its name only if it predicts what the run predicts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.inference import onnx_export, onnx_file, quantize, two_stage
from brain_tumor.inference.onnx_file import FORMAT
from brain_tumor.inference.onnx_run import OnnxRun
from brain_tumor.inference.predictor import Predictor
from brain_tumor.inference.trained import Trained
from brain_tumor.metrics import calibration
from brain_tumor.runs import card
from brain_tumor.runs.card import Judged
from brain_tumor.scans import fitted
from brain_tumor.scans.cases import Slices
from brain_tumor.scans.images import fit_image

NEAR = 0.02  # distance from the threshold at which rounding may change a verdict


def export(
    run: Trained,
    to: Path,
    pictures: Sequence[Slices],
    preset: str,
    threshold: float | None,
    quantized_on: SliceDataModule | None = None,
    judged: Judged | None = None,
) -> dict[str, Any]:
    """Write file and model card, both or neither.

    Args:
        run: to export.
        to: the file; the card lies beside it, as .md.
        pictures: slices to check the file on.
        preset: how to scale a volume's intensities; only stored in the file.
        threshold: calibrated probability from which a slice counts as positive; None for the run's own.
        quantized_on: the run's data, set up, to quantize the file to int8 with its training part and to compare it with
            the file in float32 on its test part; None for a file in float32.
        judged: what runs of folds say of the run, whose temperature and threshold the file then has; None for its own.

    Returns:
        How much file, network and `predict` differ (see `card.checks`).

    Raises:
        ValueError: the run has another task or was trained on crops, or the file predicts something else.
    """
    if run.crop not in (None, "none"):
        raise ValueError(f"run={run.folder}: was trained on crops (data.crop={run.crop}), which a file cannot make")
    if judged is not None:
        run = replace(
            run, temperatures={run.name: judged.temperature}, threshold=judged.threshold, threshold_origin="folds"
        )
    whole = onnx_export.Whole(run.model(), run.transforms(), run.size)
    threshold, origin = two_stage.threshold(threshold, run)
    novelty = run.novelty
    facts = {
        "format": FORMAT, "task": run.task, "classes": run.classes, "positive": run.positive, "data": run.dataset,
        "data_key": run.record["data"]["key"], "data_licence": card.licence(run.record),
        "sequences": list(run.sequences), "skull": run.skull, "preset": preset, "size": run.size,
        "intensities": run.intensities, "neighbours": run.neighbours, "neighbour_mm": run.neighbour_mm,
        "components": run.components, "labels": run.regions.plain(), "scaling": run.scaling, "plane": run.plane,
        "threshold": threshold, "threshold_origin": origin, "temperature": run.temperatures[run.name],
        "precision": "float32", "novelty": None if novelty is None else novelty.to_text(),
        "run": run.record["id"], "weights_sha256": run.digest(),
    }  # fmt: skip
    file, text = to.with_name(f".{to.stem}.tmp.onnx"), to.with_name(f".{to.stem}.tmp.md")
    exact = to.with_name(f".{to.stem}.float32.onnx")
    try:
        onnx_export.write(whole, file, facts)
        checked = check(whole, run, OnnxRun.open(file), pictures, threshold)
        if quantized_on is not None:
            facts["precision"] = "int8"
            file.replace(exact)
            quantize.write(exact, file, quantize.volumes(quantized_on, "train"))
            held_out = quantize.volumes(quantized_on, "test")
            checked["int8"] = quantize.compare(OnnxRun.open(exact), OnnxRun.open(file), held_out)
        text.write_text(card.write(run.record, facts, checked, to.name, judged), encoding="utf-8")
        text.replace(to.with_suffix(".md"))
        file.replace(to)
    finally:
        for temporary in (file, exact, text):
            temporary.unlink(missing_ok=True)
    return checked


def check(
    whole: onnx_export.Whole, run: Trained, exported: OnnxRun, pictures: Sequence[Slices], threshold: float
) -> dict[str, Any]:
    """Compare a file with its network and with `predict`.

    Returns:
        How much they differ (see `card.checks`).

    Raises:
        ValueError: they differ too much.
    """
    network = onnx_export.apart(whole, exported.session, _sizes(pictures, run.size))
    if max(network["probabilities"], network["pixels"]) > onnx_export.MOST_APART:
        raise ValueError(f"export: the file differs from its network ({network}); nothing was written")
    outputs = [exported.session.run(None, _feed(exported, picture.images)) for picture in pictures]
    exact = _beside_predict(_in_float32(run), outputs, pictures, threshold)
    if exact["furthest"] > NEAR:
        raise ValueError(
            f"export: a slice {exact['furthest']:.3f} from the threshold gets another verdict from the file than from "
            "predict in float32; nothing was written"
        )
    return {"network": network, "exact": exact, "predict": _beside_predict(run, outputs, pictures, threshold)}


def _feed(exported: OnnxRun, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Return a file's inputs for a picture (1, H, W, C), whose intensities are measured at the network's size."""
    square = np.stack([fit_image(image, exported.size, "").pixels for image in images])
    shown = fitted.of_volume(images, standardized=False, neighbours=exported.neighbours)
    return onnx_file.feed(shown.images, fitted.of_volume(square, exported.intensities == "volume"))


def _in_float32(run: Trained) -> Trained:
    """Return a run that predicts in float32, whatever it was trained in."""
    versions = {**run.record["versions"], "arithmetic": "32-true"}
    return replace(run, record={**run.record, "versions": versions})


def _beside_predict(
    run: Trained, outputs: Sequence[Sequence[NDArray[Any]]], pictures: Sequence[Slices], threshold: float
) -> dict[str, float]:
    """Return how much a file's outputs differ from those of `predict`, and how many verdicts differ."""
    predictions = Predictor(run, None, threshold).predict(pictures)
    expected = np.concatenate([prediction.chances.to_numpy() for prediction in predictions])
    raw = np.concatenate([probabilities for probabilities, *_ in outputs]).astype(np.float64)
    exported = calibration.soften(raw, run.temperatures[run.name])
    verdicts, distances = _verdicts(expected, run, threshold)
    turned = verdicts != _verdicts(exported, run, threshold)[0]
    masks = [
        (prediction.masks, output[2])
        for prediction, output in zip(predictions, outputs, strict=True)
        if prediction.masks is not None
    ]
    unequal = sum(int((mask != exported_mask).sum()) for mask, exported_mask in masks)
    return {
        "slices": len(expected),
        "probabilities": float(np.abs(expected - exported).max()),
        "mean": float(np.abs(expected - exported).mean()),
        "pixels": unequal / max(1, sum(mask.size for mask, _ in masks)),
        "turned": int(turned.sum()),
        "furthest": float(distances[turned].max(initial=0)),
    }


def _verdicts(
    chances: NDArray[np.float64], run: Trained, threshold: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the verdicts of probabilities (n, C), and their distances from another verdict: (n,) each."""
    if run.positive is None:
        ranked = np.sort(chances, 1)
        return chances.argmax(1), ranked[:, -1] - ranked[:, -2]
    positive = chances[:, run.classes.index(run.positive)]
    return (positive >= threshold).astype(np.intp), np.abs(positive - threshold)


def _sizes(pictures: Sequence[Slices], size: int) -> list[NDArray[np.uint8]]:
    """Return pictures of one size as they are, cropped in height, in width and to a square, and twice as wide."""
    (shape, _), *_ = Counter(picture.images.shape for picture in pictures).most_common(1)
    alike = [picture.images for picture in pictures if picture.images.shape == shape]
    whole = np.concatenate(alike)[: max(onnx_export.BATCHES)]
    height, width = whole.shape[1:3]
    cut = [whole[:, : max(1, 3 * height // 4)], whole[:, :, : max(1, width // 2)], whole[:, :size, :size]]
    return [whole, *cut, np.repeat(whole, 2, axis=2)]
