"""The files of an archive: how they are listed, which belong together, and how executors get at them."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from brain_tumor.data import scans
from brain_tumor.data.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyarrow.fs import FileSystem

_ALONE = (*IMAGE_SUFFIXES, ".nii", ".nii.gz")  # what is called so is no part of a DICOM series


def find(text: str) -> list[str]:
    """List the files of a folder or a pattern, here or at a URL; nothing is opened.

    Raises:
        ValueError: there is none.
    """
    if "://" in text:
        found = _at_url(text)
    elif Path(text).is_dir():
        found = [str(path) for path in Path(text).resolve().rglob("*") if path.is_file()]
    else:
        found = [str(Path(path).resolve()) for path in glob(text, recursive=True)]
    found = sorted(path for path in found if not Path(path).name.startswith("."))
    if not found:
        raise ValueError(f"input={text}: no such files")
    return found


def _at_url(url: str) -> list[str]:
    from pyarrow.fs import FileSelector, FileType

    system, path = open_url(url)
    scheme = url.partition("://")[0]
    return [
        f"{scheme}://{own.path}"
        for own in system.get_file_info(FileSelector(path, recursive=True))
        if own.type == FileType.File
    ]


def belonging(batches: "Iterator[RecordBatch]") -> "Iterator[RecordBatch]":
    """Add to each `path` what it belongs to: the `whole` is a DICOM series' hash, or the path itself."""
    import pyarrow

    for batch in batches:
        paths = batch.column("path").to_pylist()
        yield pyarrow.RecordBatch.from_pydict({"path": paths, "whole": [_whole(path) for path in paths]})


def _whole(path: str) -> str:
    if path.lower().endswith(_ALONE):
        return path
    try:
        with at_hand([path]) as (local,):
            sources, _ = scans.discover([str(local)])
    except (ValueError, OSError):
        return path  # the row will say why
    return sources[0].case if [own.kind for own in sources] == ["dicom"] else path


@contextmanager
def at_hand(paths: Sequence[str]) -> Iterator[list[Path]]:
    """Fetch files that are URLs for as long as they are read; others stay where they are."""
    with tempfile.TemporaryDirectory(prefix="brain_tumor-") as folder:
        yield [_fetch(path, Path(folder, str(number))) for number, path in enumerate(paths)]


def _fetch(path: str, folder: Path) -> Path:
    if "://" not in path:
        return Path(path)
    folder.mkdir()
    target = folder / path.rpartition("/")[2]
    system, place = open_url(path)
    with system.open_input_stream(place) as source, target.open("wb") as sink:
        while block := source.read(2**22):
            sink.write(block)
    return target


def open_url(url: str) -> "tuple[FileSystem, str]":
    """Return the file system of a URL, and the path in it.

    Raises:
        ValueError: it is none that Arrow knows.
    """
    from pyarrow.fs import FileSystem

    try:
        system, path = FileSystem.from_uri(url)
    except (ValueError, OSError) as error:
        raise ValueError(f"{url}: not a place that Arrow opens, such as s3://BUCKET/FOLDER ({error})") from error
    return system, path
