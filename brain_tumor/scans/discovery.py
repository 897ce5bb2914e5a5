"""Find what can be predicted among files of any type, and read it. A file's content decides what it is."""

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_tumor.io import names
from brain_tumor.scans import dicom, file_types, inputs, nifti, series
from brain_tumor.scans.file_types import FileType
from brain_tumor.scans.images import read_rgb
from brain_tumor.scans.volumes import Volume


@dataclass(frozen=True)
class Source:
    """One picture, volume or DICOM series.

    Attributes:
        case: its name, without anything from a DICOM header.
        kind: "image", "nifti", "dicom", or "stack" for the pictures of a patient; "" for a file that is not read.
        paths: its files; of a stack from below to above.
        frames: of each enhanced DICOM file, the numbers of its frames; () for files of one image.
        problem: why it cannot be read, as far as that is known before reading; "" for nothing.
        doubts: warnings about how its files were put together.
        whole: whether none of its files was left out.
        numbers: of a stack's slices, in the order of its paths.
    """

    case: str
    kind: str
    paths: tuple[Path, ...]
    problem: str = ""
    doubts: tuple[str, ...] = ()
    whole: bool = True
    numbers: tuple[int, ...] = ()
    frames: tuple[tuple[int, ...], ...] = ()

    @property
    def label(self) -> str:
        """The name of its first file, and how many more it has."""
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return names.printable(self.paths[0].name) + more if self.paths else ""

    def read(self) -> Volume | NDArray[np.uint8]:
        """Read a volume, a picture uint8 (H, W, 3), or a stack of pictures uint8 (n, H, W, 3).

        Raises:
            ValueError: it cannot be read; the message says why.
        """
        if self.kind == "dicom":
            try:
                return self._read_dicom()
            except ValueError as error:
                # A DICOM case is named by a hash, which does not lead to the file.
                text = str(error)
                raise ValueError(text if self.paths[0].name in text else f"{self.label}: {text}") from error
        if self.problem:
            raise ValueError(self.problem)
        if self.kind == "stack":
            return self._read_stack()
        return read_rgb(self.paths[0]) if self.kind == "image" else nifti.read(self.paths[0])

    def _read_stack(self) -> NDArray[np.uint8]:
        pictures = [read_rgb(path) for path in self.paths]
        odd = next((place for place, picture in enumerate(pictures) if picture.shape != pictures[0].shape), None)
        if odd is not None:
            sizes = [f"{picture.shape[1]}x{picture.shape[0]}" for picture in (pictures[odd], pictures[0])]
            raise ValueError(
                f"{names.printable(self.paths[odd].name)}: is {sizes[0]} pixels, and {sizes[1]} is "
                f"{names.printable(self.paths[0].name)} of the same patient"
            )
        return np.stack(pictures)

    def _read_dicom(self) -> Volume:
        if self.problem:
            raise ValueError(self.problem)
        volume = dicom.read(self.paths, self.frames)
        return replace(volume, warnings=[*self.doubts, *volume.warnings], even=volume.even and self.whole)


class Discovery(NamedTuple):
    """What was found at some inputs.

    Attributes:
        sources: in the order of their names.
        ignored: how many files in folders are of other types, such as texts.
        skipped: files and folders that were left out on purpose and that a user may miss, each with the reason.
    """

    sources: list[Source]
    ignored: int
    skipped: dict[Path, str]


def discover(given: Sequence[str]) -> Discovery:
    """Find what can be predicted at files, folders, patterns, and in lists of these (.txt, one per line).

    Raises:
        ValueError: an input does not exist or is a result of this program, or a library to read it is not installed.
    """
    gathered = inputs.gather(given)
    files = _pairs(gathered.files)
    types = {path: file_types.of(path) for path in files}
    _require(type_.name for type_ in types.values())
    grouped = series.group([path for path, type_ in types.items() if type_.name == "dicom"])
    skipped = {**gathered.skipped, **{path: reason for path, reason in grouped.imageless.items() if not files[path]}}
    failed = {**gathered.lost, **grouped.failed, **_other_problems(types, files)}
    failed |= {path: reason for path, reason in grouped.imageless.items() if files[path]}
    skipped |= {path: type_.problem for path, type_ in types.items() if _is_archive(type_) and path not in failed}
    readable = [path for path, type_ in types.items() if type_.name in {"image", "nifti"}]
    others = [path for path, type_ in types.items() if type_.name != "dicom"]
    named = names.of_files(list(dict.fromkeys([*others, *failed])), [images.name for images in grouped.series])
    sources = [
        Source(images.name, "dicom", images.paths, images.problem, images.doubts, images.whole, frames=images.frames)
        for images in grouped.series
    ]
    sources += [Source(named[path], types[path].name, _with_voxels(path, types[path])) for path in readable]
    sources += [
        Source(named[path], "dicom" if path in grouped.failed else "", (path,), reason)
        for path, reason in failed.items()
    ]
    ignored = sum(not type_.name for path, type_ in types.items() if path not in {*failed, *skipped})
    return Discovery(sorted(sources, key=lambda source: source.case), ignored, skipped)


def _other_problems(types: Mapping[Path, FileType], files: Mapping[Path, bool]) -> dict[Path, str]:
    """Return files that are not read though the user named them or their names say that they are scans."""
    return {path: type_.problem for path, type_ in types.items() if not type_.name and (files[path] or type_.meant)}


def _is_archive(type_: FileType) -> bool:
    return type_.problem.startswith("an archive")


def _pairs(files: Mapping[Path, bool]) -> dict[Path, bool]:
    """Replace a file of voxels by its header where a volume has two files; keep whether either was named itself."""
    paired: dict[Path, bool] = {}
    for path, named in files.items():
        header = next((candidate for candidate in nifti.headers(path) if candidate.is_file()), path)
        paired[header] = paired.get(header, False) or named
    return paired


def _with_voxels(path: Path, type_: FileType) -> tuple[Path, ...]:
    """Return the files of a volume or a picture: one, or a header and its voxels."""
    voxels = nifti.voxels(path) if type_.name == "nifti" else path
    return (path, voxels) if voxels is not None and voxels != path else (path,)


def _require(kinds: Iterable[str]) -> None:
    needed = {"nifti": ("nibabel",), "dicom": ("nibabel", "pydicom")}
    wanted = {name for kind in kinds for name in needed.get(kind, ())}
    missing = sorted(name for name in wanted if not importlib.util.find_spec(name))
    if missing:
        raise ValueError(f"input: needs {' and '.join(missing)}: pip install 'brain-tumor[scan]'")
