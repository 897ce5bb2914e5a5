"""Read uploaded files within limits; they are on disk under numbers, and are deleted afterwards."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from brain_tumor.scans import discovery
from brain_tumor.scans.cases import Case
from brain_tumor.scans.discovery import Source

_DEFLATED = "1.2.840.10008.1.2.1.99"  # a DICOM transfer syntax whose size is unknown until it is in memory


class Upload(Protocol):
    """A file as the browser sent it."""

    name: str
    size: int

    def getvalue(self) -> bytes:
        """Return its content."""


@dataclass(frozen=True)
class Limits:
    """Limits of uploads.

    Attributes:
        files: in one upload.
        megabytes: of all files of an upload together.
        voxels: of one decoded scan.
    """

    files: int
    megabytes: int
    voxels: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Limits":
        """Take the limits from the command's configuration."""
        return cls(config["max_files"], config["max_megabytes"], config["max_voxels"])

    def check(self, uploads: Sequence[Upload]) -> None:
        """Refuse an upload before any of it is read.

        Raises:
            ValueError: there are too many files or bytes.
        """
        if len(uploads) > self.files:
            raise ValueError(f"{len(uploads)} files are more than the {self.files} that are taken at once")
        if (size := sum(upload.size for upload in uploads)) > self.megabytes * 2**20:
            raise ValueError(f"{size / 2**20:.0f} MB are more than the {self.megabytes} that are taken at once")


@contextmanager
def opened(uploads: Mapping[str, Sequence[Upload]], limits: Limits) -> Iterator[dict[str, Case]]:
    """Write uploads to disk for as long as the block runs, and yield the cases in them by the names to show.

    Args:
        uploads: the files of each sequence by its name, or all files under "".
        limits: of the upload.

    Raises:
        ValueError: the upload is too large, or the files of a sequence are not one scan.
    """
    limits.check([file for files in uploads.values() for file in files])
    with tempfile.TemporaryDirectory(prefix="brain_tumor-") as folder:
        bounded = {}
        for place, (name, files) in enumerate(uploads.items()):
            sources = _sources(files, Path(folder, str(place)))
            bounded[name] = {shown: _bounded(source, limits) for shown, source in sources.items()}
        yield _cases(bounded)


def _sources(uploads: Sequence[Upload], folder: Path) -> dict[str, Source]:
    """Write files under numbers, and return the sources in them by the names to show."""
    folder.mkdir()
    shown, unread = {}, {}
    for place, upload in enumerate(uploads):
        content = upload.getvalue()
        path = folder / f"{place:05d}{_suffix(content)}"
        path.write_bytes(content)
        shown[path] = upload.name
        if problem := _deflated(path, content):
            unread[path] = problem
    sources = discovery.discover([str(path) for path in shown if path not in unread]).sources
    sources += [Source(path.stem, "", (path,), problem) for path, problem in unread.items()]
    named: dict[str, Source] = {}
    for source in sources:
        name = shown[source.paths[0]] + (f" and {len(source.paths) - 1} more" if len(source.paths) > 1 else "")
        named[name if name not in named else f"{name} ({source.case})"] = source
    return named


def _cases(uploaded: Mapping[str, Mapping[str, Source]]) -> dict[str, Case]:
    """Make a case of every source, or one case of all sequences, by the names to show."""
    if "" in uploaded:
        return {shown: Case(source.case, {"": source}) for shown, source in uploaded[""].items()}
    for name, sources in uploaded.items():
        if len(sources) != 1:
            raise ValueError(f"{name}: holds {len(sources)} scans; give one")
    sequences = {name: next(iter(sources.items())) for name, sources in uploaded.items()}
    shown, _ = sequences["flair"] if "flair" in sequences else next(iter(sequences.values()))
    return {shown: Case("scan", {name: source for name, (_, source) in sequences.items()})}


def _suffix(content: bytes) -> str:
    """Return the suffix of a gzip or NIfTI file; "" for others."""
    if content[:2] == b"\x1f\x8b":
        return ".nii.gz"
    return ".nii" if content[344:347] in {b"n+1", b"ni1"} or content[4:7] in {b"n+2", b"ni2"} else ""


def _deflated(path: Path, content: bytes) -> str:
    """Return why a DICOM file is refused whose decoded size cannot be known before; "" for other files."""
    if content[128:132] != b"DICM":
        return "a DICOM file without its preamble, which is not read here" if content[:2] == b"\x02\x00" else ""
    from pydicom.filereader import read_file_meta_info

    try:
        syntax = str(read_file_meta_info(path).get("TransferSyntaxUID", ""))
    except Exception as error:  # damaged files raise errors of any type
        return f"not a readable DICOM file ({type(error).__name__})"
    return "a deflated DICOM file, which is not read here" if syntax == _DEFLATED else ""


def _bounded(source: Source, limits: Limits) -> Source:
    """Return the source, with a problem if it is too large to decode or cannot be read."""
    if source.problem:
        return source
    if source.kind == "dicom" and any(path.suffix for path in source.paths):
        problem = "a packed DICOM file, which is not read here; unpack it first"
        return replace(source, problem=problem)
    try:
        size = _voxels(source)
    except MemoryError:
        raise
    except Exception as error:  # strangers' files raise errors of any type
        return replace(source, problem=f"cannot be read ({type(error).__name__})")
    if size <= limits.voxels:
        return source
    problem = f"has {size:,.0f} voxels, more than the {limits.voxels:,} that are taken here"
    return replace(source, problem=problem)


def _voxels(source: Source) -> float:
    """Return the number of voxels of a source from its header."""
    if source.kind == "image":
        with Image.open(source.paths[0]) as image:
            return float(image.width) * image.height
    if source.kind == "nifti":
        import nibabel

        shape: tuple[int, ...] = nibabel.load(source.paths[0]).shape  # type: ignore[attr-defined]
        size = 1.0
        for side in shape:
            size *= side
        return size
    from pydicom import dcmread

    header = dcmread(source.paths[0], stop_before_pixels=True, force=True)
    return float(header.Rows) * float(header.Columns) * (sum(map(len, source.frames)) or len(source.paths))
