"""The LightningDataModules: one a kind of data, all with the same split, transforms and batches."""

from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from brain_tumor.data import cache, lgg, phantom, slices
from brain_tumor.data.split import METHODS, split
from brain_tumor.data.transforms import Transforms


class Batch(NamedTuple):
    """What the model gets.

    Attributes:
        inputs: float32 (B, 3, size, size) images, or (B, D) features where the backbone's output is cached.
        labels: int64 (B,).
        rows: int64 (B,), the slices' rows in the data module's table.
    """

    inputs: Tensor
    labels: Tensor
    rows: Tensor


class SliceDataModule(L.LightningDataModule):
    """Split decoded slices and serve them in batches.

    The loaders yield rows only. Their images are gathered from the memory-mapped array, moved as uint8, and
    transformed on the device (`on_after_batch_transfer`).

    Args:
        transforms: applied to every batch, with its random part in training only.
        cache_dir: where decoded slices are kept for all runs.
        split: "slice", "patient", "given" or "none" (see `brain_tumor.data.split`).
        test_fraction: share of the slices, or patients, to test.
        val_fraction: share of the training part to validate on; 0, as in the paper, for none.
        split_seed: of the split's draw.
        batch_size: of training.
        eval_batch_size: of validation and test; changes speed, not results.
        size: side of the square images, in pixels.
        seed: of the order of training batches.

    Raises:
        ValueError: a value out of range.
    """

    def __init__(
        self,
        *,
        transforms: Transforms,
        cache_dir: str,
        split: str = "slice",
        test_fraction: float = 0.15,
        val_fraction: float = 0.0,
        split_seed: int = 0,
        batch_size: int = 8,
        eval_batch_size: int = 64,
        size: int = 224,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("eval_batch_size", eval_batch_size, 1),
            ("size", size, 32),  # a ResNet divides each side by 32
        ):
            if value < least:
                raise ValueError(f"data.{name}={value}: must be at least {least}")
        if split not in METHODS:
            raise ValueError(f"data.split={split}: choose one of {', '.join(METHODS)}")
        self.transforms = transforms
        self.cache_dir = Path(cache_dir).expanduser()
        self.split = split
        self.test_fraction = test_fraction
        self.val_fraction = val_fraction
        self.split_seed = split_seed
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.size = size
        self.seed = seed
        self.features: Tensor | None = None  # (V, N, D): what a frozen backbone makes of every variant of every image
        self._slices: cache.Slices | None = None

    def listing(self) -> slices.Listing:
        """List the files of the data set; each kind of data has its own way."""
        raise NotImplementedError

    def prepare_data(self) -> None:
        """Fetch or generate what is not there, and decode it into the cache (one process does this)."""
        cache.load(self.listing(), self.size, self.cache_dir)

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002, Lightning's signature
        """Open the decoded slices and split them; done once.

        Raises:
            ValueError: the data or the split does not allow training (see `cache.load` and `split`).
        """
        if self._slices is not None:
            return
        listing = self.listing()
        self._slices = cache.load(listing, self.size, self.cache_dir)
        self.classes = listing.classes
        self.table = self._slices.table
        parts = split(self.table, self.split, self.test_fraction, self.val_fraction, self.split_seed)
        self.table["part"] = parts
        self.rows = {part: np.flatnonzero(parts == part) for part in ("train", "val", "test")}
        self.labels = torch.tensor(self.table["label"].to_numpy(), dtype=torch.int64)
        if self.split != "none":
            self._require_classes()
        # Stored channels last; this view is (N, 3, size, size) without a copy.
        self.images = torch.from_numpy(self._slices.images).permute(0, 3, 1, 2)

    def _require_classes(self) -> None:
        present = set(self.labels[self.rows["train"]].tolist())
        for index, name in enumerate(self.classes):
            if index not in present:
                raise ValueError(
                    f"data: no slice of the class '{name}' in the training part ({len(self.rows['train'])} slices). "
                    "Both training and telling classes apart need every class; add data or change data.split_seed"
                )

    @property
    def key(self) -> str:
        """Identify the decoded slices by content."""
        if self._slices is None:
            raise RuntimeError("call setup() first")
        return self._slices.key

    @property
    def num_classes(self) -> int:
        """How many classes the data has."""
        return len(self.classes)

    @property
    def monitored(self) -> str:
        """The part scored after every epoch: "val" where there is one, else, as in the paper's figures, "test"."""
        return "val" if self.val_fraction > 0 else "test"

    def _count(self, table: pd.DataFrame) -> dict[str, Any]:
        labels = np.bincount(table["label"], minlength=self.num_classes).tolist()
        patients = set(table["case"]) - {""}
        return {"slices": len(table), "patients": len(patients), "labels": dict(zip(self.classes, labels, strict=True))}

    def train_dataloader(self) -> DataLoader[Any]:
        """Serve the training rows, shuffled by seed and epoch alone, so that a resumed run sees the same batches."""
        dataset = TensorDataset(torch.from_numpy(self.rows["train"]))
        world, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        sampler: DistributedSampler[Any] = DistributedSampler(
            dataset, num_replicas=world, rank=rank, shuffle=True, seed=self.seed
        )
        return self._loader(dataset, self.batch_size, sampler)

    def val_dataloader(self) -> DataLoader[Any]:
        """Serve the monitored part's rows in order."""
        return self._in_order(self.monitored)

    def test_dataloader(self) -> DataLoader[Any]:
        """Serve the test part's rows in order."""
        return self._in_order("test")

    def _in_order(self, part: str) -> DataLoader[Any]:
        return self._loader(TensorDataset(torch.from_numpy(self.rows[part])), self.eval_batch_size)

    def _loader(
        self, dataset: TensorDataset, batch_size: int, sampler: "DistributedSampler[Any] | None" = None
    ) -> DataLoader[Any]:
        # A generator of its own: an iterator draws a seed when it is made, and a resumed run makes one more than an
        # unbroken one. Drawn from the global generator, that would change every augmentation after it.
        return DataLoader(dataset, batch_size, sampler=sampler, generator=torch.Generator())

    def on_after_batch_transfer(self, batch: list[Tensor], dataloader_idx: int) -> Batch:  # noqa: ARG002
        """Turn a batch of rows on the device into a batch of transformed images, or features, and labels."""
        (rows,) = batch
        self.transforms.to(rows.device).train(self.trainer is not None and self.trainer.training)
        there = rows.cpu()
        if self.features is None:
            inputs = self.transforms(self.images[there].to(rows.device, non_blocking=True))
        else:
            inputs = self.features[self.transforms.draw_variants(len(rows), rows.device), rows]
        return Batch(inputs, self.labels[there].to(rows.device), rows)

    def sample(self, part: str, count: int) -> Tensor:
        """Return `count` images from across a part as training sees them: float32 (B, 3, size, size)."""
        rows = self.rows[part]
        chosen = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
        images: Tensor = self.transforms.train()(self.images[torch.from_numpy(chosen)])
        return images

    def describe(self) -> dict[str, Any]:
        """Return the record's facts about the data: content key, classes, slices, patients, labels."""
        return {
            "key": self.key,
            "classes": self.classes,
            **self._count(self.table),
        }

    def describe_split(self) -> dict[str, Any]:
        """Return the record's facts about the split: how it was drawn, and what each part holds."""
        dropped = int((self.table["part"] == "").sum())
        parts = {part: self._count(self.table.iloc[rows]) for part, rows in self.rows.items()}
        return {
            "method": self.split,
            "seed": self.split_seed,
            "duplicates_dropped": dropped,
            **parts,
        }


