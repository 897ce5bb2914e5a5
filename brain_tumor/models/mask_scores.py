"""Hold masks against the truth of a data module, as its files have it."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.images import unfit
from brain_tumor.results import baselines, localization, mask_baselines
from brain_tumor.results.bootstrap import Interval

Mask = NDArray[np.uint8]


def thirds(data: SliceDataModule) -> tuple[float, float]:
    """Divide the tumour slices of the whole data set, whatever the split, into thirds (see `localization.terciles`)."""
    positive = np.flatnonzero(data.table["positive"])
    return localization.terciles(np.array([data.decoded.original_mask(int(row)).sum() for row in positive]))


def compare(data: SliceDataModule, tested: pd.DataFrame, predicted: list[Mask]) -> pd.DataFrame:
    """Compare a predicted mask for each tested slice with the truth; one row a slice, with its case."""
    pairs = zip(predicted, tested.index, strict=True)
    found = [localization.compare(mask, data.decoded.original_mask(int(row))) for mask, row in pairs]
    return pd.DataFrame(found).assign(case=tested.get("person", tested["case"]).to_numpy())


def by_class(
    slices: pd.DataFrame, tested: pd.DataFrame, classes: list[str], areas: tuple[float, float]
) -> dict[str, Interval]:
    """Return the Dice a tumour slice of each class, averaged over its patients."""
    labels = tested["label"].to_numpy()
    return {
        f"dice_slice({name})": localization.score(slices[labels == label], areas)["dice_slice"]
        for label, name in enumerate(classes)
        if (labels == label).any()
    }


def keep_largest(predicted: list[Mask], tested: pd.DataFrame) -> list[Mask]:
    """Keep the largest component of each patient's volume, where its slices have an order and one size."""
    cleaned = list(predicted)
    if (tested["slice"] < 0).any():
        return cleaned
    for places in localization.volumes(list(tested["case"]), list(tested["slice"])):
        if len({predicted[place].shape for place in places}) == 1:
            volume = localization.largest_component(np.stack([predicted[place] for place in places]))
            for place, mask in zip(places, volume, strict=True):
                cleaned[place] = mask
    return cleaned


def guess(data: SliceDataModule, tested: pd.DataFrame) -> dict[str, list[Mask]]:
    """Mark tested slices without a look at them: with nothing, with the mean at their height, with a neighbour's mask.

    What a data set without an order of slices, or a split without neighbours, does not allow is left out.
    """
    sizes = list(zip(tested["height"], tested["width"], strict=True))
    guesses = {"empty": [np.zeros(size, np.uint8) for size in sizes]}
    if (data.table["slice"] >= 0).all():
        assert data.decoded.masks is not None
        means, threshold = mask_baselines.by_height(data.table, data.decoded.masks)
        guesses["mean_mask"] = [
            (unfit(mean, *size) >= threshold).astype(np.uint8) for mean, size in zip(means, sizes, strict=True)
        ]
        nearest = baselines.nearest_rows(data.table.iloc[data.rows["train"]], tested)
        if any(row is not None for row in nearest):
            guesses["nearest_mask"] = [
                np.zeros(size, np.uint8) if row is None else _resized(data.decoded.original_mask(row), *size)
                for row, size in zip(nearest, sizes, strict=True)
            ]
    return guesses


def _resized(mask: Mask, height: int, width: int) -> Mask:
    """Bring a patient's neighbouring mask to a slice's size, where that differs."""
    if mask.shape == (height, width):
        return mask
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
