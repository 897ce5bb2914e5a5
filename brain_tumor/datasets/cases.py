"""List data sets as they are published: a folder a patient, whose files are told apart by their names' endings.

root/BraTS2021_00000/BraTS2021_00000_flair.nii.gz    ..._t1.nii.gz, ..._t1ce.nii.gz, ..._t2.nii.gz, ..._seg.nii.gz
root/UCSF-PDGM-0004_nifti/UCSF-PDGM-0004_FLAIR.nii.gz    ..._T1.nii.gz, ..., ..._tumor_segmentation.nii.gz
"""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from brain_tumor.datasets import roots
from brain_tumor.datasets.regions import Regions
from brain_tumor.datasets.volume_case import VOLUMES, VolumeCase
from brain_tumor.datasets.volume_set import Declared, VolumeSet
from brain_tumor.io.walk import is_hidden
from brain_tumor.scans.nifti import MOST_CHANNELS


class Cases(VolumeSet):
    """A data set of a folder a patient (see `VolumeSet` for the other arguments).

    Args:
        channels: by the sequence's name, the pattern of its file's name in every folder, such as "*_flair.nii.gz".
        labels: the pattern of the file of labels.
        label_names: the labels' values by their names.

    Raises:
        ValueError: there is no channel or label, or there are too many.
    """

    name = "cases"

    def __init__(self, *, channels: dict[str, str], labels: str, label_names: dict[str, int], **others: Any) -> None:
        if not 1 <= len(channels) <= MOST_CHANNELS:
            raise ValueError(f"data.channels: names {len(channels)} sequences; give 1 to {MOST_CHANNELS}")
        if not label_names:
            raise ValueError("data.label_names: names no label")
        super().__init__(**others)
        self._patterns = {**channels, "labels": labels}
        self._labels = label_names

    def declare(self) -> Declared:
        """List the patients' folders.

        Raises:
            ValueError: no folder holds a file that a pattern matches, or a label has a value out of range.
        """
        assert self.root is not None
        roots.require_folder(self.root)
        cases, problems, others = [], [], []
        for folder in sorted(path for path in self.root.iterdir() if path.is_dir() and not is_hidden(path.name)):
            files, faults = self._files(folder)
            if not any(files.values()):
                others.append(folder.name)
                continue
            problems += faults
            if not faults:
                *images, label = (files[name] for name in self._patterns)
                cases.append(VolumeCase(folder.name, tuple(path for path in images if path is not None), label))
        if not cases and not problems:
            patterns = ", ".join(f"{name} {pattern}" for name, pattern in self._patterns.items())
            raise ValueError(f"data.root={self.root}: no folder in it holds a file like {patterns}")
        notes = [f"{roots.named(others)}: holds no file that a pattern matches; not used"] if others else []
        sequences = tuple(name for name in self._patterns if name != "labels")
        return Declared(sequences, Regions.of_labels(self._labels), cases, {}, {}, problems, notes)

    def _files(self, folder: Path) -> tuple[dict[str, Path | None], list[str]]:
        """Return the file of each channel and of the labels in a patient's folder, and which are not there once."""
        there = sorted(path for path in folder.iterdir() if path.is_file() and path.name.endswith(VOLUMES))
        files: dict[str, Path | None] = {}
        problems = []
        for name, pattern in self._patterns.items():
            found = [path for path in there if not is_hidden(path.name) and fnmatchcase(path.name, pattern)]
            files[name] = found[0] if found else None
            if len(found) != 1:
                shown = " and ".join(path.name for path in found[:2]) or "none"
                problems.append(f"{folder}: {name}={pattern} finds {len(found)} files, {shown}; it must find one")
        return files, problems
