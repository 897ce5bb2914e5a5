"""The LightningDataModule: whatever the data set, the same targets, splits, transforms and batches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, default_convert

from brain_tumor.data import cache, contradictions, crops, targets
from brain_tumor.data.batches import Balanced, Batch, Rows
from brain_tumor.data.split import Split
from brain_tumor.data.store import Store
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.base import DataSet, Listing
from brain_tumor.scans.images import unfit_image


class SliceDataModule(L.LightningDataModule):
    """Label and split decoded slices, and serve them in batches.

    The loaders yield rows only; a `Store` makes batches of images and labels of them on the device, with masks where a
    task asks for them (`serve_masks`).

    Args:
        dataset: whose slices they are.
        transforms: applied to every batch, with its random part in training only.
        cache_dir: where decoded slices are kept for all runs.
        target: what is to be told of a slice (see `brain_tumor.data.targets`); None for what the data set says.
        positive: the class that means a tumour; None where the data set says so, or the classes' names, or there is
            none.
        split: as the following five a setting of `brain_tumor.data.split.Split`.
        test_fraction: share of the slices, or patients, to test.
        val_fraction: share of the training part to validate on; 0, as in the paper, for none.
        split_seed: of the split's draw.
        folds: how many folds to divide the patients into.
        fold: the one to test.
        test_cases: the patients to test.
        min_patients: of a class; a target of patients leaves rarer ones out.
        crop: "tumour" shows its surroundings only, by its mask, "none" the whole slice.
        crop_margin: added on each side of a crop, as a share of the mask's longer side.
        masks: "run:FOLDER", or several: runs that say which slices have a tumour and where, for the slices that they
            were tested on; other slices in training go by the true masks. None for the true masks everywhere.
        empty: an epoch shows every training slice with a tumour, by its mask, and so many without for each of them,
            drawn anew; None for all slices.
        batch_size: of training.
        eval_batch_size: of validation, test and features; changes speed, not results. None for what is fast there.
        size: side of the square images, in pixels.
        resident: hold all images in the device's memory: True, False, or "auto", on a GPU with room for them; changes
            speed, not results.
        seed: of the order of training batches.

    Attributes:
        table: one row a slice, once set up: the listing's columns, the cache's facts, `label`, and the drawn `part`.
        classes: class names; a label is an index into them.
        positive: the class that means a tumour, once set up; None where nobody says.
        rows: the rows of `table` in each part.
        store: makes batches of rows.
        drawn: how the split was drawn.
        left_out: patients whom a target leaves out, counted by the reason.
        told: the paths of slices whose tumour other runs have told.
        tested: the part that a trainer's test scores.

    Raises:
        ValueError: a value out of range.
    """

    key: str  # identifies files, names and labels
    table: pd.DataFrame
    classes: list[str]
    rows: dict[str, NDArray[np.intp]]
    tested: str = "test"
    store: Store
    drawn: dict[str, Any]
    left_out: dict[str, int]
    told: set[str]

    def __init__(
        self,
        *,
        dataset: DataSet,
        transforms: Transforms,
        cache_dir: str,
        target: str | None = None,
        positive: str | None = None,
        split: str | None = "slice",
        test_fraction: float = 0.15,
        val_fraction: float = 0.0,
        split_seed: int = 0,
        folds: int | None = None,
        fold: int | None = None,
        test_cases: Sequence[str] | None = None,
        min_patients: int = 10,
        crop: str = "none",
        crop_margin: float = 0.2,
        masks: str | Sequence[str] | None = None,
        empty: float | None = None,
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
            ("min_patients", min_patients, 1),
            ("crop_margin", crop_margin, 0),
        ):
            if value is not None and value < least:
                raise ValueError(f"data.{name}={value}: must be at least {least}")
        if empty is not None and empty < 0:
            raise ValueError(f"data.empty={empty}: slices without a tumour for each with one; must be at least 0")
        if crop not in crops.CROPS:
            raise ValueError(f"data.crop={crop}: choose one of {', '.join(crops.CROPS)}")
        target = dataset.target if target is None else target
        if masks is not None and crop == "none" and not targets.is_of_patients(target):
            raise ValueError("data.masks: goes with data.crop=tumour, or with a target of patients")
        if resident not in (True, False, "auto"):
            raise ValueError(f"data.resident={resident}: choose one of auto, true, false")
        self.dataset = dataset
        self.transforms = transforms
        self.cache_dir = Path(cache_dir).expanduser()
        self.target = target
        self.positive = dataset.positive if positive is None and target == dataset.target else positive
        self.split = Split(split, test_fraction, val_fraction, split_seed, folds, fold, test_cases)
        self.min_patients = min_patients
        self.crop = crop
        self.crop_margin = crop_margin
        self.masks = masks
        self.empty = empty
        self.batch_size = batch_size
        self._eval_batch_size = eval_batch_size
        self.size = size
        self.resident = resident
        self.seed = seed
        self._slices: cache.Slices | None = None

    def prepare_data(self) -> None:
        """Fetch or generate what is not there, and decode it into the cache (one process does this)."""
        if self._slices is None:
            listing = self.dataset.listing()
            cache.load(listing, self.size, self.cache_dir, self._crop(listing, crops.read(self.masks or [])))

    def _crop(self, listing: Listing, predicted: crops.Predicted) -> crops.Crop | None:
        """Return what is to be cut out of every slice; None for all of it."""
        if self.crop == "none":
            return None
        if self.masks is not None and not predicted.masks:
            raise ValueError(f"data.masks={self.masks}: says where no tumour is; data.crop=tumour needs a localizer's")
        masks = {path: predicted.masks[path] for path in listing.table["path"] if path in predicted.masks}
        return crops.Crop(self.crop_margin, masks)

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002, Lightning's signature
        """Open the decoded slices, label and split them; with a trainer, move to its device what belongs there.

        Raises:
            ValueError: the data does not allow the target or the split (see `cache.load`, `targets` and `Split`).
        """
        if self._slices is None:
            self._open()
        if self.trainer is not None:
            self.store.place(self.trainer.strategy.root_device)

    def is_content(self, key: str, size: int) -> bool:
        """Return whether this is the data that a record of images of some size names, also if the record is older."""
        labels = self.table["label"].to_numpy(dtype=np.int64)
        return key in {self.key, targets.content_key(self.table, labels, self.classes, size)}

    def serve_masks(self) -> None:
        """Put masks into every batch from now on.

        Raises:
            ValueError: not every slice has one.
        """
        if self.crop != "none":
            raise ValueError(f"data.crop={self.crop}: would show this model where the tumour is; leave it out")
        if self.decoded.masks is None or (self.table["mask"] == "").any():
            raise ValueError("data: has no masks, which this model learns from; choose data that has them, such as lgg")
        self.store.masks = torch.from_numpy(self.decoded.masks)

    def _open(self) -> None:
        predicted = crops.read(self.masks or [])
        listing = self.dataset.listing()
        self._slices = cache.load(listing, self.size, self.cache_dir, self._crop(listing, predicted))
        self.table = listing.table.join(self._slices.facts)
        if self.empty is not None and self._slices.masks is None:
            raise ValueError(f"data.empty={self.empty}: this data has no masks that tell empty slices; leave it out")
        self.told = set(predicted.marked)
        if predicted.marked:
            said = self.table["path"].map(predicted.marked)
            self.table["chosen"] = said.where(said.notna(), self.table["positive"]).astype(bool)
        found = targets.classify(self.table, self.target, listing.patients, self.min_patients)
        self.classes, labels, self.left_out = found.classes, found.values, found.left_out
        self.positive = targets.positive_class(self.classes, self.target, self.positive)
        names = ["" if label < 0 else self.classes[label] for label in labels]
        if wrong := contradictions.find(self.table, names, self._slices.drawn_mask):
            raise ValueError(cache.summarise(wrong))
        parts = np.full(len(labels), "", dtype="<U5")
        parts[labels >= 0] = self.split.draw(self.table[labels >= 0].reset_index(drop=True), labels[labels >= 0])
        if self.masks is not None:
            crops.require(predicted, self.table[parts == "test"])
        self.drawn = self.split.describe(self.table)
        self.key = targets.content_key(self.table, labels, self.classes)
        self.table["label"], self.table["part"] = labels, parts
        self.rows = {part: np.flatnonzero(parts == part) for part in ("train", "val", "test")}
        # A model of masks needs no empty slices; whether it is one stands when it is built.
        if not (self._slices.masks is not None and self.table["positive"].iloc[self.rows["train"]].any()):
            self.require_classes()
        # Stored channels last; this view is (N, 3, size, size) without a copy.
        images = torch.from_numpy(self._slices.images).permute(0, 3, 1, 2)
        self.store = Store(images, torch.tensor(labels), self.transforms, self.resident)

    def require_classes(self) -> None:
        """Refuse a training part without a slice of each class, in which nothing can learn to tell them apart.

        Raises:
            ValueError: there is none of some class.
        """
        if not len(self.rows["train"]):
            return
        present = set(self.table["label"].iloc[self.rows["train"]])
        for index, name in enumerate(self.classes):
            if index not in present:
                raise ValueError(
                    f"data: no slice of the class '{name}' in the training part ({len(self.rows['train'])} slices). "
                    "Both training and telling classes apart need every class; add data or change data.split_seed"
                )

    @property
    def decoded(self) -> cache.Slices:
        """The decoded slices: pixels, masks and facts."""
        if self._slices is None:
            raise RuntimeError("call setup() first")
        return self._slices

    @property
    def num_classes(self) -> int:
        """How many classes the data has."""
        return len(self.classes)

    @property
    def monitored(self) -> str:
        """The part scored after every epoch: "val" where there is one, else, as in the paper's figures, "test"."""
        return "val" if len(self.rows["val"]) else "test"

    def train_dataloader(self) -> DataLoader[Any]:
        """Serve the training rows, shuffled by seed and epoch alone, so that a resumed run sees the same batches."""
        dataset = Rows(self.rows["train"])
        world, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        sampler: DistributedSampler[Any]
        if self.empty is None:
            sampler = DistributedSampler(dataset, num_replicas=world, rank=rank, shuffle=True, seed=self.seed)
        else:
            positive = self.table["positive"].to_numpy(dtype=bool)[self.rows["train"]]
            sampler = Balanced(dataset, positive, self.empty, self.seed, world, rank)
        return self._loader(dataset, self.batch_size, sampler)

    @property
    def epoch_size(self) -> int:
        """How many slices an epoch shows, over all processes."""
        sampler = self.train_dataloader().sampler
        return sampler.total if isinstance(sampler, Balanced) else len(self.rows["train"])

    def val_dataloader(self) -> DataLoader[Any]:
        """Serve the monitored part's rows in order."""
        return self._in_order(self.monitored)

    def test_dataloader(self) -> DataLoader[Any]:
        """Serve the tested part's rows in order."""
        return self._in_order(self.tested)

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

    def on_before_batch_transfer(
        self,
        batch: Tensor,
        dataloader_idx: int,  # noqa: ARG002, Lightning's signature
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Gather what the device lacks of a batch of rows (B,)."""
        return batch, *self.store.gather(batch)

    def on_after_batch_transfer(
        self,
        batch: tuple[Tensor, Tensor | None, Tensor | None],
        dataloader_idx: int,  # noqa: ARG002, Lightning's signature
    ) -> Batch:
        """Turn rows, and what was gathered of them, into transformed images, or features, with labels and masks."""
        self.transforms.train(self.trainer is not None and self.trainer.training)
        return self.store.assemble(*batch)

    def sample(self, part: str, count: int) -> Tensor:
        """Return `count` images from across a part as training sees them: float32 (B, 3, size, size), on the CPU."""
        rows = self.rows[part]
        chosen = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
        images = self.store.images[torch.from_numpy(chosen)].to(self.transforms.mean.device)
        sampled: Tensor = self.transforms.train()(images).cpu()
        return sampled

    def pixels(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Return slices as decoded, uint8 (n, size, size, 3), and their masks (n, size, size) if there are any."""
        masks = self.decoded.masks
        return self.decoded.images[rows], None if masks is None else masks[rows]

    def originals(self, rows: NDArray[np.intp]) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
        """Return slices (H, W, 3), brought back to their files' own sizes, and their masks (H, W) as the files are."""
        masks = [self.decoded.original_mask(int(row)) for row in rows]
        fitted = self.decoded.images[rows]
        return [unfit_image(image, *mask.shape) for image, mask in zip(fitted, masks, strict=True)], masks

    def reorder(self, classes: list[str]) -> None:
        """Number the classes, all of them, in another order."""
        places = np.array([classes.index(name) for name in self.classes])
        self.classes = classes
        self.table["label"] = np.where(self.table["label"] < 0, -1, places[self.table["label"]])
        self.store.labels = torch.tensor(self.table["label"].to_numpy())
