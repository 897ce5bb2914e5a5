"""Hold masks against the truth of a data module, as its files have it."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.metrics import baselines, mask_baselines, segmentation
from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.scans.images import unfit

Mask = NDArray[np.uint8]


def thirds(data: SliceDataModule) -> tuple[float, float]:
    """Divide the tumour slices of the whole data set, whatever the split, into thirds (see `segmentation.terciles`)."""
    positive = np.flatnonzero(data.table["positive"])
    return segmentation.terciles(np.array([data.decoded.original_mask(int(row)).sum() for row in positive]))


def compare(data: SliceDataModule, row: int, predicted: Mask) -> dict[str, float]:
    """Compare a predicted mask with the truth of a row of the data's table (see `segmentation.compare`)."""
    return segmentation.compare(predicted, data.decoded.original_mask(row))


def compare_all(data: SliceDataModule, tested: pd.DataFrame, predicted: Callable[[int], Mask]) -> pd.DataFrame:
    """Compare a mask of each place in `tested` with the truth; one row a slice, with its case."""
    found = [compare(data, int(row), predicted(place)) for place, row in enumerate(tested.index)]
    return pd.DataFrame(found).assign(case=units(tested))


def units(tested: pd.DataFrame) -> NDArray[np.object_]:
    """Name whose slices belong together: the person's where the data tells, else the case's."""
    return tested.get("person", tested["case"]).to_numpy()


def by_class(
    slices: pd.DataFrame, tested: pd.DataFrame, classes: list[str], areas: tuple[float, float]
) -> dict[str, Interval]:
    """Return the Dice a tumour slice of each class, averaged over its patients."""
    labels = tested["label"].to_numpy()
    return {
        f"dice_slice({name})": segmentation.score(slices[labels == label], areas)["dice_slice"]
        for label, name in enumerate(classes)
        if (labels == label).any()
    }


def keep_largest(
    data: SliceDataModule, tested: pd.DataFrame, slices: pd.DataFrame, predicted: Callable[[int], Mask]
) -> pd.DataFrame:
    """Compare again where a patient's volume has more than one component, with the largest alone.

    A patient whose slices have no order, or several sizes, stays as it is.

    Args:
        data: set up.
        tested: the slices.
        slices: `compare_all`'s values of them.
        predicted: returns the mask of a place in `tested`.
    """
    found = slices.to_dict("records")
    if (tested["slice"] >= 0).all():
        for places in segmentation.volumes(list(tested["case"]), list(tested["slice"])):
            masks = [predicted(place) for place in places]
            if len({mask.shape for mask in masks}) > 1:
                continue
            for place, mask, kept in zip(places, masks, segmentation.largest_component(np.stack(masks)), strict=True):
                if not np.array_equal(mask, kept):
                    found[place] |= compare(data, int(tested.index[place]), kept)  # type: ignore[arg-type]
    return pd.DataFrame(found)


def guess(data: SliceDataModule, tested: pd.DataFrame) -> dict[str, Callable[[int], Mask]]:
    """Mark tested slices without a look at them: with nothing, with the mean at their height, with a neighbour's mask.

    What a data set without an order of slices, or a split without neighbours, does not allow is left out.

    Returns:
        By name what returns the mask of a place in `tested`: all of them at once would grow with the data.
    """
    sizes = list(zip(tested["height"].astype(int), tested["width"].astype(int), strict=True))
    guesses: dict[str, Callable[[int], Mask]] = {"empty": lambda place: np.zeros(sizes[place], np.uint8)}
    if (data.table["slice"] >= 0).all():
        assert data.decoded.masks is not None
        known = mask_baselines.by_height(data.table, data.decoded.masks)

        def mean(place: int) -> Mask:
            return (unfit(known.means[known.places[place]], *sizes[place]) >= known.threshold).astype(np.uint8)

        guesses["mean_mask"] = mean
        nearest = baselines.nearest_rows(data.table.iloc[data.rows["train"]], tested)

        def neighbour(place: int) -> Mask:
            row = nearest[place]
            empty = np.zeros(sizes[place], np.uint8)
            return empty if row is None else _resized(data.decoded.original_mask(row), *sizes[place])

        if any(row is not None for row in nearest):
            guesses["nearest_mask"] = neighbour
    return guesses


def _resized(mask: Mask, height: int, width: int) -> Mask:
    """Bring a patient's neighbouring mask to a slice's size, where that differs."""
    if mask.shape == (height, width):
        return mask
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
