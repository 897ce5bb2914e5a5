"""Compare masks with the true ones of a data module, at the files' sizes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.io import run_lengths
from brain_tumor.metrics import baselines, lesions, mask_baselines, segmentation
from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.scans import components
from brain_tumor.scans.images import unfit

Mask = NDArray[np.uint8]


def thirds(data: SliceDataModule) -> tuple[float, float]:
    """Return the areas, in pixels, that divide the tumour slices of the whole data set, not of a part, into thirds."""
    positive = np.flatnonzero(data.table["positive"])
    return segmentation.terciles(np.array([data.decoded.original_mask(int(row)).sum() for row in positive]))


def compare(data: SliceDataModule, row: int, predicted: Mask) -> dict[str, float]:
    """Compare a predicted mask of labels, uint8 (H, W), with the true one of a row.

    Returns:
        The values of `segmentation.compare` for all regions together; of several regions also `tp(NAME)`, `fp(NAME)`
        and `fn(NAME)` for each. Pixels that nobody has labelled do not count.
    """
    regions, truth = data.regions, data.decoded.original_labels(row)
    if regions.ignore is not None:
        predicted = np.where(truth == regions.ignore, 0, predicted).astype(np.uint8)
    compared = segmentation.compare(*(regions.tumour[mask].astype(np.uint8) for mask in (predicted, truth)))
    if len(regions.names) == 1:
        return compared
    found, there = regions.table[predicted], regions.table[truth]
    counts = {"tp": found & there, "fp": found & ~there, "fn": there & ~found}
    return compared | {
        f"{name}({region})": int(pixels[..., place].sum())
        for place, region in enumerate(regions.names)
        for name, pixels in counts.items()
    }


def lengths(data: SliceDataModule, labels: Mask) -> dict[str, str]:
    """Return the run lengths of a mask of labels: `run_lengths` of all regions, of several also `run_lengths(NAME)`."""
    texts = {"run_lengths": run_lengths.to_kaggle(data.regions.tumour[labels].astype(np.uint8))}
    if len(data.regions.names) > 1:
        planes = np.moveaxis(data.regions.table[labels].astype(np.uint8), -1, 0)
        pairs = zip(data.regions.names, planes, strict=True)
        texts |= {f"run_lengths({name})": run_lengths.to_kaggle(plane) for name, plane in pairs}
    return texts


def labels_of(data: SliceDataModule, lengths: Mapping[Any, Any], height: int, width: int) -> Mask:
    """Return the mask of labels, uint8 (height, width), of what `lengths` has returned for it."""
    names = data.regions.names
    keys = ["run_lengths"] if len(names) == 1 else [f"run_lengths({name})" for name in names]
    planes = np.stack([run_lengths.from_kaggle(lengths[key], height, width) for key in keys])
    return data.regions.decide(planes.astype(np.float32))


def by_region(data: SliceDataModule, tested: pd.DataFrame, slices: pd.DataFrame) -> dict[str, Interval]:
    """Return the mean Dice per volume of each region, as we and as BraTS count empty ones; {} for a single region.

    Args:
        data: set up.
        tested: rows of the data's table.
        slices: the same slices' values of `compare`.
    """
    if len(data.regions.names) == 1:
        return {}
    cases = slices["case"] if all(tested["case"]) else pd.Series(range(len(slices)))
    scores: dict[str, Interval] = {}
    for name in data.regions.names:
        counts = {count: slices[f"{count}({name})"] for count in ("tp", "fp", "fn")}
        region = segmentation.score_region(pd.DataFrame({"case": cases.to_numpy(), **counts}))
        scores |= {f"{score}({name})": interval for score, interval in region.items()}
    return scores


def compare_all(data: SliceDataModule, tested: pd.DataFrame, predicted: Callable[[int], Mask]) -> pd.DataFrame:
    """Compare the masks of tested slices with the true ones.

    Args:
        data: set up, as for all functions here.
        tested: rows of the data's table.
        predicted: returns the mask of the slice at a place in `tested`.

    Returns:
        One row per slice: the values of `segmentation.compare`, and `case` (see `units`).
    """
    values = [compare(data, int(row), predicted(place)) for place, row in enumerate(tested.index)]
    return pd.DataFrame(values).assign(case=units(tested))


def units(tested: pd.DataFrame) -> NDArray[np.object_]:
    """Return whose each slice is (n,): the person's name where the data has it, else the case's."""
    return tested.get("person", tested["case"]).to_numpy()


def sizes(tested: pd.DataFrame) -> list[tuple[int, int]]:
    """Return the height and width of each slice's file, in pixels."""
    return list(zip(tested["height"].astype(int), tested["width"].astype(int), strict=True))


def by_class(
    slices: pd.DataFrame, tested: pd.DataFrame, classes: list[str], areas: tuple[float, float]
) -> dict[str, Interval]:
    """Return the mean Dice per tumour slice of each class, averaged over its patients.

    Args:
        slices: the slices' values as `compare_all` returns them.
        tested: the same slices' rows of the data's table.
        classes: class names.
        areas: see `thirds`.
    """
    labels = tested["label"].to_numpy()
    return {
        f"dice_slice({name})": segmentation.score(slices[labels == label], areas)["dice_slice"]
        for label, name in enumerate(classes)
        if (labels == label).any()
    }


