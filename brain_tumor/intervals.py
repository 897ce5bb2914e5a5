"""Make the table of intervals that `predict intervals=FILE` gives to volumes and diameters, from finished folds.

python -m brain_tumor.intervals 'runs=outputs/*resunet18*fold*of5*' to=intervals.json
python -m brain_tumor.intervals 'runs=outputs/*resunet18*fold*of5*' root=/data/lgg level=0.8
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from brain_tumor.config import cli, typed


@hydra.main(config_path=typed.CONF, config_name="intervals", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Print how far the runs were off on their held-out patients, how often intervals cover, and write the table."""
    config = typed.plain(cfg, "intervals")
    from brain_tumor.evaluation import held_out  # late: it imports torch
    from brain_tumor.inference import opening, trained
    from brain_tumor.io import tables

    level = config["level"]
    if type(level) not in (int, float) or not 0 < level < 1:
        raise ValueError(f"level={level}: a probability lies between 0 and 1, such as 0.9")
    folders = opening.paths(config["runs"])
    if not folders:
        raise ValueError(f"runs={config['runs']}: no run is named")
    runs = [trained.open_run(folder, config["trusted"]) for folder in folders]
    held_out.refuse_unlike(runs)
    data = None
    if config["diameters"]:
        try:
            data = held_out.open_masks(runs[0], config["root"], config["cache_dir"])
        except ValueError as error:
            raise ValueError(f"{error}; diameters need the true masks: give root=FOLDER, or diameters=false") from error
    table = held_out.table_of(runs, held_out.measure(runs, data), level)
    print("\n".join(held_out.lines(table)))
    tables.write_json(Path(config["to"]), table)
    print(f"intervals: {config['to']}")


if __name__ == "__main__":
    cli.enter(main)