class PhantomDataModule(SliceDataModule):
    """Phantoms generated from a seed (see `brain_tumor.data.phantom`).

    Args:
        cases: how many, of 20 to 40 slices each.
        phantom_seed: of the generator.
        **common: as for `SliceDataModule`.
    """

    def __init__(self, *, cases: int, phantom_seed: int = 0, **common: Any) -> None:
        super().__init__(**common)
        self.cases = cases
        self.phantom_seed = phantom_seed

    def listing(self) -> slices.Listing:
        """List the phantoms, drawing them first where they are missing."""
        return slices.list_kaggle_3m(phantom.generate(self.cache_dir, self.cases, self.phantom_seed))


class LggDataModule(SliceDataModule):
    """The LGG Segmentation Dataset.

    Args:
        root: the folder that holds `kaggle_3m/`, or `kaggle_3m` itself; fetched where it is missing.
        **common: as for `SliceDataModule`.
    """

    def __init__(self, *, root: str, **common: Any) -> None:
        super().__init__(**common)
        self.root = Path(root).expanduser()

    def listing(self) -> slices.Listing:
        """List the data set, fetching it first where it is missing."""
        lgg.fetch(self.root)
        return slices.list_kaggle_3m(self.root)


class FolderDataModule(SliceDataModule):
    """Images sorted into one folder a class.

    Args:
        root: the folder (see `brain_tumor.data.slices.list_class_folders`).
        patient_pattern: regular expression on the file name that finds the patient; None where names hold none.
        split: as for `SliceDataModule`; None for train/ and test/ where the folder has them, else "slice".
        **common: as for `SliceDataModule`.
    """

    def __init__(
        self, *, root: str, patient_pattern: str | None = None, split: str | None = None, **common: Any
    ) -> None:
        self.root = Path(root).expanduser()
        self.patient_pattern = patient_pattern
        if split is None:
            found = self.listing()
            split = "given" if (found.table["part"] != "").any() else "slice"
        super().__init__(split=split, **common)

    def listing(self) -> slices.Listing:
        """List the class folders."""
        return slices.list_class_folders(self.root, self.patient_pattern)
