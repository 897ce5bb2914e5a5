"""What a finished training leaves in its folder: the record, the predictions, and pictures for TensorBoard."""

import statistics
from pathlib import Path
from typing import Any, cast

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.models.classifier import Classifier
from brain_tumor.results import plots, record, scoring, tables


def leave(
    folder: Path,
    config: dict[str, Any],
    data: SliceDataModule,
    model: Classifier,
    trainer: L.Trainer,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Score the test and write everything into the run's folder, the record last; return it."""
    scores, predictions = scoring.score_test(data.table, data.classes, *model.predictions)
    found = {
        "id": record.run_id(config),
        "config": config,
        "data": data.describe(),
        "split": data.describe_split(),
        "weights": model.weights.record(),
        "baselines": scoring.score_baselines(data.table, data.classes),
        "history": model.history,
        "test": {**scores, "epoch": _scored_epoch(model.history, data.monitored)},
        "timing": {
            **seconds,
            "epoch_seconds": model.epoch_seconds,
            "images_per_second": len(data.rows["train"]) / statistics.median(model.epoch_seconds),
            "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        },
        "versions": {**record.versions(trainer.strategy.root_device), "arithmetic": trainer.precision},
    }
    logger = cast("TensorBoardLogger", trainer.logger)
    logger.log_hyperparams(tables.hyperparameters(found), tables.final_metrics(found))
    logger.experiment.add_figure("confusion matrix", plots.confusion(scores["confusion_matrix"], data.classes))
    wrong = plots.wrong(predictions)
    if len(wrong):
        figure = plots.slices(wrong, *data.pixels(wrong.index.to_numpy()), data.classes)
        figure.savefig(folder / "wrong.png", dpi=110)
        logger.experiment.add_figure("confidently wrong", figure)
    logger.finalize("success")
    record.write_csv(folder / "split.csv", data.table[["path", "case", "slice", "label", "part"]])
    record.write_csv(folder / "predictions.csv", predictions)
    record.write_json(folder / "results.json", found)
    return found


def _scored_epoch(history: list[dict[str, Any]], monitored: str) -> int:
    """Return the epoch whose weights the test scored: the best on the validation part, or without one the last."""
    validated = [epoch for epoch in history if "val" in epoch]
    chosen = min(validated, key=lambda epoch: epoch["val"]["loss"]) if monitored == "val" else history[-1]
    return int(chosen["epoch"])
