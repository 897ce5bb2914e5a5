"""Serve slices of any data set in batches: the same targets, splits and transforms for all of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from brain_tumor.data import batches, cache, crops, labelling, settings, targets
from brain_tumor.data.batches import Balanced, Batch, Rows
from brain_tumor.data.inputs import Inputs, labels_of
from brain_tumor.data.split import Split
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.base import DataSet, Listing


class SliceDataModule(L.LightningDataModule):
    """Label and split decoded slices, and serve them in batches.

    The loaders yield row numbers only. On the device a `Store` turns them into images and labels, with masks where a
    task asks for them (`serve_masks`).

    Args:
        dataset: the data set that the slices belong to.
        transforms: applied to every batch, with the random part in training only.
        cache_dir: the folder of decoded slices, which all runs share.
        target: what slices are labelled with (see `brain_tumor.data.targets`); None for the data set's default.
        positive: the class that means a tumour; None to go by the data set's declaration or by the classes' names.
        target_seed: of the labels of the target "random".
        split: as those up to `draw_seed`, a setting of `brain_tumor.data.split.Split`, described there.
        site_by: what tells a patient's site (see `brain_tumor.data.sites.find`); None for the data set's declaration.
        min_patients: a target of patients leaves out classes with fewer.
        crop: "tumour" shows the surroundings of the tumour's mask only, "none" the whole slice.
        crop_margin: width added on each side of a crop, as a share of the mask's longer side.
        masks: "run:FOLDER", or several: runs that say which slices have a tumour and where, for the slices that they
            were tested on. The true masks decide about other slices in training, and about all slices if None.
        empty: how many slices without a tumour an epoch shows for each with one, by its mask, drawn anew every time;
            None shows all slices.
        batch_size: of training.
        eval_batch_size: of validation, test and features; changes speed, not results. None for a fast one.
        size: side of the square images, in pixels.
        intensities: as those up to `skull`, a setting of `brain_tumor.data.inputs.Inputs`, described there.
        resident: whether to hold all images in the device's memory: True, False, or "auto" for a GPU with room for
            them; changes speed, not results.
        seed: of the order of training batches.

    Attributes:
        table: one row per slice (see `labelling.LabelledSlices`); this and what follows exist after `setup`.
        classes: class names; a label is an index into them.
        positive: the class that means a tumour; None where neither a setting nor the names say which.
        rows: the rows of each part in `table`.
        drawn: how the split was drawn.
        left_out: how many patients the target leaves out, by the reason.
        key: identifies files, names and labels.
        channels: number of channels of a slice; `regions`: what the masks' values mean.
        localized: paths of the slices for which `masks` decides whether and where there is a tumour.
        store: makes batches of rows.
        tested: the part that a trainer's test scores.

    Raises:
        ValueError: a value is out of range, or settings exclude each other.
    """

    def __init__(
        self,
        *,
        dataset: DataSet,
        transforms: Transforms,
        cache_dir: str,
        target: str | None = None,
        target_seed: int = 0,
        positive: str | None = None,
        split: str | None = "slice",
        test_fraction: float = 0.15,
        val_fraction: float = 0.0,
        split_seed: int = 0,
        folds: int | None = None,
        fold: int | None = None,
        test_cases: Sequence[str] | None = None,
        inner_folds: int | None = None,
        inner_fold: int | None = None,
        site: str | int | None = None,
        gap: int | str | None = None,
        train_patients: int | None = None,
        draw_seed: int = 0,
        site_by: str | None = None,
        min_patients: int = 10,
        crop: str = "none",
        crop_margin: float = 0.2,
        masks: str | Sequence[str] | None = None,
        empty: float | None = None,
        batch_size: int = 8,
        eval_batch_size: int | None = None,
        size: int = 224,
        intensities: str = "file",
        neighbours: int = 0,
        neighbour_mm: float = 5.0,
        skull: str = "keep",
        resident: bool | str = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__()
        target = dataset.target if target is None else target
        settings.check(
            target, crop, masks, empty, resident, target_seed, split, site_by, batch_size=batch_size, size=size,
            eval_batch_size=eval_batch_size, min_patients=min_patients, crop_margin=crop_margin,
        )  # fmt: skip
        self.dataset, self.transforms = dataset, transforms
        self.cache_dir = Path(cache_dir).expanduser()
        self.target, self.target_seed, self.min_patients = target, target_seed, min_patients
        self.positive = dataset.positive if positive is None and target == dataset.target else positive
        self.split = Split(
            split, test_fraction, val_fraction, split_seed, folds, fold, test_cases, inner_folds, inner_fold, site, gap,
            train_patients, draw_seed,
        )  # fmt: skip
        self.site_by = dataset.site if site_by is None else site_by
        self.crop, self.crop_margin, self.masks, self.empty = crop, crop_margin, masks, empty
        self.batch_size, self._eval_batch_size = batch_size, eval_batch_size
        self.size, self.resident, self.seed, self.tested = size, resident, seed, "test"
        self.inputs = Inputs(intensities, neighbours, neighbour_mm, skull)
        self._decoded: cache.DecodedSlices | None = None

    def prepare_data(self) -> None:
        """Fetch or generate missing data, and decode it into the cache; only one process does this."""
        if self._decoded is None:
            self._load()

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002, Lightning's signature
        """Open, label and split the decoded slices; with a trainer, move to its device what belongs there.

        Raises:
            ValueError: the data does not allow the target or the split (see `cache.load` and `labelling.label`).
        """
        if self._decoded is None:
            self._open()
        if self.trainer is not None:
            self.store.place(self.trainer.strategy.root_device)

    def _load(self) -> tuple[Listing, cache.DecodedSlices, crops.Predicted]:
        """List the slices, and decode them unless the cache has them; read the answers of the runs in `masks`."""
        predicted = crops.read_runs(self.masks or [])
        listing = self.dataset.listing()
        settings.refuse_channels(self.dataset, listing)
        paths = listing.table["path"]
        crop = None if self.crop == "none" else crops.around(self.crop_margin, self.masks, predicted, paths)
        return listing, cache.load(listing, self.size, self.cache_dir, crop), predicted

    def _open(self) -> None:
        self.inputs.refuse_misfit(self.crop, self.transforms, self.dataset)
        listing, decoded, predicted = self._load()
        self.channels, self.regions = listing.channels, listing.regions
        self.transforms.take(self.channels)
        if self.empty is not None and decoded.masks is None:
            raise ValueError(f"data.empty={self.empty}: this data has no masks that tell empty slices; leave it out")
        labelled = labelling.label(
            listing, decoded, self.split, None if self.masks is None else predicted,
            target=self.target, positive=self.positive, min_patients=self.min_patients, target_seed=self.target_seed,
            site_by=self.site_by,
        )  # fmt: skip
        self.table, self.classes, self.positive, self.rows, self.drawn, self.left_out, self.key = labelled
        self.localized = set(predicted.flagged)
        decoded = self.inputs.heads(decoded, self.table)
        self.store = self.inputs.store(decoded, self.table, self.transforms, self.resident, self.dataset)
        self._decoded = decoded

    def serve_masks(self) -> None:
        """Put masks into every batch from now on.

        Raises:
            ValueError: a slice has no mask, or crops would show where the tumour is.
        """
        if self.crop != "none":
            raise ValueError(f"data.crop={self.crop}: would show this model where the tumour is; leave it out")
        if self.decoded.masks is None or (self.table["mask"] == "").any():
            raise ValueError("data: has no masks, which this model learns from; choose data that has them, such as lgg")
        self.store.masks = torch.from_numpy(self.decoded.masks)

    def require_classes(self) -> None:
        """Refuse a training part that lacks a class (see `labelling.require_classes`)."""
        labelling.require_classes(self.table["label"].to_numpy()[self.rows["train"]], self.classes)

    def reorder(self, classes: list[str]) -> None:
        """Renumber the classes in another order, which names all of them."""
        places = np.array([classes.index(name) for name in self.classes])
        self.classes = classes
        self.table["label"] = np.where(self.table["label"] < 0, -1, places[self.table["label"]])
        self.store.labels = labels_of(self.table)

    def is_content(self, key: str, size: int) -> bool:
        """Return whether a record's key names this data; older records add the size of the images to their key."""
        labels = self.table["label"].to_numpy(dtype=np.int64)
        return key in {self.key, targets.content_key(self.table, labels, self.classes, size)}

    @property
    def decoded(self) -> cache.DecodedSlices:
        """The decoded slices: pixels, masks and facts."""
        if self._decoded is None:
            raise RuntimeError("call setup() first")
        return self._decoded

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def monitored(self) -> str:
        """The part scored after every epoch: "val" where there is one, else, as in the paper's figures, "test"."""
        return "val" if len(self.rows["val"]) else "test"

    def train_dataloader(self) -> DataLoader[Any]:
        """Serve the training rows, shuffled by seed and epoch alone, so that a resumed run sees the same batches."""
        rows = Rows(self.rows["train"])
        world, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        sampler: DistributedSampler[Any]
        if self.empty is None:
            sampler = DistributedSampler(rows, num_replicas=world, rank=rank, shuffle=True, seed=self.seed)
        else:
            positive = self.table["positive"].to_numpy(dtype=bool)[self.rows["train"]]
            sampler = Balanced(rows, positive, self.empty, self.seed, world, rank)
        return batches.loader(rows, self.batch_size, sampler)

    @property
    def epoch_size(self) -> int:
        """The number of slices that an epoch shows, over all processes."""
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
        return batches.loader(Rows(self.rows[part]), self.eval_batch_size(device))

    def eval_batch_size(self, device: torch.device) -> int:
        """Return how many images to pass through at once: few on a CPU, so that activations stay in its caches."""
        return self._eval_batch_size or (256 if device.type == "cuda" else 16)

    def on_before_batch_transfer(self, batch: Tensor, dataloader_idx: int) -> tuple[Tensor | None, ...]:  # noqa: ARG002
        """Gather the slices of a batch of rows int64 (B,), unless the device has them."""
        return batch, *self.store.gather(batch)

    def on_after_batch_transfer(
        self,
        batch: tuple[Tensor, Tensor | None, Tensor | None, Tensor | None],
        dataloader_idx: int,  # noqa: ARG002, Lightning's signature
    ) -> Batch:
        """Turn rows and what was gathered for them into a batch, transformed, on the device."""
        self.transforms.train(self.trainer is not None and self.trainer.training)
        return self.store.assemble(*batch)
