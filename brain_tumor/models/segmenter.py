"""Segment tumours, or several regions of them: a decoder on the feature maps of an encoder."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from brain_tumor.data.batches import Batch
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.targets import TUMOUR_CLASSES
from brain_tumor.datasets.regions import Regions
from brain_tumor.io import run_lengths
from brain_tumor.metrics import classification, plots, segmentation
from brain_tumor.models import backbone as backbones
from brain_tumor.models import decoders, mask_scores, region_maps
from brain_tumor.models.optimizers import OptimizerFactory
from brain_tumor.models.task import Task, TitledFigure
from brain_tumor.scans.images import unfit

Mask = NDArray[np.uint8]
# The scores that are also given for masks with the largest component kept.
_CLEANED = {"dice", "dice_median", "dice_slice", "dice_pooled", "empty_clean", "false_pixels"}
_DRAWN = 8  # patients in overlays.png
STRATEGIES = ("finetune", "freeze")
LOSSES = ("dice_ce", "dice", "ce")


class Segmenter(Task):
    """Segment the tumour in images (B, C K, H, W) of K slices with C channels: logits (B, H, W), above 0 for tumour.

    Of several regions there are logits for each, (B, R, H, W) (see `brain_tumor.models.region_maps`).

    Args:
        encoder: a ResNet of torchvision's, or a network of timm's whose stages halve the resolution.
        num_classes: of the data; unused, since the network always segments the tumour alone.
        decoder: "unet" (Ronneberger 2015), "unetplusplus" (Zhou 2018), "fpn" (Kirillov 2017) or "deeplabv3plus"
            (Chen 2018).
        strategy: "finetune" trains everything, "freeze" trains the decoder alone.
        weights: of the encoder (see `brain_tumor.models.weights.find`).
        loss: "dice" (1 - the soft Dice of the whole batch), "ce" (the pixels' mean binary cross-entropy), or
            "dice_ce", their sum.
        neighbours: how many slices on each side the images hold besides a slice.
        channels: of a slice.
        image_size: side of the images, in pixels; some of timm's networks are built for one size.
        labels: what masks mean, as plain values (see `brain_tumor.datasets.regions`); None for binary masks.
        mirror: average over a slice and its mirror image, in tests and predictions.
        components: keep a volume's largest component, and those of at least this share of its size; 0 keeps all, 1 the
            largest alone.
        optimizer: as the following three, an argument of `Task`.
        monitored: the part that the validation loop runs on.
        seed: of augmentation.
        schedule: of the learning rate.

    Raises:
        ValueError: a value is out of range, or the weights do not fit.
    """

    kind = "segmentation"
    measure = "dice"
    uses_masks = True
    predicts = True

    def __init__(
        self,
        *,
        encoder: str,
        num_classes: int,  # noqa: ARG002, which every task is given
        decoder: str = "unet",
        strategy: str = "finetune",
        weights: str = "auto",
        loss: str = "dice_ce",
        neighbours: int = 0,
        channels: int = 3,
        image_size: int = 224,
        labels: Mapping[str, Any] | None = None,
        mirror: bool = False,
        components: float = 0.0,
        optimizer: OptimizerFactory | None = None,
        monitored: str = "val",
        seed: int = 0,
        schedule: str = "constant",
    ) -> None:
        super().__init__(optimizer=optimizer, monitored=monitored, seed=seed, schedule=schedule)
        for name, value, known in (
            ("decoder", decoder, decoders.NAMES),
            ("strategy", strategy, STRATEGIES),
            ("loss", loss, LOSSES),
        ):
            if value not in known:
                raise ValueError(f"model.{name}={value}: choose one of {', '.join(known)}")
        require_share(components, "model.components")
        self.save_hyperparameters(ignore=["optimizer"])
        self.regions = Regions.of(labels)
        self.network = decoders.build(encoder, decoder, len(self.regions.names), image_size)
        self.weights = backbones.load(self.network.encoder, encoder, weights, image_size)
        backbones.widen(self.network.encoder, neighbours, channels)
        self.network.to(memory_format=torch.channels_last)
        self.frozen = strategy == "freeze"
        self.network.encoder.requires_grad_(not self.frozen)
        self.loss = loss
        self.mirror, self.components = mirror, components
        self._tested: dict[int, dict[str, Any]] = {}  # the last test's scores and mask of each slice, by its row
        self.truth = region_maps.Truth(self.regions)
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, H, W), of several regions (B, R, H, W), for float images (B, C, H, W)."""
        logits: Tensor = self.network(images)
        return logits[:, 0] if len(self.regions.names) == 1 else logits

    def train(self, mode: bool = True) -> "Segmenter":
        """Switch to training mode, except for a frozen encoder, whose batch norms keep their statistics."""
        super().train(mode)
        if self.frozen:
            self.network.encoder.eval()
        return self

    def mirrored(self, outputs: Tensor) -> Tensor:
        """Mirror logits (..., H, W)."""
        return outputs.flip(-1)

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss, and for each slice the loss and its true, false and missed pixels: float32 (B, 4)."""
        assert batch.masks is not None, "the data module serves masks to a task that uses them"
        truth, known = self.truth(batch.masks)
        logits = region_maps.by_region(self(batch.inputs).float())
        loss = region_maps.loss(self.loss, logits, truth, known, self.regions)
        predicted = region_maps.decide(logits, self.regions).float()
        if known is not None:
            predicted = predicted * known
        hit = (predicted * truth).sum((1, 2, 3))
        counts = [hit, predicted.sum((1, 2, 3)) - hit, truth.sum((1, 2, 3)) - hit]
        return loss, torch.stack([loss.detach().expand(len(logits)), *counts], 1)

    def test_step(self, batch: Batch) -> None:
        """Score a batch at its files' sizes; store each slice's scores and run lengths, which are small, but no map."""
        maps = self.maps(self.infer(batch.inputs).float())
        self._outputs.add("test", batch, region_maps.surest(maps, self.regions))
        data: SliceDataModule = self.trainer.datamodule  # type: ignore[attr-defined]
        for row, values in zip(batch.rows.tolist(), maps.float().cpu().numpy(), strict=True):
            height, width = (int(data.table[name].iloc[row]) for name in ("height", "width"))
            maps_there = np.stack([unfit(region, height, width) for region in values.reshape(-1, *values.shape[-2:])])
            labels = data.regions.decide(maps_there)
            self._tested[row] = {**mask_scores.compare(data, row, labels), **mask_scores.lengths(data, labels)}

    def on_test_epoch_start(self) -> None:
        """Forget the results of an earlier test."""
        self._tested = {}

    def on_test_epoch_end(self) -> None:
        """Gather the scores and run lengths of all slices from all processes."""
        super().on_test_epoch_end()
        if self.trainer.world_size > 1:
            parts: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(parts, self._tested)
            self._tested = {row: result for part in parts for row, result in part.items()}

    def maps(self, outputs: Tensor) -> Tensor:
        """Return every pixel's probabilities, float16 (n, H, W) or (n, R, H, W), from logits float32 of that shape."""
        soft = region_maps.probabilities(region_maps.by_region(outputs), self.regions).half()
        return soft.view(outputs.shape)

    def curves(self, outcomes: Tensor, labels: Tensor) -> dict[str, Tensor]:  # noqa: ARG002, a classifier's
        """Return the mean loss and the Dice over all pixels of a part, at the network's size."""
        loss, hit, false, missed = outcomes.unbind(1)
        both = 2 * hit.sum() + false.sum() + missed.sum()
        return {"loss": loss.mean(), "dice": 2 * hit.sum() / both.clamp(min=1)}

    def probabilities(self, outcomes: Tensor) -> Tensor:
        """Return the slices' probabilities of no tumour and of a tumour (n, 2), from those of the surest pixel (n,)."""
        tumour = outcomes.double()
        return torch.stack([1 - tumour, tumour], 1)

    def predict_outcomes(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probabilities (n, 2) of slices and (n, [R,] H, W) of pixels from logits, as in a test."""
        maps = self.maps(outputs)
        return self.probabilities(region_maps.surest(maps, self.regions)), maps.float()

    def score(self, data: SliceDataModule) -> tuple[dict[str, Any], pd.DataFrame]:
        """Score the masks at the files' sizes, and the slices as a detector would be scored.

        Masks are cleaned as `components` says; some scores are also given for the largest component alone. A slice's
        probability is that of its surest pixel.
        """
        rows = self.predictions[0]
        tested, areas = data.table.iloc[rows.numpy()], mask_scores.thirds(data)
        results = pd.DataFrame([self._tested[row] for row in rows.tolist()]).assign(case=mask_scores.units(tested))
        results = mask_scores.clean(data, tested, results, self.components)
        texts = [name for name in results if str(name).startswith("run_lengths")]
        slices, lengths = results.drop(columns=texts), results[texts]
        largest = segmentation.score(mask_scores.clean(data, tested, results, 1.0), areas)
        detection, columns = self._score_slices(data, tested, slices, areas)
        scores = {
            **segmentation.score(slices, areas),
            **mask_scores.by_region(data, tested, slices),
            **mask_scores.by_lesion(data, tested, results),
            **{f"largest_{name}": value for name, value in largest.items() if name in _CLEANED},
            **{name: value for name, value in detection.items() if name not in {"loss", "confusion_matrix"}},
            "resampled": "patient" if all(tested["case"]) else "slice",
            "slices": len(tested),
        }
        compared = slices.drop(columns="case").join(lengths).set_index(columns.index)
        return scores, columns.join(compared)

    def _score_slices(
        self, data: SliceDataModule, tested: pd.DataFrame, slices: pd.DataFrame, areas: tuple[float, float]
    ) -> tuple[dict[str, Any], pd.DataFrame]:
        """Score the slices' probabilities, or the masks per class if the data's classes are types of tumours.

        Returns:
            The scores, and the table for predictions.csv.
        """
        probabilities = self.probabilities(self.predictions[1])
        if data.classes == TUMOUR_CLASSES:
            return classification.score_probabilities(tested, data.classes, probabilities, data.positive)
        scores = mask_scores.by_class(slices, tested, data.classes, areas)
        return scores, classification.predictions(tested, probabilities.numpy(), TUMOUR_CLASSES)

    def baselines(self, data: SliceDataModule) -> dict[str, Any]:
        """Score image-free baselines in the same way: empty masks, the mean at the same height, and copies."""
        tested, areas = data.table.iloc[data.rows["test"]], mask_scores.thirds(data)
        baselines = mask_scores.image_free(data, tested)
        compared = {name: mask_scores.compare_all(data, tested, mask_of) for name, mask_of in baselines.items()}
        return {name: segmentation.score(table, areas) for name, table in compared.items()}

    def pictures(self, data: SliceDataModule, predictions: pd.DataFrame) -> Iterator[TitledFigure]:
        """Draw truth and prediction on the largest slice of patients from the best to the worst Dice."""
        chosen = mask_scores.examples(data, predictions, _DRAWN)
        if not len(chosen):
            return
        images, truths = data.decoded.originals(chosen.index.to_numpy())
        predicted = [
            run_lengths.from_kaggle(text, *truth.shape)
            for text, truth in zip(chosen["run_lengths"], truths, strict=True)
        ]
        yield TitledFigure("overlays", plots.overlays(chosen, images, truths, predicted), "overlays.png")

    @property
    def hyperparameters(self) -> dict[str, bool | int | float | str]:
        """The settings of the segmenter that the record and the dashboard show."""
        settings = {name: self.hparams[name] for name in ("strategy", "decoder", "loss", "mirror", "components")}
        return {**super().hyperparameters, "backbone": self.hparams["encoder"], **settings}

    def compile_network(self, mode: str | None) -> None:
        """Compile encoder and decoder."""
        self.network.compile(mode=mode)


def require_share(value: object, key: str) -> None:
    """Refuse what is no share of the largest component.

    Raises:
        ValueError: it is not; the message names the key.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(f"{key}={value}: a share of the largest component lies between 0 and 1")
