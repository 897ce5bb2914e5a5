"""List data sets in nnU-Net's raw layout, or in that of the Medical Segmentation Decathlon, and check their names.

DatasetXXX_NAME/dataset.json       channels, labels, regions
DatasetXXX_NAME/imagesTr/          CASE_0000.nii.gz, CASE_0001.nii.gz, ...; of MSD CASE.nii.gz with all channels
DatasetXXX_NAME/labelsTr/          CASE.nii.gz
DatasetXXX_NAME/imagesTs/          cases without labels; for `predict`
splits_final.json                  nnU-Net's folds, here or in nnUNet_preprocessed/DatasetXXX_NAME
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from brain_tumor.datasets import dataset_json, roots
from brain_tumor.datasets.dataset_json import Description
from brain_tumor.datasets.flat_case import PICTURES
from brain_tumor.datasets.volume_case import VOLUMES, VolumeCase
from brain_tumor.datasets.volume_set import Declared, VolumeSet
from brain_tumor.io import tables
from brain_tumor.io.walk import is_hidden

SPLITS = "splits_final.json"
_NUMBERED = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})$")


class Nnunet(VolumeSet):
    """A data set in nnU-Net's raw layout (see `VolumeSet` for its arguments).

    With `data.split=given data.fold=N`, the cases that fold N of splits_final.json validates on are our test part.
    """

    name = "nnunet"

    def declare(self) -> Declared:
        """Read dataset.json and splits_final.json, and list the files.

        Raises:
            ValueError: there is no dataset.json, or it can be read in no way.
        """
        assert self.root is not None
        roots.require_folder(self.root)
        description = dataset_json.read(self.root / "dataset.json")
        if not description.ending.endswith((*VOLUMES, *PICTURES)):
            raise ValueError(
                f"{self.root}/dataset.json: file_ending {description.ending}; only {', '.join((*VOLUMES, *PICTURES))} "
                "are read"
            )
        cases, problems = _cases(self.root, description)
        folds = _folds(self.root, sorted(description.files or _named(self.root, "imagesTr", description)))
        notes = [*_held_out(self.root, description), *folds.notes]
        if self.root.joinpath("imagesTs").is_dir():
            both = sorted({case.name for case in cases} & set(_named(self.root, "imagesTs", description)))
            problems += [f"{self.root}/imagesTs: {name} is in imagesTr, too; keep one of them" for name in both]
        return Declared(
            description.sequences, description.regions, cases, folds.folds, folds.parts,
            [*description.problems, *problems, *folds.problems], notes,
        )  # fmt: skip


class _Folds(NamedTuple):
    """What splits_final.json says: the fold or the part of each case, and what is wrong or worth knowing."""

    folds: dict[str, int]
    parts: dict[str, str]
    problems: list[str]
    notes: list[str]


def _cases(root: Path, description: Description) -> tuple[list[VolumeCase], list[str]]:
    """Pair the images of cases with their labels; return what is wrong with names and files, too."""
    if description.files:
        return _listed(description)
    problems: list[str] = []
    images, labels = root / "imagesTr", root / "labelsTr"
    for folder in (images, labels):
        if not folder.is_dir():
            raise ValueError(f"data.root={root}: has no {folder.name}")
    others = [
        path for folder in (images, labels) for path in _visible(folder) if not path.name.endswith(description.ending)
    ]
    problems += [f"{path}: does not end in {description.ending}, as dataset.json declares" for path in others]
    renamed = {path.with_name(path.name.partition(".")[0] + description.ending) for path in others}
    by_case = _named(root, "imagesTr", description)
    labelled = {path.name.removesuffix(description.ending): path for path in _ending(labels, description.ending)}
    cases = []
    for name, channels in sorted(by_case.items()):
        count = len(description.sequences)
        numbers = sorted(channels)
        wanted = [0] if numbers == [-1] else list(range(count))
        if numbers not in ([-1], wanted):
            lacking = [
                images / f"{name}_{number:04d}{description.ending}" for number in sorted(set(wanted) - set(numbers))
            ]
            more = sorted(set(numbers) - set(wanted))
            problems += [
                f"{path}: missing, a channel that dataset.json declares" for path in lacking if path not in renamed
            ]
            problems += [f"{channels[n]}: is more than the {count} channels that dataset.json declares" for n in more]
        if name not in labelled and (path := labels / f"{name}{description.ending}") not in renamed:
            problems.append(f"{path}: missing, the labels of {name}")
        files_of = tuple(channels[number] for number in numbers)
        if numbers in ([-1], wanted) and name in labelled:
            cases.append(VolumeCase(name, files_of, labelled[name]))
    problems += [f"{labelled[name]}: labels without images" for name in sorted(labelled.keys() - by_case.keys())]
    found = len(by_case)
    if description.count not in (None, found):
        problems.append(f"{root}/dataset.json: numTraining is {description.count}; imagesTr has {found} cases")
    if not found:
        raise ValueError(f"{images}: has no case whose files end in {description.ending}, as dataset.json declares")
    return cases, problems


def _listed(description: Description) -> tuple[list[VolumeCase], list[str]]:
    """Return the cases that dataset.json lists, and the files that are missing."""
    cases = [VolumeCase(name, images, label) for name, (images, label) in sorted(description.files.items())]
    missing = {case.name: [path for path in case.files if not path.is_file()] for case in cases}
    problems = [f"{path}: missing, which dataset.json lists for {name}" for name in missing for path in missing[name]]
    return [case for case in cases if not missing[case.name]], problems


def _named(root: Path, folder: str, description: Description) -> dict[str, dict[int, Path]]:
    """Return the files of each case in a folder by the number of their channel; -1 for a file of all channels."""
    cases: dict[str, dict[int, Path]] = defaultdict(dict)
    # MSD's names may end in a number, too; there an image is called like its labels.
    names = [{path.name for path in _ending(root / of, description.ending)} for of in ("imagesTr", "labelsTr")]
    numbered = description.numbered or not names[0] & names[1]
    for path in _ending(root / folder, description.ending):
        stem = path.name.removesuffix(description.ending)
        if match := _NUMBERED.match(stem) if numbered else None:
            cases[match["case"]][int(match["channel"])] = path
        else:
            cases[stem][-1] = path
    return dict(cases)


def _held_out(root: Path, description: Description) -> list[str]:
    """Return a note on cases without labels."""
    folder = root / "imagesTs"
    count = len(_named(root, "imagesTs", description)) if folder.is_dir() else 0
    return [f"{folder}: {count} cases without labels, which are not listed; predict them"] if count else []


def _folds(root: Path, names: list[str]) -> _Folds:
    """Read splits_final.json, where there is one."""
    path = next((path for path in _split_files(root) if path.is_file()), None)
    folds = _Folds({}, {}, [], [])
    if path is None:
        return folds
    content = tables.read_json_list(path)
    if not all(isinstance(fold, dict) and {"train", "val"} <= fold.keys() for fold in content):
        folds.problems.append(f"{path}: is no list of folds with `train` and `val`")
        return folds
    for number, fold in enumerate(content):
        unknown = sorted({*fold["train"], *fold["val"]} - set(names))
        both = sorted({*fold["train"]} & {*fold["val"]})
        folds.problems.extend(f"{path}: fold {number} names {name}, which is no case" for name in unknown)
        folds.problems.extend(f"{path}: fold {number} has {name} in train and in val" for name in both)
    tested = [name for fold in content for name in fold["val"]]
    if len(content) == 1:
        parts = {"train": content[0]["train"], "test": content[0]["val"]}
        folds.parts.update({name: part for part, members in parts.items() for name in members})
    elif sorted(tested) == sorted(names):
        folds.folds.update({name: number for number, fold in enumerate(content) for name in fold["val"]})
    else:
        folds.notes.append(f"{path}: not every case is validated on once, so that data.split=given cannot follow it")
        return folds
    folds.notes.append(
        f"{path}: {len(content)} fold(s); with data.split=given, what a fold validates on is our test part"
    )
    return folds


def _split_files(root: Path) -> list[Path]:
    """Return where nnU-Net's folds may be."""
    preprocessed = os.environ.get("nnUNet_preprocessed")  # noqa: SIM112, nnU-Net's name
    homes = [root, root / "preprocessed", root.resolve().parent.parent / "nnUNet_preprocessed" / root.resolve().name]
    if preprocessed:
        homes.append(Path(preprocessed) / root.resolve().name)
    return [home / SPLITS for home in homes]


def _ending(folder: Path, ending: str) -> Iterable[Path]:
    return (path for path in _visible(folder) if path.name.endswith(ending))


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not is_hidden(path.name))
