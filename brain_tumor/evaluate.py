"""Score a finished run again, or on other data.

python -m brain_tumor.evaluate run=outputs/NAME
python -m brain_tumor.evaluate run=outputs/NAME data=folder data.root=/data/mri 'classes=[healthy,cancer]'
python -m brain_tumor.evaluate run=outputs/CLASSIFIER explain=gradcam
python -m brain_tumor.evaluate run=outputs/SEGMENTER detector=outputs/CLASSIFIER masks=true
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import hydra
from omegaconf import DictConfig

from brain_tumor.config import cli, quiet, typed
from brain_tumor.io import walk

if TYPE_CHECKING:
    import pandas as pd

    from brain_tumor.data.datamodule import SliceDataModule
    from brain_tumor.data.transforms import Transforms
    from brain_tumor.evaluation.explanation import Explanation
    from brain_tumor.inference.trained import Trained
    from brain_tumor.models.task import Task


class Evaluation(NamedTuple):
    """What an evaluation found.

    Attributes:
        found: the record.
        predictions: one row a tested slice.
        data: what was tested on.
        explained: where the classifier looks; None where that was not asked for.
    """

    found: dict[str, Any]
    predictions: "pd.DataFrame"
    data: "SliceDataModule"
    explained: "Explanation | None"


@hydra.main(config_path=typed.CONF, config_name="evaluate", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Print the scores and write them into the run's folder, under `evaluations/`."""
    from brain_tumor.evaluation import explanation
    from brain_tumor.inference import trained
    from brain_tumor.io import run_lengths, tables
    from brain_tumor.runs import run_folder, summary

    config = typed.plain(cfg, "evaluate")
    run = trained.open_run(Path(config["run"]), config["trusted"])
    found, predictions, data, explained = evaluate(run, config)
    for doubt in found["warnings"]:
        print(f"WARNING: {doubt}", file=sys.stderr)
    folder = walk.make_own(run_folder.numbered(run.folder / "evaluations"))
    tables.write_csv(folder / "predictions.csv", predictions)
    if explained:
        explanation.write(folder, explained)
    if config["masks"]:
        run_lengths.write(walk.make_own(folder / "masks"), predictions, data.table.loc[predictions.index])
    tables.write_json(folder / "results.json", found)
    if "stages" in found:
        print(f"{summary.stages(found['stages'])}\n")
    if "explanation" in found:
        print(f"{summary.explanation(found['explanation'])}\n")
    print(f"{summary.scores(found['test'])}\n\nevaluation: {folder}")


def evaluate(run: "Trained", config: dict[str, Any]) -> Evaluation:
    """Test the weights that the run scored, by default on its own test part.

    Raises:
        ValueError: the data has changed since, other data has other classes or patients that the run was trained on,
            the checkpoint is another model's, or the run cannot do what is asked for.
    """
    from brain_tumor.data import description
    from brain_tumor.evaluation import explanation
    from brain_tumor.inference import trained, two_stage
    from brain_tumor.models import precision
    from brain_tumor.runs import summary

    quiet.quieten_lightning()
    detector = trained.open_run(Path(config["detector"]), config["trusted"]) if config["detector"] else None
    if detector:
        two_stage.refuse_misfit(run, detector)
        limit, origin = two_stage.threshold(config["threshold"], detector)
    elif config["threshold"] is not None:
        raise ValueError(f"threshold={config['threshold']}: is the detector's; give detector=... as well")
    if config["masks"] and run.record["task"] != "segmentation":
        raise ValueError(f"masks=true: {run.folder} is a {run.record['task']}, which has no masks to write")
    data, seen = _open(run, run, config)
    model = run.model(Path(config["checkpoint"]) if config["checkpoint"] else None)
    if config["explain"]:
        explanation.refuse_misfit(config["explain"], model, data, run.positive)
    if model.uses_masks:
        data.serve_masks()
    precision.use(run.record["versions"]["arithmetic"])
    _test(run, model, data)
    described, doubts = description.describe(data), _doubts(run, data)
    data.classes = run.record["data"]["classes"]  # what the predictions' columns are called
    data.positive = run.record["data"]["positive"]
    scores, predictions = model.score(data)
    scores["without_numbers"] = model.without_numbers
    doubts += filter(None, [summary.without_numbers(scores)])
    found = {
        "run": str(run.folder),
        "checkpoint": str(config["checkpoint"] or run.checkpoint),
        "data": described,
        "overlap": seen,
        "warnings": doubts,
        "test": scores,
    }
    if detector:
        own, seen = _open(run, detector, config)
        chance = two_stage.probabilities(detector, own, predictions.index.to_numpy())
        gated = two_stage.score(predictions, data, chance, limit)
        found["stages"] = {
            "detector": str(detector.folder), "overlap": seen, "threshold": limit, "threshold_from": origin, **gated
        }  # fmt: skip
        predictions = predictions.assign(**{f"detector p({detector.positive})": chance})
    explained = None
    if config["explain"]:
        explained = explanation.explain(config["explain"], model, data, predictions)
        found["explanation"] = explained.found
    return Evaluation(found, predictions, data, explained)


