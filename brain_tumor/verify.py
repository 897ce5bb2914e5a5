"""Read every file of a data set and say what is there and what is wrong.

python -m brain_tumor.verify data=folder data.root=/data/mri
python -m brain_tumor.verify data=lgg data.root=/data/lgg published=true
python -m brain_tumor.verify data=cheng data.root=/data/cheng published=true
"""

import sys
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

from brain_tumor.config import cli, typed

if TYPE_CHECKING:
    from brain_tumor.data.datamodule import SliceDataModule


@hydra.main(config_path=typed.CONF, config_name="verify", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Print what is there; exit with 1 where anything is unsound."""
    from brain_tumor.data import inspection
    from brain_tumor.data.transforms import Transforms
    from brain_tumor.datasets import cheng, lgg

    config = typed.plain(cfg, "verify")
    data: SliceDataModule = typed.make(config, "data", transforms=Transforms())
    listing = data.listing()
    if config["published"] and data.kind not in {"lgg", "cheng"}:
        raise ValueError("published=true: only data=lgg and data=cheng are known as they were published")
    found = inspection.inspect(listing, data.target, data.positive, data.min_patients)
    if config["published"]:
        found.problems += lgg.compare(listing.root) if data.kind == "lgg" else cheng.compare(listing)
    if data.kind == "cheng":
        found.problems += cheng.contradictions(listing)
        found.notes += cheng.together(listing)
    print(found.text())
    if found.problems:
        sys.exit(1)


if __name__ == "__main__":
    cli.enter(main)
