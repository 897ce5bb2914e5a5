"""Make an ONNX file of a run, and give it its name only when it predicts what the run predicts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.inference import onnx_export, two_stage
from brain_tumor.inference.onnx_file import FORMAT
from brain_tumor.inference.onnx_run import OnnxRun
from brain_tumor.inference.predictor import Predictor
from brain_tumor.inference.trained import Trained
from brain_tumor.io import tables
from brain_tumor.metrics import calibration
from brain_tumor.runs import card
from brain_tumor.scans import cases as cases_
from brain_tumor.scans.cases import Case, Slices

_MOST = 64  # slices that file and `predict` are compared on
NEAR = 0.02  # of the threshold: where rounding may turn a verdict


def export(run: Trained, to: Path, pictures: Sequence[Slices], preset: str, threshold: float | None) -> dict[str, Any]:
    """Write file and card, both or neither.

    Args:
        run: to export.
        to: the file; the card lies beside it, as .md.
        pictures: real slices to check it on.
        preset: of a volume's intensities, for who reads the file.
        threshold: calibrated probability from which a slice counts as positive; None for the run's own.

    Returns:
        How far file, network and `predict` are apart (see `card.checks`).

    Raises:
        ValueError: the run is of another task, sees crops, or the file says something else.
    """
    if run.crop not in (None, "none"):
        raise ValueError(f"run={run.folder}: sees crops (data.crop={run.crop}), which a file of its own does not make")
    whole = onnx_export.Whole(run.model(), run.transforms(), run.size)
    limit, origin = two_stage.threshold(threshold, run)
    facts = {
        "format": FORMAT, "task": run.task, "classes": run.classes, "positive": run.positive, "data": run.dataset,
        "data_key": run.record["data"]["key"], "data_licence": card.licence(run.record),
        "sequences": list(run.sequences), "skull": run.skull, "preset": preset, "size": run.size,
        "threshold": limit, "threshold_origin": origin, "temperature": run.temperatures[run.name],
        "run": run.record["id"], "weights_sha256": run.digest(),
    }  # fmt: skip
    file, text = to.with_name(f".{to.stem}.tmp.onnx"), to.with_name(f".{to.stem}.tmp.md")
    try:
        onnx_export.write(whole, file, facts)
        checked = check(whole, run, OnnxRun.open(file), pictures, limit)
        text.write_text(card.write(run.record, facts, checked, to.name), encoding="utf-8")
        text.replace(to.with_suffix(".md"))
        file.replace(to)
    finally:
        file.unlink(missing_ok=True)
        text.unlink(missing_ok=True)
    return checked


def check(
    whole: onnx_export.Whole, run: Trained, exported: OnnxRun, pictures: Sequence[Slices], threshold: float
) -> dict[str, Any]:
    """Compare a file with its network and with `predict`.

    Raises:
        ValueError: they are too far apart.
    """
    network = onnx_export.apart(whole, exported.session, _sizes(pictures, run.size))
    if max(network["probabilities"], network["pixels"]) > onnx_export.MOST_APART:
        raise ValueError(f"export: the file differs from its network ({network}); nothing was written")
    outputs = [exported.session.run(None, {"images": picture.images}) for picture in pictures]
    exact = _beside_predict(_in_float32(run), outputs, pictures, threshold)
    if exact["furthest"] > NEAR:
        raise ValueError(
            f"export: a slice {exact['furthest']:.3f} from the threshold gets another verdict from the file than from "
            "predict in float32; nothing was written"
        )
    return {"network": network, "exact": exact, "predict": _beside_predict(run, outputs, pictures, threshold)}


def _in_float32(run: Trained) -> Trained:
    versions = {**run.record["versions"], "arithmetic": "32-true"}
    return replace(run, record={**run.record, "versions": versions})


def _beside_predict(
    run: Trained, outputs: Sequence[Sequence[NDArray[Any]]], pictures: Sequence[Slices], threshold: float
) -> dict[str, float]:
    """Return how far a file's outputs are from what `predict` gives, and which verdicts are not the same."""
    predictions = Predictor(run, None, threshold).predict(pictures)
    expected = np.concatenate([prediction.chances.to_numpy() for prediction in predictions])
    raw = np.concatenate([probabilities for probabilities, *_ in outputs]).astype(np.float64)
    given = calibration.soften(raw, run.temperatures[run.name])
    (verdicts, distances), (verdicts_given, _) = (_verdicts(chances, run, threshold) for chances in (expected, given))
    turned = verdicts != verdicts_given
    masks = [
        (prediction.masks, output[2])
        for prediction, output in zip(predictions, outputs, strict=True)
        if prediction.masks is not None
    ]
    unequal = sum(int((mask != mask_given).sum()) for mask, mask_given in masks)
    return {
        "slices": len(expected),
        "probabilities": float(np.abs(expected - given).max()),
        "mean": float(np.abs(expected - given).mean()),
        "pixels": unequal / max(1, sum(mask.size for mask, _ in masks)),
        "turned": int(turned.sum()),
        "furthest": float(distances[turned].max(initial=0)),
    }


