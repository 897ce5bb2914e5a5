"""Write a data set in nnU-Net's layout, to run nnU-Net on the same patients and folds.

python -m brain_tumor.export_dataset data=lgg data.root=/data/lgg data.folds=5 data.fold=0 to=nnUNet_raw/Dataset501_LGG
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from brain_tumor.config import cli, typed


@hydra.main(config_path=typed.CONF, config_name="export_dataset", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Write the data set, and print what was written."""
    from brain_tumor.data import nnunet_export, opening
    from brain_tumor.data.transforms import Transforms

    config = typed.plain(cfg, "export_dataset")
    data = opening.open_data(config, Transforms())
    data.prepare_data()
    data.setup()
    print("\n".join(nnunet_export.write(data, Path(config["to"]))))


if __name__ == "__main__":
    cli.enter(main)
