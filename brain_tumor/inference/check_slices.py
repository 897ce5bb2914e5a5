"""Choose the slices that an exported file is checked on, and the data that it is quantized with."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.datasets.base import Listing
from brain_tumor.inference.trained import Trained
from brain_tumor.io import tables
from brain_tumor.scans import cases as cases_
from brain_tumor.scans.cases import Slices
from brain_tumor.scans.images import read_files

_VOLUMES = ("nifti", "dicom")  # kinds of files
_MOST = 64  # slices that file and `predict` are compared on


def pictures(inputs: str | Sequence[str]) -> list[Slices]:
    """Read pictures to check a file on; volumes are left out, since a file does not scale intensities.

    Raises:
        ValueError: no picture can be read.
    """
    found = cases_.find(inputs, {}).cases
    flat = [case for case in found if not any(s.kind in _VOLUMES and not s.problem for s in case.sources.values())]
    read = [cases_.try_read(case, "maximum", mixed=False) for case in flat[:_MOST]]
    good = [slices for slices in read if not isinstance(slices, str) and slices.volume is None]
    if not good:
        reason = next((text for text in read if isinstance(text, str)), "a volume cannot check it")
        raise ValueError(f"input: give pictures to check the file on (PNG, JPEG, TIFF, BMP); {reason}")
    return good


def tested(run: Trained, root: str | None, cache_dir: str) -> list[Slices]:
    """Read slices of a run's test part, evenly spread over it, to check a file on.

    Args:
        run: the run.
        root: where its data is now; None if it has not moved.
        cache_dir: where drawn data, such as phantoms, is drawn.

    Raises:
        ValueError: the files are gone.
    """
    remedy = "say where its data is by root=..., or give slices to check the file on by input=..."
    data = _data(run, root, cache_dir, remedy)
    split = tables.read_csv(run.folder / "split.csv")
    paths = split["path"][split["part"] == "test"].to_list()
    chosen = np.linspace(0, len(paths) - 1, min(_MOST, len(paths))).round().astype(int)
    listing = data.dataset.listing()
    if listing.stacks is not None:
        return _of_volumes(listing, [paths[place] for place in chosen])
    files = [listing.root / paths[place] for place in chosen]
    if missing := [path for path in files if not path.is_file()]:
        raise ValueError(f"run={run.folder}: {missing[0]} of its test part is gone; {remedy}")
    if listing.reader is not read_files:  # a format of the data set's own, which nobody but its reader knows
        return [Slices(listing.reader(path, None).image[None]) for path in files]
    return pictures([str(path) for path in files])


def _of_volumes(listing: Listing, paths: Sequence[str]) -> list[Slices]:
    """Read slices of volumes by their paths, one volume after the other."""
    names = listing.table["path"].to_list()
    found, start = [], 0
    for stack in listing.stacks or []:
        places = [place for place, name in enumerate(names[start : start + stack.count]) if name in paths]
        contents = stack.read() if places else []
        found += [Slices(contents[place].image[None]) for place in places]
        start += stack.count
    if not found:
        raise ValueError("export: the slices of the run's test part are gone; give slices by input=...")
    return found


def data_of(run: Trained, root: str | None, cache_dir: str) -> SliceDataModule:
    """Set up a run's data as in its training, to quantize a file with.

    Args:
        run: the run.
        root: where its data is now; None if it has not moved.
        cache_dir: of decoded and of drawn data.

    Raises:
        ValueError: the data is gone, or has changed.
    """
    data = _data(run, root, cache_dir, "say where its data is by root=...: int8 is calibrated on its training part")
    data.prepare_data()
    data.setup("test")
    if not data.is_content(run.record["data"]["key"], run.size):
        raise ValueError(f"run={run.folder}: its data has changed since the training; give the same files by root=...")
    return data


def _data(run: Trained, root: str | None, cache_dir: str, remedy: str) -> SliceDataModule:
    moved: dict[str, Any] = {"root": root} if root else {}
    data = run.data(cache_dir=cache_dir, **moved)
    home = data.dataset.root
    if home is not None and not home.is_dir() and not data.dataset.drawn:  # else the listing might download the data
        raise ValueError(f"run={run.folder}: its data is not at {home}; {remedy}")
    return data
