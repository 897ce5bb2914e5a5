"""Fetch and list the tumour-type data set, and compare a copy of it with the published counts.

Jun Cheng, "brain tumor dataset", figshare, DOI 10.6084/m9.figshare.1512427: 3,064 contrast-enhanced T1 slices of 233
patients with a meningioma, a glioma or a pituitary tumour, each with the tumour's mask, in files 1.mat to 3064.mat in
four zips; `cvind.mat` holds the authors' five folds by patient. Cite Cheng et al., PLoS ONE 10(10) e0140381, 2015.
"""

import importlib.util
import re
from collections import Counter
from collections.abc import Mapping, Sequence
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
        root: the folder that holds the .mat files or their zips; fetched if it is missing.
        source: the article's address in figshare's API.
        together: whether names that differ in one last letter are one person, whom our splits keep together.
    """

    name = "cheng"
    sequences = ("t1ce",) * 3
    licence = "CC BY 4.0 (tumour types, figshare 1512427; Cheng et al. 2015, 2016)"
    target = "class"
    first_fold = 0
    # With their splits, as far as a source describes them.
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
        """List the slices; fetch the data set first if it is missing."""
        require_reader()
        download.fetch(self.root, self.source, WANTED, BY_HAND)
        return list_slices(self.root, self.together)

    def differences(self, listing: Listing) -> list[str]:
        """Compare the counts of slices, patients and folds with the published ones."""
        return compare(listing)

    def remarks(self, listing: Listing) -> Remarks:
        """Name patients with several classes, and count names that may be one person."""
        return Remarks(contradictions(listing), together(listing))


def list_slices(root: Path, together: bool = True) -> Listing:
    """List the slices in a folder of .mat files, or of the published zips, which are unpacked there first.

    Args:
        root: the folder; files may lie in folders below it.
        together: whether names that differ in one last letter are one person.

    Raises:
        ValueError: there are no such files, h5py is not installed, or it is a folder of our results.
    """
    require_reader()
    roots.require_folder(root)
    tree = cheng_files.unpacked(root)
    paths, problems, notes = roots.list_files(tree)
    files: dict[int, Path] = {}
    for path in paths:
        if SLICE.match(path.name) and (first := files.setdefault(int(path.stem), path)) != path:
            problems.append(f"{path}: slice {int(path.stem)} is there twice, also as {first}. Keep one of them")
    if not files:
        raise ValueError(f"data.root={root}: no slices there (1.mat, 2.mat, ...), nor the zips that hold them")
    table, unreadable = _table(tree, files, [path for path in paths if path.name == FOLDS])
    problems += unreadable
    if together:
        table["person"] = [person(case) for case in table["case"]]
    ignored = [
        path.relative_to(tree).as_posix()
        for path in paths
        if path.suffix == ".mat" and not SLICE.match(path.name) and path.name != FOLDS
    ]
    return Listing(tree, table, problems, notes, ignored, reader=cheng_files.read)


def _table(tree: Path, files: Mapping[int, Path], fold_files: Sequence[Path]) -> tuple[pd.DataFrame, list[str]]:
    """Return one row per readable slice, and why others cannot be read, one line each.

    Args:
        tree: the folder that paths are relative to.
        files: the slices' files by their numbers.
        fold_files: the files with the authors' folds, of which the first counts.
    """
    numbers = sorted(files)
    folds, problems = _folds(fold_files, numbers)
    rows = []
    for number, fold in zip(numbers, folds, strict=True):
        try:
            case, label = cheng_files.facts(files[number])
        except ValueError as error:
            problems.append(str(error))
            continue
        name = files[number].relative_to(tree).as_posix()
        rows.append((name, name, case, -1, label, "", fold))
    return pd.DataFrame(rows, columns=COLUMNS), problems


def person(case: str) -> str:
    """Return a patient's name without a last letter: MR024780B and MR024780D are probably one person scanned twice."""
    return re.sub(r"(?<=\d)[A-Za-z]$", "", case)


def require_reader() -> None:
    """Refuse to go on without h5py.

    Raises:
        ValueError: h5py is not installed.
    """
    if not importlib.util.find_spec("h5py"):
        raise ValueError("data=cheng: needs h5py: pip install 'brain-tumor[types]'")


def _folds(paths: Sequence[Path], numbers: list[int]) -> tuple[list[int], list[str]]:
    """Return the authors' fold of each slice, from 0, and what is wrong with cvind.mat; -1 without that file."""
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
    """Return the differences between a listing and the published counts, one line each."""
    table = listing.table
    counts = Counter(table["class"])
    differences = [
        f"{name}: {counts[name]} slices, published are {count}"
        for name, count in COUNTS.items()
        if counts[name] != count
    ]
    if (patients := table["case"].nunique()) != PATIENTS:
        differences.append(f"{patients} patients, published are {PATIENTS}")
    if (table["fold"] < 0).any():
        differences.append(f"{FOLDS} is missing, which holds the authors' folds")
    return differences


def contradictions(listing: Listing) -> list[str]:
    """Name patients with several classes, one line each."""
    counts = listing.table.groupby("case")["class"].nunique()
    return [f"{case}: has {count} labels; a patient has one" for case, count in counts.items() if count > 1]


def together(listing: Listing) -> list[str]:
    """Count, in one line, names that differ in one last letter, and such people in several of the authors' folds."""
    table = listing.table.assign(person=[person(case) for case in listing.table["case"]])
    people = table.groupby("person")[["case", "fold"]].nunique()
    if not (people["case"] > 1).any():
        return []
    return [
        f"{table['case'].nunique()} names are {len(people)} people, if a last letter tells scans and not people apart: "
        f"{int((people['case'] > 1).sum())} have several names, and {int((people['fold'] > 1).sum())} lie in several "
        "of the authors' folds; data.together=true keeps them on one side of our splits"
    ]
