"""The LightningDataModule: whatever the kind of data, the same split, transforms and batches."""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, default_convert

from brain_tumor.data import cache, slices
from brain_tumor.data.batches import Batch, Rows
from brain_tumor.data.split import METHODS, split
from brain_tumor.data.transforms import Transforms


class SliceDataModule(L.LightningDataModule):
    """Split decoded slices and serve them in batches.

    The loaders yield rows only. Their images are gathered from the memory-mapped array and moved as uint8, or drawn
    from the device's own memory where that holds them all; either way they are transformed on the device.

    Args:
        transforms: applied to every batch, with its random part in training only.
        cache_dir: where decoded slices are kept for all runs.
        split: "slice", "patient", "given" or "none" (see `brain_tumor.data.split`).
        test_fraction: share of the slices, or patients, to test.
        val_fraction: share of the training part to validate on; 0, as in the paper, for none.
        split_seed: of the split's draw.
        batch_size: of training.
        eval_batch_size: of validation, test and features; changes speed, not results. None for what is fast there.
        size: side of the square images, in pixels.
        resident: hold all images in the device's memory: True, False, or "auto", on a GPU with room for them; changes
            speed, not results.
        seed: of the order of training batches.

    Raises:
        ValueError: a value out of range.
    """

    images: Tensor
    labels: Tensor

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
        eval_batch_size: int | None = None,
        size: int = 224,
        resident: bool | str = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("eval_batch_size", eval_batch_size, 1),
            ("size", size, 32),  # a ResNet divides each side by 32
        ):
            if value is not None and value < least:
                raise ValueError(f"data.{name}={value}: must be at least {least}")
        if split not in METHODS:
            raise ValueError(f"data.split={split}: choose one of {', '.join(METHODS)}")
        if resident not in (True, False, "auto"):
            raise ValueError(f"data.resident={resident}: choose one of auto, true, false")
        self.transforms = transforms
        self.cache_dir = Path(cache_dir).expanduser()
        self.split = split
        self.test_fraction = test_fraction
        self.val_fraction = val_fraction
        self.split_seed = split_seed
        self.batch_size = batch_size
        self._eval_batch_size = eval_batch_size
        self.size = size
        self.resident = resident
        self.seed = seed
        self.features: Tensor | None = None  # (V, N, D): what a frozen backbone makes of every variant of every image
        self._slices: cache.Slices | None = None
        self.resident_images: Tensor | None = None  # (N, 3, size, size) uint8, where the device holds them all

    def listing(self) -> slices.Listing:
        """List the files of the data set; each kind of data has its own way."""
        raise NotImplementedError

    def prepare_data(self) -> None:
        """Fetch or generate what is not there, and decode it into the cache (one process does this)."""
        if self._slices is None:
            cache.load(self.listing(), self.size, self.cache_dir)

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002, Lightning's signature
        """Open the decoded slices and split them, and with a trainer move to its device what belongs there.

        Raises:
            ValueError: the data or the split does not allow training (see `cache.load` and `split`).
        """
        if self._slices is None:
            self._open()
        if self.trainer is not None:
            self.place(self.trainer.strategy.root_device)

    def place(self, device: torch.device) -> None:
        """Move transforms and labels to a device, and the images where `resident` asks for that."""
        self.transforms.to(device)
        self.labels = self.labels.to(device)
        if self.features is None and self.resident_images is None and self._fits(device):
            self.resident_images = self.images.to(device, copy=True)

    def _open(self) -> None:
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

    def _fits(self, device: torch.device) -> bool:
        if self.resident == "auto":
            # Half of what is free leaves room for the model.
            return device.type == "cuda" and self.images.nbytes < torch.cuda.mem_get_info(device)[0] / 2
        return bool(self.resident)

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
        dataset = Rows(self.rows["train"])
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
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        return self._loader(Rows(self.rows[part]), self.eval_batch_size(device))

    def eval_batch_size(self, device: torch.device) -> int:
        """Return how many images to classify at once: on a CPU few, whose activations stay in its caches."""
        return self._eval_batch_size or (256 if device.type == "cuda" else 16)

    def _loader(
        self, dataset: Rows, batch_size: int, sampler: DistributedSampler[Any] | None = None
    ) -> DataLoader[Any]:
        # A generator of its own: an iterator draws a seed when it is made, and a resumed run makes one more than an
        # unbroken one. Drawn from the global generator, that would change every augmentation after it.
        return DataLoader(dataset, batch_size, sampler=sampler, generator=torch.Generator(), collate_fn=default_convert)

    def on_before_batch_transfer(self, batch: Tensor, dataloader_idx: int) -> tuple[Tensor, ...]:  # noqa: ARG002
        """Gather the images (B, 3, size, size) of a batch of rows (B,) as uint8, if the device lacks them."""
        there = self.features is not None or self.resident_images is not None
        if there:
            return (batch,)
        # Gathered as they are stored: twenty times as fast as from the permuted view.
        stored = self.images.permute(0, 2, 3, 1).index_select(0, batch)
        return batch, stored.permute(0, 3, 1, 2)

    def on_after_batch_transfer(self, batch: tuple[Tensor, ...], dataloader_idx: int) -> Batch:  # noqa: ARG002
        """Turn rows, and images where they were gathered, into transformed images, or features, and labels."""
        self.transforms.train(self.trainer is not None and self.trainer.training)
        return Batch(self.inputs(*batch), self.labels[batch[0]], batch[0])

    def inputs(self, rows: Tensor, gathered: Tensor | None = None) -> Tensor:
        """Return the model's input for `rows`, on their device and in the mode that the transforms are in.

        Args:
            rows: int64 (B,).
            gathered: their images uint8 (B, 3, size, size), where neither these nor features are on the device.
        """
        if self.features is not None:
            return self.features[self.transforms.draw_variants(len(rows), rows.device), rows]
        images = gathered if self.resident_images is None else self.resident_images[rows]
        transformed: Tensor = self.transforms(images)
        return transformed

    def sample(self, part: str, count: int) -> Tensor:
        """Return `count` images from across a part as training sees them: float32 (B, 3, size, size), on the CPU."""
        rows = self.rows[part]
        chosen = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
        images = self.images[torch.from_numpy(chosen)].to(self.transforms.mean.device)
        sampled: Tensor = self.transforms.train()(images).cpu()
        return sampled

    def pixels(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Return slices as decoded, uint8 (n, size, size, 3), and their masks (n, size, size) if there are any."""
        assert self._slices is not None, "call setup() first"
        masks = self._slices.masks
        return self._slices.images[rows], None if masks is None else masks[rows]

    def reorder(self, classes: list[str]) -> None:
        """Number the classes, all of them, in another order."""
        places = np.array([classes.index(name) for name in self.classes])
        self.classes = classes
        self.table["label"] = places[self.table["label"]]
        self.labels = torch.from_numpy(places)[self.labels]

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
