"""List slices that are laid out like the LGG Segmentation Dataset."""

import re
from pathlib import Path

import pandas as pd

from brain_tumor.data.slices import COLUMNS, Listing, require_folder

_NUMBERED = re.compile(r"^(?P<stem>.+?)_(?P<number>\d+)(?P<mask>_mask)?$", re.IGNORECASE)


def list_slices(root: Path) -> Listing:
    """List `kaggle_3m/<case>/<case>_<slice>.tif` and `..._mask.tif`.

    `root` is `kaggle_3m` itself or a folder that holds it. The published archive holds the tree twice
    (`kaggle_3m/` and `lgg-mri-segmentation/kaggle_3m/`); the first one found is read, others are named in `copies`.

    Raises:
        ValueError: `root` is missing, or no slice lies under it.
    """
    trees = find_trees(root)
    if not trees:
        raise ValueError(
            f"data.root={root}: no kaggle_3m folder with case folders of .tif slices there. "
            "Point data.root at the unpacked LGG Segmentation Dataset"
        )
    tree, *copies = trees
    rows: list[tuple[str, str, str, int, str, str, int]] = []
    problems: list[str] = []
    ignored: list[str] = []
    for case in sorted(path for path in tree.iterdir() if path.is_dir()):
        images: dict[int, Path] = {}
        masks: dict[int, Path] = {}
        for path in sorted(case.iterdir()):
            match = _NUMBERED.match(path.stem) if path.suffix.lower() in {".tif", ".tiff"} else None
            if match is None:
                ignored.append(path.relative_to(tree).as_posix())
                continue
            side, number = (masks if match["mask"] else images), int(match["number"])
            if number in side:
                problems.append(f"{path}: slice {number} of this case is there twice, also as {side[number].name}")
            side[number] = path
        problems += [f"{images[n]}: image without mask" for n in sorted(images.keys() - masks.keys())]
        problems += [f"{masks[n]}: mask without image" for n in sorted(masks.keys() - images.keys())]
        for number in sorted(images.keys() & masks.keys()):
            image, mask = (side[number].relative_to(tree).as_posix() for side in (images, masks))
            rows.append((image, mask, case.name, number, "", "", -1))
    return Listing(tree, pd.DataFrame(rows, columns=COLUMNS), problems, ignored, copies)


def find_trees(root: Path) -> list[Path]:
    """Return every folder at or under `root` that is laid out like `kaggle_3m`, the shallowest first."""
    require_folder(root)
    candidates = [root, root / "kaggle_3m", root / "lgg-mri-segmentation" / "kaggle_3m"]
    return [tree for tree in candidates if any(tree.glob("*/*_mask.[tT][iI][fF]"))]
