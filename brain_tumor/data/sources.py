"""The kinds of data: phantoms, the LGG data set, the tumour-type data set, and a folder of one's own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.datasets import cheng, folders, kaggle_3m, lgg, phantom
from brain_tumor.datasets.base import Listing
from brain_tumor.io import download


class PhantomDataModule(SliceDataModule):
    """Phantoms generated from a seed (see `brain_tumor.datasets.phantom`).

    Args:
        cases: how many, of 20 to 40 slices each.
        phantom_seed: of the generator.
        **common: as for `SliceDataModule`.
    """

    kind = "phantom"
    sequences = ("t1", "flair", "t1ce")

    def __init__(self, *, cases: int, phantom_seed: int = 0, **common: Any) -> None:
        super().__init__(**common)
        self.cases = cases
        self.phantom_seed = phantom_seed

    def listing(self) -> Listing:
        """List the phantoms, drawing them first where they are missing."""
        return kaggle_3m.list_slices(phantom.generate(self.cache_dir, self.cases, self.phantom_seed))


class LggDataModule(SliceDataModule):
    """The LGG Segmentation Dataset.

    Args:
        root: the folder that holds `kaggle_3m/`, or `kaggle_3m` itself; fetched where it is missing.
        **common: as for `SliceDataModule`.
    """

    kind = "lgg"
    sequences = ("t1", "flair", "t1ce")

    def __init__(self, *, root: str, **common: Any) -> None:
        super().__init__(**common)
        self.root = Path(root).expanduser()

    def listing(self) -> Listing:
        """List the data set, fetching it first where it is missing."""
        lgg.fetch(self.root)
        listing = kaggle_3m.list_slices(self.root)
        return replace(listing, patients=lgg.patients(listing.root, set(listing.table["case"])))


class ChengDataModule(SliceDataModule):
    """The tumour-type data set (see `brain_tumor.datasets.cheng`).

    Args:
        root: the folder that holds the .mat files or their zips; fetched where it is missing.
        source: where from: the article's address in figshare's API.
        together: whether names that differ by one last letter are one person, whom no split of ours divides.
        **common: as for `SliceDataModule`.
    """

    kind = "cheng"
    sequences = ("t1ce",) * 3

    def __init__(
        self,
        *,
        root: str,
        source: str = cheng.SOURCE,
        together: bool = True,
        target: str | None = "class",
        **common: Any,
    ) -> None:
        super().__init__(target=target, **common)
        self.root = Path(root).expanduser()
        self.source = source
        self.together = together

    def listing(self) -> Listing:
        """List the data set, fetching it first where it is missing."""
        cheng.require_reader()
        download.fetch(self.root, self.source, cheng.WANTED, cheng.BY_HAND)
        return cheng.list_slices(self.root, self.together)


class FolderDataModule(SliceDataModule):
    """A folder of one's own: one subfolder a class, or images with masks, or both.

    Args:
        root: the folder (see `brain_tumor.datasets.folders.list_slices`).
        patient_pattern: regular expression on the file name that finds the patient, and in its group `slice` the
            slice's number; None where names hold none.
        **common: as for `SliceDataModule`.
    """

    kind = "folder"

    def __init__(self, *, root: str, patient_pattern: str | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.root = Path(root).expanduser()
        self.patient_pattern = patient_pattern

    def listing(self) -> Listing:
        """List the folder."""
        return folders.list_slices(self.root, self.patient_pattern)
