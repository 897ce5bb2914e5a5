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
    from brain_tumor.datasets.base import DataSet, Listing


@hydra.main(config_path=typed.CONF, config_name="verify", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Print what is there; exit with 1 where anything is unsound."""
    from brain_tumor.data import inspection, opening
    from brain_tumor.data.transforms import Transforms

    config = typed.plain(cfg, "verify")
    data = opening.open_data(config, Transforms())
    listing = data.dataset.listing()
    differences = _differences(data.dataset, listing) if config["published"] else []
    remarks = data.dataset.remarks(listing)
    found = inspection.inspect(listing, data.target, data.positive, data.min_patients)
    found.problems += differences + remarks.problems
    found.notes += remarks.notes
    print(found.text())
    if found.problems:
        sys.exit(1)


def _differences(dataset: "DataSet", listing: "Listing") -> list[str]:
    """Hold a data set against what was published.

    Raises:
        ValueError: nothing was; names the data sets of which something was.
    """
    from brain_tumor.datasets import declared
    from brain_tumor.datasets.base import DataSet

    differences = dataset.differences(listing)
    if differences is None:
        known = [name for name, one in declared.by_name().items() if one.differences is not DataSet.differences]
        names = " and ".join(f"data={name}" for name in known)
        raise ValueError(f"published=true: only {names} are known as they were published")
    return differences


if __name__ == "__main__":
    cli.enter(main)