def clean(data: SliceDataModule, tested: pd.DataFrame, results: pd.DataFrame, share: float) -> pd.DataFrame:
    """Keep the large components of each patient's volume, and compare the changed masks again.

    A patient whose slices have no order, or several sizes, stays unchanged.

    Args:
        data: set up.
        tested: rows of the data's table.
        results: the same slices' values as `compare_all` returns them, and their masks' `run_lengths`.
        share: see `components.keep_large`.

    Returns:
        `results` of the cleaned masks.
    """
    if not share:
        return results
    values: list[dict[Any, Any]] = results.to_dict("records")
    for places, masks in _volumes(data, tested, results):
        kept = masks * components.keep_large((masks > 0).astype(np.uint8), share)
        for place, mask, cleaned in zip(places, masks, kept, strict=True):
            if not np.array_equal(mask, cleaned):
                values[place] |= {**compare(data, int(tested.index[place]), cleaned), **lengths(data, cleaned)}
    return pd.DataFrame(values)


def by_lesion(data: SliceDataModule, tested: pd.DataFrame, results: pd.DataFrame) -> dict[str, Interval]:
    """Score the masks of volumes by their components (see `lesions.score`); {} where no slices make a volume.

    Args:
        data: set up.
        tested: rows of the data's table.
        results: the same slices' values as `compare_all` returns them, and their masks' `run_lengths`.
    """
    cases = tested["case"].to_numpy()
    return lesions.score(
        (cases[places[0]], masks, np.stack([data.decoded.original_mask(int(tested.index[place])) for place in places]))
        for places, masks in _volumes(data, tested, results)
    )


def _volumes(data: SliceDataModule, tested: pd.DataFrame, results: pd.DataFrame) -> Iterator[tuple[list[int], Mask]]:
    """Yield the places in `tested` of each patient's slices, in order, and their labels, uint8 (slices, H, W).

    Patients whose slices have no order, or several sizes, are left out.
    """
    if (tested["slice"] < 0).any():
        return
    values, shapes = results.to_dict("records"), sizes(tested)
    for places in segmentation.volumes(list(tested["case"]), list(tested["slice"])):
        if len({shapes[place] for place in places}) == 1:
            yield places, np.stack([labels_of(data, values[place], *shapes[place]) for place in places])


def examples(data: SliceDataModule, predictions: pd.DataFrame, count: int) -> pd.DataFrame:
    """Choose the largest tumour slices of `count` patients, evenly spread from the best to the worst Dice.

    Args:
        data: set up.
        predictions: the table of `brain_tumor.models.segmenter.Segmenter.score`.
        count: how many patients at most.

    Returns:
        Rows of `predictions`, with the Dice of the patient's volume in `volume`; none without tumour slices.
    """
    tumours = predictions[predictions["area"] > 0]
    if not len(tumours):
        return tumours
    unit = "case" if (tumours["case"] != "").all() else "path"
    volumes = segmentation.patients(predictions.assign(case=predictions[unit]), thirds(data))
    ranked = volumes.dropna(subset="dice").sort_values("dice", ascending=False)
    places = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)
    largest = tumours.groupby(unit)["area"].idxmax()
    rows = largest[ranked["case"].iloc[places]].to_numpy()
    return predictions.loc[rows].assign(volume=ranked["dice"].iloc[places].to_numpy())


def image_free(data: SliceDataModule, tested: pd.DataFrame) -> dict[str, Callable[[int], Mask]]:
    """Predict masks of tested slices without their images: empty, the mean at the same height, or a neighbour's.

    The last two need data with an order of slices, and copies need neighbours in training; without, they are left out.

    Returns:
        For each baseline, the function that returns the mask of the slice at a place in `tested`. Masks are made one at
        a time, since all of them would take memory that grows with the data.
    """
    shapes = sizes(tested)
    baselines_: dict[str, Callable[[int], Mask]] = {"empty": lambda place: np.zeros(shapes[place], np.uint8)}
    if (data.table["slice"] < 0).any():
        return baselines_
    baselines_["mean_mask"] = _mean_masks(data, shapes)
    nearest = baselines.nearest_rows(data.table.iloc[data.rows["train"]], tested)
    if any(row is not None for row in nearest):
        baselines_["nearest_mask"] = _nearest_masks(data, shapes, nearest)
    return baselines_


def _mean_masks(data: SliceDataModule, shapes: list[tuple[int, int]]) -> Callable[[int], Mask]:
    """Return the function that gives the mean training mask at a tested slice's height, thresholded."""
    assert data.decoded.masks is not None, "a segmenter's data has masks"
    means = mask_baselines.by_height(data.table, data.decoded.masks, data.regions.tumour)

    def mask_of(place: int) -> Mask:
        flagged = unfit(means.means[means.places[place]], *shapes[place]) >= means.threshold
        return flagged.astype(np.uint8) * np.uint8(data.regions.written[0])

    return mask_of


def _nearest_masks(
    data: SliceDataModule, shapes: list[tuple[int, int]], nearest: Sequence[int | None]
) -> Callable[[int], Mask]:
    """Return the function that copies the mask of the nearest training slice of the same patient; empty without one."""

    def mask_of(place: int) -> Mask:
        row = nearest[place]
        empty = np.zeros(shapes[place], np.uint8)
        return empty if row is None else _resized(data.decoded.original_labels(row), *shapes[place])

    return mask_of


def _resized(mask: Mask, height: int, width: int) -> Mask:
    """Resize a mask to (height, width), in pixels, if it has another size."""
    if mask.shape == (height, width):
        return mask
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
