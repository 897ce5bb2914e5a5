"""Score a finished run again, or on other data.

python -m brain_tumor.evaluate run=outputs/NAME
python -m brain_tumor.evaluate run=outputs/NAME data=folder data.root=/data/mri 'classes=[healthy,cancer]'
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig

from brain_tumor import door

if TYPE_CHECKING:
    import pandas as pd

    from brain_tumor.data.datamodule import SliceDataModule
    from brain_tumor.models.classifier import Classifier

KEYS = {"run", "data", "classes", "checkpoint", "cache_dir"}


@hydra.main(config_path=door.CONF, config_name="evaluate", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Print the scores and write them into the run's folder, under `evaluations/`."""
    from brain_tumor.results import record, tables

    config = door.plain(cfg, KEYS)
    run = Path(config["run"])
    trained = record.read(run)
    found, predictions = evaluate(trained, run, config)
    folder = record.new_folder(run / "evaluations")
    record.write_csv(folder / "predictions.csv", predictions)
    record.write_json(folder / "results.json", found)
    print(f"{tables.scores(found['test'])}\n\nevaluation: {folder}")


def evaluate(trained: dict[str, Any], run: Path, config: dict[str, Any]) -> "tuple[dict[str, Any], pd.DataFrame]":
    """Test the weights that the run `trained` scored, by default on its own test part.

    Raises:
        ValueError: the data has changed since, other data has other classes, or the checkpoint is another model's.
    """
    import lightning as L

    from brain_tumor.models import checkpoint, precision
    from brain_tumor.results import scoring

    door.quieten_lightning()
    then = trained["config"]
    classes = trained["data"]["classes"]
    other = "_target_" in config["data"]
    if not other and (config["classes"] or config["data"]["size"]):
        raise ValueError("classes and data.size are for other data: name it by data=... as well")
    # Other data is scored whole: none of it was trained on.
    settings = {**config["data"], "split": "none"} if other else {**then["data"], "cache_dir": config["cache_dir"]}
    settings["size"] = config["data"]["size"] or then["data"]["size"]
    data: SliceDataModule = instantiate(settings, transforms=instantiate(then["transforms"]))
    data.prepare_data()
    data.setup()
    if not other and data.key != trained["data"]["key"]:
        raise ValueError(f"{run}: its data has changed since (content {trained['data']['key']}, now {data.key})")
    named = config["classes"] or classes
    if sorted(named) != sorted(data.classes):
        raise ValueError(
            f"data: has the classes {', '.join(data.classes)}; the run tells {', '.join(classes)} apart. "
            "Say which is which by classes=[...], the data's names in the run's order"
        )
    data.reorder(named)
    model: Classifier = instantiate(
        {**then["model"], "weights": "none"}, optimizer=instantiate(then["optimizer"]), num_classes=len(classes)
    )
    scored = "best" if then["data"]["val_fraction"] else "last"
    path = Path(config["checkpoint"] or run / "checkpoints" / f"{scored}.ckpt")
    checkpoint.load(model, path)
    precision.use(trained["versions"]["arithmetic"])
    trainer = L.Trainer(
        accelerator="cpu" if trained["versions"]["device"] == "cpu" else "auto",
        devices=1,
        precision=trained["versions"]["arithmetic"],
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=then["trainer"]["enable_progress_bar"],
    )
    trainer.test(model, data, verbose=False)
    scores, predictions = scoring.score_test(data.table, classes, *model.predictions)
    return {"run": str(run), "checkpoint": str(path), "data": data.describe(), "test": scores}, predictions


if __name__ == "__main__":
    door.enter(main)
