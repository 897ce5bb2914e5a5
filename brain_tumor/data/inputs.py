"""What a network gets of a slice: which intensities, neighbours and heads."""

import math
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from brain_tumor.data import intensities, neighbours
from brain_tumor.data.cache import DecodedSlices
from brain_tumor.data.store import Store
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.base import DataSet
from brain_tumor.scans import fitted


@dataclass(frozen=True)
class Inputs:
    """Choose what a network gets of a slice.

    Args:
        intensities: "file" shows grey levels as the files have them; "volume" standardizes each sequence of a volume
            (see `brain_tumor.scans.standardization`). A slice whose case or number is unknown is its own volume.
        neighbours: how many slices above and below a slice are shown in further channels.
        neighbour_mm: how far apart they lie, in millimetres; the next slice where the data's spacing is unknown.
        skull: "keep", or "remove" to show heads as skull-stripped volumes do, by one mask per volume.

    Raises:
        ValueError: a value is out of range.
    """

    intensities: str = "file"
    neighbours: int = 0
    neighbour_mm: float = 5.0
    skull: str = "keep"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("intensities", self.intensities, intensities.CHOICES), ("skull", self.skull, intensities.SKULLS)
        ):  # fmt: skip
            if value not in known:
                raise ValueError(f"data.{name}={value}: choose one of {', '.join(known)}")
        for name, least in (("neighbours", self.neighbours), ("neighbour_mm", self.neighbour_mm)):
            if least < 0:
                raise ValueError(f"data.{name}={least}: must be at least 0")

    def refuse_misfit(self, crop: str, transforms: Transforms, dataset: DataSet) -> None:
        """Refuse crops and transforms that the intensities do not allow.

        Raises:
            ValueError: one of them.
        """
        if self.intensities == "volume" and not transforms.normalize:
            raise ValueError("data.intensities=volume: standardizes; set transforms.normalize=true, or leave it out")
        if self.intensities == "volume" and not dataset.whole_volumes:
            raise ValueError(
                "data.intensities=volume: measures whole volumes, and data.slices=tumour shows a part of them only; "
                "leave one of them out"
            )
        if self.intensities == "volume" and transforms.grey:
            raise ValueError("transforms.grey=true: mixes sequences that data.intensities=volume scales; leave one out")
        if crop != "none":
            for name in ("intensities", "neighbours", "skull"):
                if (value := getattr(self, name)) != getattr(Inputs, name):
                    raise ValueError(f"data.{name}={value}: needs whole slices, not data.crop={crop}")
        if transforms.strip and self.intensities != "volume":
            raise ValueError(
                f"transforms.strip={transforms.strip}: without its skull a slice is scaled otherwise; set "
                "data.intensities=volume, too"
            )

    def heads(self, decoded: DecodedSlices, table: pd.DataFrame) -> DecodedSlices:
        """Return the slices of a table with or without their skulls.

        Raises:
            ValueError: skulls cannot be removed, since slices are not in volumes.
        """
        return decoded if self.skull == "keep" else intensities.without_skulls(decoded, table)

    def store(
        self,
        decoded: DecodedSlices,
        table: pd.DataFrame,
        transforms: Transforms,
        resident: bool | str,
        dataset: DataSet,
    ) -> Store:
        """Make the store of the slices of a table.

        Args:
            decoded: the slices.
            table: columns `label`, `case` and `slice`, one row per slice.
            transforms: of the slices.
            resident: see `Store`.
            dataset: that the slices belong to.

        Raises:
            ValueError: no slice has a neighbour.
        """
        # Stored channels last; this view is (N, C, size, size) without a copy.
        images = torch.from_numpy(decoded.images).permute(0, 3, 1, 2)
        store = Store(images, labels_of(table), transforms, resident)
        if self.intensities == "volume":
            volumes = intensities.volumes(table)
            deep = intensities.depths(decoded, volumes, _brains(dataset, table)) if transforms.strip else None
            store.statistics = torch.from_numpy(intensities.statistics(decoded, volumes, deep))
            store.volumes = torch.from_numpy(volumes)
            store.depths = None if deep is None else torch.from_numpy(deep)
        if self.neighbours:
            store.neighbours = torch.from_numpy(neighbours.rows(table, self.neighbours, self._step(dataset.slice_mm)))
        return store

    def distance(self, slice_mm: float | None) -> float | None:
        """Return how far apart neighbours lie, in millimetres, for slices so far apart; None if that is unknown."""
        return None if slice_mm is None else float(self._step(slice_mm) * slice_mm)

    def _step(self, slice_mm: float | None) -> int:
        """Return how many slices lie from one neighbour to the next."""
        return fitted.step(math.nan if slice_mm is None else slice_mm, self.neighbour_mm)


def _brains(dataset: DataSet, table: pd.DataFrame) -> intensities.BrainOf | None:
    """Return what gives the brain mask of a row; None for a data set without such masks."""
    if type(dataset).brain_mask is DataSet.brain_mask:
        return None
    return lambda row: dataset.brain_mask(table["path"].iloc[row])


def labels_of(table: pd.DataFrame) -> Tensor:
    """Return the labels of slices, int64 (N,)."""
    return torch.tensor(table["label"].to_numpy())
