"""Score a finished run again, on its test part or on other data.

python -m brain_tumor.evaluate run=outputs/NAME
python -m brain_tumor.evaluate run=outputs/NAME data=folder data.root=/data/mri 'classes=[healthy,cancer]'
python -m brain_tumor.evaluate run=outputs/CLASSIFIER explain=gradcam
python -m brain_tumor.evaluate run=outputs/SEGMENTER detector=outputs/CLASSIFIER masks=true
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from brain_tumor.config import cli, typed


@hydra.main(config_path=typed.CONF, config_name="evaluate", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Print the scores and write them into the run's folder, under `evaluations/`."""
    config = typed.plain(cfg, "evaluate")
    from brain_tumor.evaluation import evaluation, explanation  # late: they import torch
    from brain_tumor.inference import trained
    from brain_tumor.io import run_lengths, tables, walk
    from brain_tumor.runs import run_folder, summary

    run = trained.open_run(Path(config["run"]), config["trusted"])
    record, predictions, data, explained = evaluation.evaluate(run, config)
    for warning in record["warnings"]:
        print(f"WARNING: {warning}", file=sys.stderr)
    folder = walk.make_results_folder(run_folder.make_numbered(run.folder / "evaluations"))
    tables.write_csv(folder / "predictions.csv", predictions)
    if explained:
        explanation.write(folder, explained)
    if config["masks"]:
        run_lengths.write(walk.make_results_folder(folder / "masks"), predictions, data.table.loc[predictions.index])
    tables.write_json(folder / "results.json", record)
    if "stages" in record:
        print(f"{summary.two_stage(record['stages'])}\n")
    if "explanation" in record:
        print(f"{summary.explanation(record['explanation'])}\n")
    print(f"{summary.scores(record['test'])}\n\nevaluation: {folder}")


if __name__ == "__main__":
    cli.enter(main)