def _verdicts(
    chances: NDArray[np.float64], run: Trained, threshold: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return what probabilities (n, C) decide, and how far from another decision they are: (n,) each."""
    if run.positive is None:
        ranked = np.sort(chances, 1)
        return chances.argmax(1), ranked[:, -1] - ranked[:, -2]
    positive = chances[:, run.classes.index(run.positive)]
    return (positive >= threshold).astype(np.intp), np.abs(positive - threshold)


def _sizes(pictures: Sequence[Slices], size: int) -> list[NDArray[np.uint8]]:
    """Return pictures of one size as they are, cut in two ways, cut to the network's size, and twice as wide."""
    (shape, _), *_ = Counter(picture.images.shape for picture in pictures).most_common(1)
    alike = [picture.images for picture in pictures if picture.images.shape == shape]
    whole = np.concatenate(alike)[: max(onnx_export.BATCHES)]
    height, width = whole.shape[1:3]
    cut = [whole[:, : max(1, 3 * height // 4)], whole[:, :, : max(1, width // 2)], whole[:, :size, :size]]
    return [whole, *cut, np.repeat(whole, 2, axis=2)]


def pictures(inputs: str | Sequence[str]) -> list[Slices]:
    """Read slices to check a file on; volumes are left out, since a file takes slices as they are.

    Raises:
        ValueError: there are none.
    """
    flat = [case for case in cases_.find(inputs, {}).cases if not _is_volume(case)]
    read = [cases_.try_read(case, "maximum", mixed=False) for case in flat[:_MOST]]
    good = [slices for slices in read if not isinstance(slices, str) and slices.volume is None]
    if not good:
        reason = next((text for text in read if isinstance(text, str)), "a volume cannot check it")
        raise ValueError(f"input: give pictures to check the file on (PNG, JPEG, TIFF, BMP); {reason}")
    return good


def _is_volume(case: Case) -> bool:
    return any(source.kind in {"nifti", "dicom"} and not source.problem for source in case.sources.values())


def tested(run: Trained, root: str | None, cache_dir: str) -> list[str]:
    """Return files of a run's own test part, evenly spread over it.

    Args:
        run: whose.
        root: where its data is now; None for where it was.
        cache_dir: where data is drawn that a program draws.

    Raises:
        ValueError: they are not there any more.
    """
    moved: dict[str, Any] = {"root": root} if root else {}
    data = run.data(cache_dir=cache_dir, **moved)
    home = data.dataset.root
    remedy = "say where its data is by root=..., or give slices to check the file on by input=..."
    if home is not None and not home.is_dir():  # or the LGG data would be fetched
        raise ValueError(f"run={run.folder}: its data is not at {home}; {remedy}")
    split = tables.read_csv(run.folder / "split.csv")
    paths = split["path"][split["part"] == "test"].to_list()
    chosen = np.linspace(0, len(paths) - 1, min(_MOST, len(paths))).round().astype(int)
    files = [data.dataset.listing().root / paths[place] for place in chosen]
    if missing := [path for path in files if not path.is_file()]:
        raise ValueError(f"run={run.folder}: {missing[0]} of its test part is gone; {remedy}")
    return [str(path) for path in files]
