"""Score a finished run again, or on other data.

python -m brain_tumor.evaluate run=outputs/NAME
python -m brain_tumor.evaluate run=outputs/NAME data=folder data.root=/data/mri 'classes=[healthy,cancer]'
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import hydra
from omegaconf import DictConfig

from brain_tumor import cli

if TYPE_CHECKING:
    import pandas as pd

    from brain_tumor.data.datamodule import SliceDataModule
    from brain_tumor.trained import Trained

KEYS = {"run", "data", "classes", "checkpoint", "trusted", "allow_overlap", "cache_dir"}


@hydra.main(config_path=cli.CONF, config_name="evaluate", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Print the scores and write them into the run's folder, under `evaluations/`."""
    from brain_tumor import trained
    from brain_tumor.results import record, run_folder, summary

    config = cli.plain(cfg, KEYS)
    run = trained.open_run(Path(config["run"]), config["trusted"])
    found, predictions = evaluate(run, config)
    folder = run_folder.numbered(run.folder / "evaluations")
    record.write_csv(folder / "predictions.csv", predictions)
    record.write_json(folder / "results.json", found)
    print(f"{summary.scores(found['test'])}\n\nevaluation: {folder}")


def evaluate(run: "Trained", config: dict[str, Any]) -> "tuple[dict[str, Any], pd.DataFrame]":
    """Test the weights that the run scored, by default on its own test part.

    Raises:
        ValueError: the data has changed since, other data has other classes or patients that the run was trained on,
            or the checkpoint is another model's.
    """
    import lightning as L

    from brain_tumor.models import precision
    from brain_tumor.results import overlap

    cli.quieten_lightning()
    other = "_target_" in config["data"]
    data = _other_data(run, config) if other else _own_data(run, config)
    named = config["classes"] or run.classes
    if sorted(named) != sorted(data.classes):
        raise ValueError(
            f"data: has the classes {', '.join(data.classes)}; the run tells {', '.join(run.classes)} apart. "
            "Say which is which by classes=[...], the data's names in the run's order"
        )
    data.reorder(named)
    seen = overlap.refuse(run.folder, data.table, config["allow_overlap"]) if other else []
    model = run.model(Path(config["checkpoint"]) if config["checkpoint"] else None)
    if model.uses_masks:
        data.serve_masks()
    versions = run.record["versions"]
    precision.use(versions["arithmetic"])
    trainer = L.Trainer(
        accelerator="cpu" if versions["device"] == "cpu" else "auto",
        devices=1,
        precision=cast("Any", versions["arithmetic"]),
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=run.record["config"]["trainer"].get("enable_progress_bar", True),
    )
    trainer.test(model, data, verbose=False)
    described = data.describe()
    data.classes = run.classes  # what the predictions' columns are called
    scores, predictions = model.score(data)
    found = {
        "run": str(run.folder),
        "checkpoint": str(config["checkpoint"] or run.checkpoint),
        "data": described,
        "overlap": seen,
        "test": scores,
    }
    return found, predictions


def _own_data(run: "Trained", config: dict[str, Any]) -> "SliceDataModule":
    """Open the data that the run was tested on."""
    if config["classes"] or config["data"]["size"]:
        raise ValueError("classes and data.size are for other data: name it by data=... as well")
    data = run.data(cache_dir=config["cache_dir"])
    data.prepare_data()
    data.setup()
    if data.key != run.record["data"]["key"]:
        raise ValueError(
            f"{run.folder}: its data has changed since (content {run.record['data']['key']}, now {data.key})"
        )
    return data


def _other_data(run: "Trained", config: dict[str, Any]) -> "SliceDataModule":
    """Open other data, which is scored whole, at the size that the run was trained on."""
    settings = {**config["data"], "split": "none", "size": config["data"]["size"] or run.size}
    data: SliceDataModule = cli.make({"data": settings}, "data", transforms=run.transforms())
    data.prepare_data()
    data.setup()
    return data


if __name__ == "__main__":
    cli.enter(main)
