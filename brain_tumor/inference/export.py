"""Make an ONNX file of a run, and give it its name only when it says what the run says."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.inference import onnx_export, predictor, two_stage
from brain_tumor.inference.onnx_run import FORMAT, OnnxRun
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
    ours = [exported.session.run(None, {"images": own.images}) for own in pictures]
    exact = _beside_predict(_in_float32(run), ours, pictures, threshold)
    if exact["furthest"] > NEAR:
        raise ValueError(
            f"export: a slice {exact['furthest']:.3f} from the threshold gets another verdict from the file than from "
            "predict in float32; nothing was written"
        )
    return {"network": network, "exact": exact, "predict": _beside_predict(run, ours, pictures, threshold)}


def _in_float32(run: Trained) -> Trained:
    versions = {**run.record["versions"], "arithmetic": "32-true"}
    return replace(run, record={**run.record, "versions": versions})


def _beside_predict(
    run: Trained, ours: Sequence[Sequence[NDArray[Any]]], pictures: Sequence[Slices], threshold: float
) -> dict[str, float]:
    """Return how far a file's outputs are from what `predict` says, and which verdicts are not the same."""
    expected = predictor.Predictor(run, None, threshold).predict(pictures)
    theirs = np.concatenate([own.table.filter(regex=r"^p\(").to_numpy() for own in expected])
    raw = np.concatenate([own[0] for own in ours]).astype(np.float64)
    chances = calibration.soften(raw, run.temperatures[run.name])
    sides = [_verdicts(own, run, threshold) for own in (theirs, chances)]
    turned = sides[0][0] != sides[1][0]
    masks = [(own.masks, its[2]) for own, its in zip(expected, ours, strict=True) if own.masks is not None]
    unequal = sum(int((own != its).sum()) for own, its in masks)
    return {
        "slices": len(theirs),
        "probabilities": float(np.abs(theirs - chances).max()),
        "mean": float(np.abs(theirs - chances).mean()),
        "pixels": unequal / max(1, sum(own.size for own, _ in masks)),
        "turned": int(turned.sum()),
        "furthest": float(sides[0][1][turned].max(initial=0)),
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
    (shape, _), *_ = Counter(own.images.shape for own in pictures).most_common(1)
    whole = np.concatenate([own.images for own in pictures if own.images.shape == shape])[: max(onnx_export.BATCHES)]
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
    good = [own for own in read if not isinstance(own, str) and own.volume is None]
    if not good:
        reason = next((own for own in read if isinstance(own, str)), "a volume cannot check it")
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
