"""Find what is to be predicted among files of any kind, and read it; a file is what its content says it is."""

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_tumor.io import names
from brain_tumor.scans import dicom, file_types, inputs, nifti, series
from brain_tumor.scans.file_types import Kind
from brain_tumor.scans.images import read_rgb
from brain_tumor.scans.volumes import Volume


@dataclass(frozen=True)
class Source:
    """One thing to predict.

    Attributes:
        case: its name, without anything from a DICOM header.
        kind: "image", "nifti" or "dicom".
        paths: its files.
        problem: why it cannot be read, as far as that is known already; "" for nothing.
        doubts: what is doubtful about how its files were put together.
        whole: whether none of its files was left out.
    """

    case: str
    kind: str
    paths: tuple[Path, ...]
    problem: str = ""
    doubts: tuple[str, ...] = ()
    whole: bool = True

    @property
    def label(self) -> str:
        """Name its files in a few words."""
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return names.printable(self.paths[0].name) + more if self.paths else ""

    def read(self) -> Volume | NDArray[np.uint8]:
        """Return a volume, or a picture uint8 (H, W, 3).

        Raises:
            ValueError: it cannot be read; says why.
        """
        if self.kind == "dicom":
            try:
                return self._read_dicom()
            except ValueError as error:
                # Its case has a hash for a name, which leads nobody to the file.
                text = str(error)
                raise ValueError(text if self.paths[0].name in text else f"{self.label}: {text}") from error
        if self.problem:
            raise ValueError(self.problem)
        return read_rgb(self.paths[0]) if self.kind == "image" else nifti.read(self.paths[0])

    def _read_dicom(self) -> Volume:
        if self.problem:
            raise ValueError(self.problem)
        found = dicom.read(self.paths)
        return replace(found, warnings=[*self.doubts, *found.warnings], even=found.even and self.whole)


class Discovery(NamedTuple):
    """What lies at some inputs.

    Attributes:
        sources: in the order of their names.
        passed: how many files in folders are of other kinds, and were passed over.
        skipped: files and folders that may be missed and were left out on purpose, each with the reason.
    """

    sources: list[Source]
    passed: int
    skipped: dict[Path, str]


def discover(given: Sequence[str]) -> Discovery:
    """Find what lies at files, folders, patterns, and in lists of these (.txt, one a line).

    Raises:
        ValueError: an input is not there or is a result of ours, or what reads it is not installed.
    """
    found = inputs.gather(given)
    files = _pairs(found.files)
    kinds_ = {path: file_types.of(path) for path in files}
    _require(kind.name for kind in kinds_.values())
    grouped = series.group([path for path, kind in kinds_.items() if kind.name == "dicom"])
    skipped = {**found.skipped, **{path: reason for path, reason in grouped.imageless.items() if not files[path]}}
    failed = {**found.lost, **grouped.failed, **_other_problems(kinds_, files)}
    failed |= {path: reason for path, reason in grouped.imageless.items() if files[path]}
    skipped |= {path: kind.problem for path, kind in kinds_.items() if _is_archive(kind) and path not in failed}
    good = [path for path, kind in kinds_.items() if kind.name in {"image", "nifti"}]
    others = [path for path, kind in kinds_.items() if kind.name != "dicom"]
    named = names.of_files(list(dict.fromkeys([*others, *failed])), [own.name for own in grouped.series])
    sources = [Source(own.name, "dicom", own.paths, own.problem, own.doubts, own.whole) for own in grouped.series]
    sources += [Source(named[path], kinds_[path].name, _with_voxels(path, kinds_[path])) for path in good]
    sources += [
        Source(named[path], "dicom" if path in grouped.failed else "", (path,), reason)
        for path, reason in failed.items()
    ]
    passed = sum(not kind.name for path, kind in kinds_.items() if path not in {*failed, *skipped})
    return Discovery(sorted(sources, key=lambda source: source.case), passed, skipped)


def _other_problems(found: Mapping[Path, Kind], files: Mapping[Path, bool]) -> dict[Path, str]:
    """Return what is no scan that is read, though it was named or its name says that it is one."""
    return {path: kind.problem for path, kind in found.items() if not kind.name and (files[path] or kind.meant)}


def _is_archive(kind: Kind) -> bool:
    return kind.problem.startswith("an archive")


def _pairs(files: Mapping[Path, bool]) -> dict[Path, bool]:
    """Put each header in the place of the file with its voxels, where a volume has two files."""
    found: dict[Path, bool] = {}
    for path, named in files.items():
        header = next((own for own in nifti.headers(path) if own.is_file()), path)
        found[header] = found.get(header, False) or named
    return found


def _with_voxels(path: Path, kind: Kind) -> tuple[Path, ...]:
    """Return the files of a volume or a picture."""
    voxels = nifti.voxels(path) if kind.name == "nifti" else path
    return (path, voxels) if voxels is not None and voxels != path else (path,)


def _require(kinds_: Iterable[str]) -> None:
    needed = {"nifti": ("nibabel",), "dicom": ("nibabel", "pydicom")}
    wanted = {name for kind in kinds_ for name in needed.get(kind, ())}
    missing = sorted(name for name in wanted if not importlib.util.find_spec(name))
    if missing:
        raise ValueError(f"input: needs {' and '.join(missing)}: pip install 'brain-tumor[scan]'")
