"""Score a finished run again: on its own test part or on other data, explained, or behind a detector."""

from pathlib import Path
from typing import Any, NamedTuple, cast

import lightning as L
import pandas as pd

from brain_tumor.config import quiet
from brain_tumor.data import description
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.evaluation import explanation, two_stage_scores
from brain_tumor.evaluation.explanation import Explanation
from brain_tumor.evaluation.scored_data import doubts, open_data
from brain_tumor.inference import trained, two_stage
from brain_tumor.inference.trained import Trained
from brain_tumor.metrics import calibration, classification, gating
from brain_tumor.models import named, precision
from brain_tumor.models.segmenter import require_share
from brain_tumor.models.task import Task
from brain_tumor.runs import summary


class Evaluation(NamedTuple):
    """The result of an evaluation.

    Attributes:
        record: for results.json.
        predictions: one row per tested slice.
        data: that was tested on.
        explained: heat maps of the classifier; None if not requested.
    """

    record: dict[str, Any]
    predictions: pd.DataFrame
    data: SliceDataModule
    explained: Explanation | None


def evaluate(run: Trained, config: dict[str, Any]) -> Evaluation:
    """Test the weights that the run scored, by default on its own test part.

    Raises:
        ValueError: the data has changed since, other data has other classes or patients that the run was trained on,
            the checkpoint is another model's, or the run cannot do what `config` requests.
    """
    quiet.quieten_lightning()
    detector = _open_detector(config) if config["detector"] else None
    _refuse_misfit(run, detector, config)
    data, leaked = open_data(run, run, config)
    model = run.model(Path(config["checkpoint"]) if config["checkpoint"] else None)
    for name in ("mirror", "components"):
        if config[name] is not None:
            setattr(model, name, config[name])
    if config["explain"]:
        explanation.refuse_misfit(config["explain"], model, data, run.positive)
    if model.uses_masks:
        data.serve_masks()
    _test(run, model, data)
    described, warnings = description.describe(data), doubts(run, data)
    data.classes = run.record["data"]["classes"]  # the names of the predictions' columns
    data.positive = run.record["data"]["positive"]
    scores, predictions = model.score(data)
    scores["without_numbers"] = model.without_numbers
    record = {
        "run": str(run.folder),
        "checkpoint": str(config["checkpoint"] or run.checkpoint),
        "settings": _settings(config),
        "data": described,
        "overlap": leaked,
        "warnings": [*warnings, *filter(None, [summary.without_numbers(scores)])],
        "test": scores,
    }
    if detector:
        record["stages"], predictions = _score_behind(detector, run, config, data, predictions)
    explained = None
    if config["explain"]:
        explained = explanation.explain(config["explain"], model, data, predictions)
        record["explanation"] = explained.record
    return Evaluation(record, predictions, data, explained)


def _open_detector(config: dict[str, Any]) -> Trained:
    """Open the detector.

    Raises:
        ValueError: it is a file or a model's name, which do not say whom it was trained on, or no finished run.
    """
    if str(config["detector"]) in named.models() or Path(config["detector"]).is_file():
        raise ValueError(
            f"detector={config['detector']}: give a run's folder, which lists the patients that it was trained on; "
            "they must not be scored, and a file does not name them"
        )
    return trained.open_run(Path(config["detector"]), config["trusted"])


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return how the evaluation differs from the run's own test."""
    return {name: config[name] for name in ("skull", "mirror", "components") if config[name] is not None}


def _refuse_misfit(run: Trained, detector: Trained | None, config: dict[str, Any]) -> None:
    """Refuse settings that do not fit the run, before anything is computed."""
    two_stage.refuse_keep_from(config["keep_from"], run, detector)
    if detector:
        two_stage.refuse_misfit(run, detector)
        two_stage.threshold(config["threshold"], detector)
    elif config["threshold"] is not None:
        raise ValueError(f"threshold={config['threshold']}: is the detector's; give detector=... as well")
    if config["components"] is not None:
        if run.task != "segmentation":
            raise ValueError(f"components={config['components']}: {run.folder} is a {run.task}, which has no masks")
        require_share(config["components"], "components")
    if config["mirror"] not in (None, True, False):
        raise ValueError(f"mirror={config['mirror']}: choose one of true, false, null")
    if config["masks"] and run.task != "segmentation":
        raise ValueError(f"masks=true: {run.folder} is a {run.task}, which has no masks to write")


def _score_behind(
    detector: Trained, run: Trained, config: dict[str, Any], data: SliceDataModule, predictions: pd.DataFrame
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Score a segmenter's masks behind a detector; return the scores, and the predictions with the detector's."""
    threshold, origin = two_stage.threshold(config["threshold"], detector)
    detector_data, leaked = open_data(run, detector, config)
    chances = two_stage_scores.probabilities(detector, detector_data, predictions.index.to_numpy())
    segmented = calibration.soften(
        classification.probabilities_of(predictions).to_numpy(dtype=float), run.temperatures[run.name]
    )[:, 1]
    emptied = gating.emptied(chances, segmented, threshold, config["keep_from"])
    scores = {
        "detector": str(detector.folder),
        "overlap": leaked,
        "threshold": threshold,
        "threshold_from": origin,
        "keep_from": config["keep_from"],
        **two_stage_scores.score(predictions, data, emptied),
    }
    return scores, predictions.assign(**{f"detector p({detector.positive})": chances})


def _test(run: Trained, model: Task, data: SliceDataModule) -> None:
    precision.use(run.precision)
    trainer = L.Trainer(
        accelerator="cpu" if run.record["versions"]["device"] == "cpu" else "auto",
        devices=1,
        precision=cast("Any", run.precision),
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=run.record["config"]["trainer"].get("enable_progress_bar", True),
    )
    trainer.test(model, data, verbose=False)
