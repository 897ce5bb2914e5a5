"""The tumour-type data set: fetch it, list it, and hold a copy of it against what was published.

Jun Cheng, "brain tumor dataset", figshare, DOI 10.6084/m9.figshare.1512427: 3,064 contrast-enhanced T1 slices of 233
patients with a meningioma, a glioma or a pituitary tumour, each with the tumour's mask, in files 1.mat to 3064.mat in
four zips; `cvind.mat` holds the authors' five folds by patient. Cite Cheng et al., PLoS ONE 10(10) e0140381, 2015.
"""

import importlib.util
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.datasets import cheng_files, matlab, roots
from brain_tumor.datasets.base import COLUMNS, DataSet, Listing, Published, Remarks
from brain_tumor.datasets.cheng_files import FOLDS, SLICE
from brain_tumor.io import download

COUNTS = {"meningioma": 708, "glioma": 1426, "pituitary tumour": 930}
PATIENTS = 233
SOURCE = "https://api.figshare.com/v2/articles/1512427"
WANTED = r"^(brainTumorDataPublic.*\.zip|cvind\.mat)$"  # of the article's files
BY_HAND = (
    "Download the four zips and cvind.mat in a browser from doi.org/10.6084/m9.figshare.1512427, "
    "and give their folder as data.root"
)


class Cheng(DataSet):
    """The tumour-type data set.

    Args:
        root: the folder that holds the .mat files or their zips; fetched where it is missing.
        source: where from: the article's address in figshare's API.
        together: whether names that differ by one last letter are one person, whom no split of ours divides.
    """

    name = "cheng"
    sequences = ("t1ce",) * 3
    licence = "CC BY 4.0 (tumour types, figshare 1512427; Cheng et al. 2015, 2016)"
    target = "class"
    first_fold = 0
    # With their splits, as far as a source says so.
    published = (
        Published("classification", "EfficientNet", "the authors' fold 5, by patient", {"accuracy a patient": ".911"}),
        Published(
            "classification", "several, where credible", "by patient", {"accuracy a patient": "around .88 to .94"}
        ),
        Published("classification", "several", "by slice", {"accuracy a slice": ".95 to .99"}),
    )

    def __init__(self, *, root: str, source: str = SOURCE, together: bool = True) -> None:
        self.root: Path = Path(root).expanduser()
        self.source = source
        self.together = together

    def listing(self) -> Listing:
        """List the slices; fetch the data set first where it is missing."""
        require_reader()
        download.fetch(self.root, self.source, WANTED, BY_HAND)
        return list_slices(self.root, self.together)

    def differences(self, listing: Listing) -> list[str]:
        """Hold the counts of slices, patients and folds against the published ones."""
        return compare(listing)

    def remarks(self, listing: Listing) -> Remarks:
        """Name patients with several classes, and say who may be one person."""
        return Remarks(contradictions(listing), together(listing))


def list_slices(root: Path, together: bool = True) -> Listing:
    """List the slices in a folder of .mat files, or of the published zips, which are unpacked in it first.

    Args:
        root: the folder; files may lie in folders below it.
        together: whether names that differ by one last letter are one person.

    Raises:
        ValueError: there are no such files, what reads them is not installed, or it is a folder of our own results.
    """
    require_reader()
    roots.require_folder(root)
    tree = cheng_files.unpacked(root)
    listed, problems, notes = roots.look(tree)
    files: dict[int, Path] = {}
    for path in listed:
        if SLICE.match(path.name) and (first := files.setdefault(int(path.stem), path)) != path:
            problems.append(f"{path}: slice {int(path.stem)} is there twice, also as {first}. Keep one of them")
    if not files:
        raise ValueError(f"data.root={root}: no slices there (1.mat, 2.mat, ...), nor the zips that hold them")
    numbers = sorted(files)
    folds, wrong = _folds([path for path in listed if path.name == FOLDS], numbers)
    problems += wrong
    rows = []
    for number, fold in zip(numbers, folds, strict=True):
        try:
            case, kind = cheng_files.facts(files[number])
        except ValueError as error:
            problems.append(str(error))
            continue
        name = files[number].relative_to(tree).as_posix()
        rows.append((name, name, case, -1, kind, "", fold))
    table = pd.DataFrame(rows, columns=COLUMNS)
    if together:
        table["person"] = [person(case) for case in table["case"]]
    ignored = [
        path.relative_to(tree).as_posix()
        for path in listed
        if path.suffix == ".mat" and not SLICE.match(path.name) and path.name != FOLDS
    ]
    return Listing(tree, table, problems, notes, ignored, reader=cheng_files.read)


def person(case: str) -> str:
    """Return a patient's name without a last letter: MR024780B and MR024780D are probably one person, scanned again."""
    return re.sub(r"(?<=\d)[A-Za-z]$", "", case)


def require_reader() -> None:
    """Refuse where h5py is missing.

    Raises:
        ValueError: it is.
    """
    if not importlib.util.find_spec("h5py"):
        raise ValueError("data=cheng: needs h5py: pip install 'brain-tumor[types]'")


def _folds(paths: Sequence[Path], numbers: list[int]) -> tuple[list[int], list[str]]:
    """Return the authors' fold of each file, from 0, and what is wrong with it; -1 where there is no cvind.mat."""
    if not paths:
        return [-1] * len(numbers), []
    path = paths[0]
    try:
        values = np.asarray(matlab.read_variable(path, "cvind", ())).ravel()
        folds = values.astype(int)
    except (ValueError, TypeError) as error:
        return [-1] * len(numbers), [str(error)]
    if len(folds) < max(numbers) or (folds < 1).any():
        return [-1] * len(numbers), [f"{path}: has {len(folds)} folds from 1 on; slices go up to {max(numbers)}"]
    return [int(folds[number - 1]) - 1 for number in numbers], []


def compare(listing: Listing) -> list[str]:
    """Hold a listing against what was published; return a line for each difference."""
    table = listing.table
    counts = Counter(table["class"])
    found = [
        f"{name}: {counts[name]} slices, published are {count}"
        for name, count in COUNTS.items()
        if counts[name] != count
    ]
    if (patients := table["case"].nunique()) != PATIENTS:
        found.append(f"{patients} patients, published are {PATIENTS}")
    if (table["fold"] < 0).any():
        found.append(f"{FOLDS} is missing, which holds the authors' folds")
    return found


def contradictions(listing: Listing) -> list[str]:
    """Name patients with several classes, a line each."""
    kinds = listing.table.groupby("case")["class"].nunique()
    return [f"{case}: has {count} labels; a patient has one" for case, count in kinds.items() if count > 1]


def together(listing: Listing) -> list[str]:
    """Say in a line how many names differ by one last letter, and how many such people the authors' folds divide."""
    table = listing.table.assign(person=[person(case) for case in listing.table["case"]])
    kinds = table.groupby("person")[["case", "fold"]].nunique()
    if not (kinds["case"] > 1).any():
        return []
    return [
        f"{table['case'].nunique()} names are {len(kinds)} people, if a last letter tells scans and not people apart: "
        f"{int((kinds['case'] > 1).sum())} have several names, and {int((kinds['fold'] > 1).sum())} lie in several of "
        "the authors' folds; data.together=true keeps them on one side of our splits"
    ]
