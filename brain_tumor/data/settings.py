"""Check the data module's settings before anything is read."""

from collections.abc import Sequence

from brain_tumor.data import crops, targets
from brain_tumor.datasets.base import DataSet, Listing

LEAST = {
    "batch_size": 1,
    "eval_batch_size": 1,
    "size": 32,  # a ResNet divides each side by 32
    "min_patients": 1,
    "crop_margin": 0,
}


def refuse_channels(dataset: DataSet, listing: Listing) -> None:
    """Refuse a data set whose sequences are not those of its channels.

    Raises:
        ValueError: it names another number of them.
    """
    if len(dataset.sequences) not in {0, listing.channels}:
        place, shown = f"{type(dataset).__module__}.{type(dataset).__name__}", ", ".join(dataset.sequences)
        raise ValueError(
            f"{place}.sequences={shown}: name one for each of the {listing.channels} channels that its listing has, or "
            "none"
        )


def check(
    target: str | None,
    crop: str,
    masks: str | Sequence[str] | None,
    empty: float | None,
    resident: bool | str,
    target_seed: int,
    split: str | None,
    site_by: str | None,
    **numbers: float | None,
) -> None:
    """Refuse values out of range, and settings that exclude each other.

    Args:
        target: as the following, a setting of `brain_tumor.data.datamodule.SliceDataModule`.
        crop: likewise.
        masks: likewise.
        empty: likewise.
        resident: likewise.
        target_seed: likewise.
        split: likewise.
        site_by: likewise.
        numbers: the settings named in `LEAST`; None is always allowed.

    Raises:
        ValueError: a setting cannot be used.
    """
    for name, value in numbers.items():
        if value is not None and value < LEAST[name]:
            raise ValueError(f"data.{name}={value}: must be at least {LEAST[name]}")
    if empty is not None and empty < 0:
        raise ValueError(f"data.empty={empty}: slices without a tumour for each with one; must be at least 0")
    if crop not in crops.CROPS:
        raise ValueError(f"data.crop={crop}: choose one of {', '.join(crops.CROPS)}")
    if site_by is not None and split != "site":
        raise ValueError(f"data.site_by={site_by}: goes with data.split=site")
    if target_seed and target != targets.RANDOM:
        raise ValueError(f"data.target_seed={target_seed}: goes with data.target={targets.RANDOM}")
    if masks is not None and crop == "none" and not targets.needs_tumours(target):
        raise ValueError("data.masks: goes with data.crop=tumour, or with a target of patients")
    if resident not in (True, False, "auto"):
        raise ValueError(f"data.resident={resident}: choose one of auto, true, false")
