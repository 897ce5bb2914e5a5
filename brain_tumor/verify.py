"""Read every file of a data set, and list what it holds and what is wrong.

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
    """Print what the data set holds; exit with 1 if there are problems."""
    from brain_tumor.data import inspection, opening
    from brain_tumor.data.transforms import Transforms

    config = typed.plain(cfg, "verify")
    data = opening.open_data(config, Transforms())
    listing = data.dataset.listing()
    differences = _differences(data.dataset, listing) if config["published"] else []
    remarks = data.dataset.remarks(listing)
    report = inspection.inspect(listing, data.target, data.positive, data.min_patients)
    report.problems += differences + remarks.problems
    report.notes += remarks.notes
    print(report.text())
    if report.problems:
        sys.exit(1)


def _differences(dataset: "DataSet", listing: "Listing") -> list[str]:
    """Compare a data set with what was published, and return the differences, one per line.

    Raises:
        ValueError: nothing is known of its publication; the message names the data sets for which something is.
    """
    from brain_tumor.datasets import declared
    from brain_tumor.datasets.base import DataSet

    differences = dataset.differences(listing)
    if differences is None:
        published = [
            name for name, class_ in declared.by_name().items() if class_.differences is not DataSet.differences
        ]
        names = " and ".join(f"data={name}" for name in published)
        raise ValueError(f"published=true: only {names} are known as they were published")
    return differences


if __name__ == "__main__":
    cli.enter(main)