def _open(run: "Trained", scored: "Trained", config: dict[str, Any]) -> "tuple[SliceDataModule, list[str]]":
    """Open the data that is scored as a run sees it, and name the patients in it that this run was trained on.

    Args:
        run: whose test part it is, unless `config` names other data.
        scored: whose size and transforms the data gets, and who must not have been trained on it.
        config: the command's.
    """
    from brain_tumor.runs import leakage

    other = "_target_" in config["data"]
    size = config["data"]["size"] if scored is run else None
    given = config, size or scored.size, scored.transforms()
    data = _other_data(*given) if other else _own_data(run, *given)
    tested = data.table.iloc[data.rows["test"]]
    if scored is not run:  # whose answers are its own classes', whatever the data's are called
        return data, leakage.refuse(scored.folder, tested, config["allow_overlap"])
    known = run.record["data"]["classes"]
    named = [str(name) for name in config["classes"] or known]
    if sorted(named) != sorted(data.classes):
        raise ValueError(
            f"data: has the classes {', '.join(data.classes)}; the run tells {', '.join(known)} apart. "
            "Say which is which by classes=[...], the data's names in the run's order"
        )
    data.reorder(named)
    return data, leakage.refuse(run.folder, tested, config["allow_overlap"]) if other else []


def _doubts(run: "Trained", data: "SliceDataModule") -> list[str]:
    """Say what speaks against these scores: data that shows something else, or whose classes are taken the wrong way.

    Args:
        run: whose scores they are.
        data: other data than its own, its classes in the order of the run's.
    """
    found = []
    known, wanted = run.record["data"]["classes"], run.record["data"]["positive"]
    taken = None if data.positive is None else known[data.classes.index(data.positive)]
    if None not in (taken, wanted) and taken != wanted:
        found.append(f"classes=[{','.join(data.classes)}]: {data.positive} means a tumour, and is taken for {taken}")
    elif swapped := [own for own, its in zip(data.classes, known, strict=True) if own != its and own in known]:
        its = known[data.classes.index(swapped[0])]
        found.append(f"classes=[{','.join(data.classes)}]: {swapped[0]} is a class of the run, and is taken for {its}")
    shown = data.dataset.sequences
    if shown and run.sequences and shown != run.sequences:
        found.append(f"the data shows {', '.join(shown)}, and the run was trained on {', '.join(run.sequences)}")
    return found


def _test(run: "Trained", model: "Task", data: "SliceDataModule") -> None:
    import lightning as L

    versions = run.record["versions"]
    trainer = L.Trainer(
        accelerator="cpu" if versions["device"] == "cpu" else "auto",
        devices=1,
        precision=cast("Any", versions["arithmetic"]),
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=run.record["config"]["trainer"].get("enable_progress_bar", True),
    )
    trainer.test(model, data, verbose=False)


def _own_data(run: "Trained", config: dict[str, Any], size: int, transforms: "Transforms") -> "SliceDataModule":
    """Open the data that the run was tested on."""
    if config["classes"] or config["data"]["size"]:
        raise ValueError("classes and data.size are for other data: name it by data=... as well")
    data = run.data(cache_dir=config["cache_dir"], size=size, transforms=transforms)
    data.prepare_data()
    data.setup()
    if not data.is_content(run.record["data"]["key"], run.size):
        raise ValueError(
            f"{run.folder}: its data has changed since (content {run.record['data']['key']}, now {data.key})"
        )
    return data


def _other_data(config: dict[str, Any], size: int, transforms: "Transforms") -> "SliceDataModule":
    """Open other data, which is scored whole."""
    from brain_tumor.data import opening

    settings = {**config["data"], "split": "none", "size": size}
    data = opening.open_data({"data": settings}, transforms)
    data.prepare_data()
    data.setup()
    return data


if __name__ == "__main__":
    cli.enter(main)
