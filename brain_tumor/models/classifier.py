"""Classify slices: a backbone, frozen or fine-tuned, and the paper's head."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_accuracy

from brain_tumor.data.batches import Batch
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.metrics import binary, classification, patients, plots, shape
from brain_tumor.models import backbone as backbones
from brain_tumor.models.optimizers import OptimizerFactory
from brain_tumor.models.task import Task, TitledFigure

STRATEGIES = ("finetune", "freeze", "partial")


class Classifier(Task):
    """Classify images (B, C K, H, W), of K slices with C channels, into logits (B, num_classes).

    The head is the paper's Linear-ReLU-Dropout-Linear-Dropout-Linear (section VI). The paper does not give its sizes;
    they are those of the authors' published code.

    Args:
        backbone: the name of a ResNet of torchvision's or of a network of timm's (see
            `brain_tumor.models.backbone.build`), or "cnn" for a plain network of two convolutions.
        strategy: "finetune" trains everything (the paper's strategy 2), "freeze" the head alone (strategy 1): the
            backbone gets no gradient, its batch norms keep their statistics, and the optimizer never sees it. "partial"
            trains the last blocks and the head, and treats the blocks before as "freeze" does.
        trained: with "partial", the last blocks, such as "layer4" or ["layer3", "layer4"], for timm's "stages.3".
        weights: see `brain_tumor.models.weights.find`.
        num_classes: number of logits.
        hidden: widths of the head's two hidden layers.
        dropout: probability of both dropout layers.
        neighbours: how many slices on each side the images hold besides a slice.
        channels: of a slice.
        image_size: side of the images, in pixels; some of timm's networks are built for one size.
        mirror: average over a slice and its mirror image, in tests and predictions.
        optimizer: as the following three, an argument of `Task`.
        monitored: the part that the validation loop runs on.
        seed: of dropout and augmentation.
        schedule: of the learning rate.

    Raises:
        ValueError: a value is out of range, or the weights do not fit.
    """

    kind = "classification"
    measure = "accuracy"
    predicts = True

    def __init__(
        self,
        *,
        backbone: str,
        num_classes: int,
        strategy: str = "finetune",
        trained: str | Sequence[str] | None = None,
        weights: str = "auto",
        hidden: Sequence[int] = (512, 256),
        dropout: float = 0.3,
        neighbours: int = 0,
        channels: int = 3,
        image_size: int = 224,
        mirror: bool = False,
        optimizer: OptimizerFactory | None = None,
        monitored: str = "val",
        seed: int = 0,
        schedule: str = "constant",
    ) -> None:
        super().__init__(optimizer=optimizer, monitored=monitored, seed=seed, schedule=schedule)
        if strategy not in STRATEGIES:
            raise ValueError(f"model.strategy={strategy}: choose one of {', '.join(STRATEGIES)}")
        if strategy != "finetune" and backbone == backbones.PLAIN:
            raise ValueError(f"model.strategy={strategy}: {backbone} starts at random, so nothing is worth freezing")
        if not 0 <= dropout < 1:
            raise ValueError(f"model.dropout={dropout}: must be at least 0 and below 1")
        if len(hidden) != 2 or min(hidden) < 1:
            raise ValueError(f"model.hidden={list(hidden)}: give two positive widths")
        self.save_hyperparameters(ignore=["optimizer"])
        self.backbone, width, self.weights = backbones.build(backbone, weights, neighbours, channels, image_size)
        self.head = nn.Sequential(
            nn.Linear(width, hidden[0]),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden[0], hidden[1]),
            nn.Dropout(dropout),
            nn.Linear(hidden[1], num_classes),
        )
        # A tuple, so that their tensors are not registered a second time.
        self._parts = _divide(self.backbone, strategy, trained, self.example())
        if self.frozen_part is not None:
            self.frozen_part.requires_grad_(False)
        self.num_classes, self.mirror = num_classes, mirror
        self.train()  # a module starts in training mode, but a frozen backbone must not

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, num_classes) for float images (B, C, H, W)."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def example(self) -> Tensor:
        """Return an image of the shape that the network takes, float32 (1, C K, H, W), to try the backbone on."""
        settings = self.hparams
        shape = (settings["channels"] * (2 * settings["neighbours"] + 1), *[settings["image_size"]] * 2)
        values = torch.linspace(-1, 1, math.prod(shape), device=next(self.backbone.parameters()).device)
        return values.view(1, *shape)

    def features(self, images: Tensor) -> Tensor:
        """Return the backbone's output (B, D) for float images (B, C, H, W)."""
        frozen, trained = self._parts
        if frozen is not None:
            with torch.no_grad():
                images = frozen(images)
        features: Tensor = trained(images)
        return features

    def train(self, mode: bool = True) -> "Classifier":
        """Switch to training mode, except for the frozen part, whose batch norms keep their statistics."""
        super().train(mode)
        self._parts[1].train(mode)  # a part of the backbone's layers, but a module of its own
        if self.frozen_part is not None:
            self.frozen_part.eval()
        return self

    @property
    def frozen_part(self) -> nn.Module | None:
        """The backbone or its first blocks; None with "finetune"."""
        return self._parts[0]

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the batch's mean cross-entropy and its logits (B, num_classes)."""
        logits = self.head(self._parts[1](batch.inputs)) if batch.cached else self(batch.inputs)
        # Cross-entropy is computed in float32, whatever the precision of the layers before it.
        logits = logits.float()
        return F.cross_entropy(logits, batch.labels), logits

    def test_step(self, batch: Batch) -> None:
        """Store the logits of a batch of the test part."""
        if self.mirror and not batch.cached:
            self._outputs.add("test", batch, self.infer(batch.inputs).float())
        else:
            super().test_step(batch)

    def curves(self, outcomes: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return mean cross-entropy and accuracy of logits (n, num_classes)."""
        accuracy = multiclass_accuracy(outcomes, labels, self.num_classes, average="micro", validate_args=False)
        return {"loss": F.cross_entropy(outcomes, labels), "accuracy": accuracy}

    def probabilities(self, outcomes: Tensor) -> Tensor:
        """Return the softmax of logits (n, C)."""
        # In double precision, a slice's probabilities add up to 1 to the last digit that is written.
        return torch.softmax(outcomes.double(), dim=1)

    def predict_outcomes(self, outputs: Tensor) -> tuple[Tensor, None]:
        """Return the probabilities of logits (n, C)."""
        return self.probabilities(outputs), None

    def score(self, data: SliceDataModule) -> tuple[dict[str, Any], pd.DataFrame]:
        """Score the test slices' probabilities."""
        rows, logits = self.predictions
        tested = data.table.iloc[rows.numpy()]
        return classification.score_probabilities(tested, data.classes, self.probabilities(logits), data.positive)

    def baselines(self, data: SliceDataModule) -> dict[str, Any]:
        """Score image-free baselines: they use the classes, positions, neighbours or the tumour's outline alone."""
        scores = classification.score_baselines(data.table, data.classes, data.positive)
        train, test = (data.table.iloc[data.rows[part]] for part in ("train", "test"))
        if data.decoded.masks is not None and patients.one_label_each(pd.concat([train, test])):
            shapes = shape.predict(train, test, len(data.classes), data.decoded.original_mask)
            for name, values in shapes.items():
                scores[name] = classification.score_baseline(
                    test, data.classes, torch.from_numpy(values), data.positive
                )
        return scores

    def pictures(self, data: SliceDataModule, predictions: pd.DataFrame) -> Iterator[TitledFigure]:
        """Draw the confusion matrix, and the slices that the classifier is most confidently wrong about."""
        probabilities = torch.tensor(classification.probabilities_of(predictions).to_numpy())
        labels = torch.tensor(predictions["label"].to_numpy())
        counts = binary.confusion_matrix(probabilities, labels)
        yield TitledFigure("confusion matrix", plots.confusion(counts, data.classes))
        wrong = plots.wrong(predictions)
        if len(wrong):
            figure = plots.slices(wrong, *data.decoded.pixels(wrong.index.to_numpy()), data.classes)
            yield TitledFigure("confidently wrong", figure, "wrong.png")

    @property
    def hyperparameters(self) -> dict[str, bool | int | float | str]:
        """The settings of the classifier that the record and the dashboard show."""
        settings = {name: self.hparams[name] for name in ("backbone", "strategy", "dropout", "mirror")}
        if self.hparams["strategy"] == "partial":
            settings["trained"] = ", ".join(_names(self.hparams["trained"]))
        return {**super().hyperparameters, **settings, "hidden": ", ".join(map(str, self.hparams["hidden"]))}

    def compile_network(self, mode: str | None) -> None:
        """Compile the trained part of the backbone."""
        self._parts[1].compile(mode=mode)


def _divide(
    backbone: nn.Module, strategy: str, trained: str | Sequence[str] | None, images: Tensor
) -> tuple[nn.Module | None, nn.Module]:
    """Return the frozen part of a backbone, None for none, and the trained part."""
    if (trained is not None) != (strategy == "partial"):
        raise ValueError(
            f"model.trained={trained}: goes with model.strategy=partial, such as layer4 or [layer3,layer4]"
        )
    if strategy == "partial":
        return backbones.divide(backbone, _names(trained), images)
    return (None, backbone) if strategy == "finetune" else (backbone, nn.Identity())


def _names(trained: str | Sequence[str] | None) -> list[str]:
    return [trained] if isinstance(trained, str) else list(trained or [])
