"""Segment tumours: a decoder on the feature maps of a ResNet."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from brain_tumor.data.batches import Batch
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.targets import TUMOUR_CLASSES
from brain_tumor.io import run_lengths
from brain_tumor.metrics import classification, plots, segmentation
from brain_tumor.models import backbone as backbones
from brain_tumor.models import decoders, mask_scores
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
    """Segment the tumour in images (B, 3 K, H, W) of K slices: logits (B, H, W), above 0 for tumour.

    Args:
        encoder: a ResNet's name (see `brain_tumor.models.backbone.names`).
        num_classes: of the data; unused, since the network always segments the tumour alone.
        decoder: "unet" (Ronneberger 2015), "unetplusplus" (Zhou 2018), "fpn" (Kirillov 2017) or "deeplabv3plus"
            (Chen 2018).
        strategy: "finetune" trains everything, "freeze" trains the decoder alone.
        weights: of the encoder (see `brain_tumor.models.weights.find`).
        loss: "dice" (1 - the soft Dice of the whole batch), "ce" (the pixels' mean binary cross-entropy), or
            "dice_ce", their sum.
        neighbours: how many slices on each side the images hold besides a slice.
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
        mirror: bool = False,
        components: float = 0.0,
        optimizer: OptimizerFactory | None = None,
        monitored: str = "val",
        seed: int = 0,
        schedule: str = "constant",
    ) -> None:
        super().__init__(optimizer=optimizer, monitored=monitored, seed=seed, schedule=schedule)
        for name, value, known in (
            ("encoder", encoder, backbones.names()),
            ("decoder", decoder, decoders.NAMES),
            ("strategy", strategy, STRATEGIES),
            ("loss", loss, LOSSES),
        ):
            if value not in known:
                raise ValueError(f"model.{name}={value}: choose one of {', '.join(known)}")
        require_share(components, "model.components")
        self.save_hyperparameters(ignore=["optimizer"])
        self.network = decoders.build(encoder, decoder)
        self.weights = backbones.load(self.network.encoder, encoder, weights)
        backbones.widen(self.network.encoder, neighbours)
        self.network.to(memory_format=torch.channels_last)
        self.frozen = strategy == "freeze"
        self.network.encoder.requires_grad_(not self.frozen)
        self.loss = loss
        self.mirror, self.components = mirror, components
        self._tested: dict[int, dict[str, Any]] = {}  # the last test's scores and mask of each slice, by its row
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, H, W) for float images (B, 3, H, W)."""
        logits: Tensor = self.network(images)[:, 0]
        return logits

    def train(self, mode: bool = True) -> "Segmenter":
        """Switch to training mode, except for a frozen encoder, whose batch norms keep their statistics."""
        super().train(mode)
        if self.frozen:
            self.network.encoder.eval()
        return self

    def mirrored(self, outputs: Tensor) -> Tensor:
        """Mirror logits (B, H, W)."""
        return outputs.flip(-1)

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss, and for each slice the loss and its true, false and missed pixels: float32 (B, 4)."""
        assert batch.masks is not None, "the data module serves masks to a task that uses them"
        logits, truth = self(batch.inputs).float(), batch.masks.float()
        loss = self._loss(logits, truth)
        predicted = (logits > 0).float()
        hit = (predicted * truth).sum((1, 2))
        counts = [hit, predicted.sum((1, 2)) - hit, truth.sum((1, 2)) - hit]
        return loss, torch.stack([loss.detach().expand(len(logits)), *counts], 1)

    def test_step(self, batch: Batch) -> None:
        """Score a batch at its files' sizes; store each slice's scores and run lengths, which are small, but no map."""
        maps = pixel_probabilities(self.infer(batch.inputs).float())
        self._outputs.add("test", batch, surest(maps))
        data: SliceDataModule = self.trainer.datamodule  # type: ignore[attr-defined]
        for row, values in zip(batch.rows.tolist(), maps.float().cpu().numpy(), strict=True):
            height, width = (int(data.table[name].iloc[row]) for name in ("height", "width"))
            mask = (unfit(values, height, width) >= 0.5).astype(np.uint8)
            self._tested[row] = {**mask_scores.compare(data, row, mask), "run_lengths": run_lengths.to_kaggle(mask)}

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

    def _loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        total = torch.zeros((), device=logits.device)
        if self.loss in {"ce", "dice_ce"}:
            total = total + F.binary_cross_entropy_with_logits(logits, truth)
        if self.loss in {"dice", "dice_ce"}:
            soft = torch.sigmoid(logits)
            # Over the batch, not per slice, so that slices without a tumour have a gradient; 1 prevents 0 / 0.
            total = total + 1 - (2 * (soft * truth).sum() + 1) / (soft.sum() + truth.sum() + 1)
        return total

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
        """Return the probabilities (n, 2) of slices and (n, H, W) of pixels from logits (n, H, W), as in a test."""
        maps = pixel_probabilities(outputs)
        return self.probabilities(surest(maps)), maps.float()

    def score(self, data: SliceDataModule) -> tuple[dict[str, Any], pd.DataFrame]:
        """Score the masks at the files' sizes, and the slices as a detector would be scored.

        Masks are cleaned as `components` says; some scores are also given for the largest component alone. A slice's
        probability is that of its surest pixel.
        """
        rows = self.predictions[0]
        tested, areas = data.table.iloc[rows.numpy()], mask_scores.thirds(data)
        results = pd.DataFrame([self._tested[row] for row in rows.tolist()]).assign(case=mask_scores.units(tested))
        results = mask_scores.clean(data, tested, results, self.components)
        slices, lengths = results.drop(columns="run_lengths"), results["run_lengths"].tolist()
        largest = segmentation.score(mask_scores.clean(data, tested, results, 1.0), areas)
        detection, columns = self._score_slices(data, tested, slices, areas)
        scores = {
            **segmentation.score(slices, areas),
            **mask_scores.by_lesion(data, tested, results),
            **{f"largest_{name}": value for name, value in largest.items() if name in _CLEANED},
            **{name: value for name, value in detection.items() if name not in {"loss", "confusion_matrix"}},
            "resampled": "patient" if all(tested["case"]) else "slice",
            "slices": len(tested),
        }
        compared = slices.drop(columns="case").set_index(columns.index)
        return scores, columns.join(compared).assign(run_lengths=lengths)

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


def pixel_probabilities(logits: Tensor) -> Tensor:
    """Return every pixel's probability of a tumour, float16 (n, H, W), from logits float32 (n, H, W)."""
    return torch.sigmoid(logits).half()


def surest(maps: Tensor) -> Tensor:
    """Return the slices' probabilities of a tumour (n,), each that of its surest pixel, from maps (n, H, W)."""
    return maps.amax((1, 2))
