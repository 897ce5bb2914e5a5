"""The files of an archive: how they are listed, which belong together, and how executors get at them."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from brain_tumor.io import walk
from brain_tumor.scans import file_types, inputs, series
from brain_tumor.scans.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyarrow.fs import FileSystem

_ALONE = (*IMAGE_SUFFIXES, ".nii", ".nii.gz")  # what is called so is no part of a DICOM series


def find(text: str) -> list[str]:
    """List the files of a folder or a pattern, here or at a URL; nothing is opened.

    What cannot be opened and may be a scan is listed, too, so that it has its row; hidden files, systems' own and
    results of ours are not.

    Raises:
        ValueError: there is none.
    """
    if "://" in text:
        found = _at_url(text)
    else:
        inside = inputs.gather([text])
        # Absolute, but a link keeps its name: other machines may not have what it stands for under that path.
        found = [str(path.absolute()) for path in [*inside.files, *inside.lost]]
    if not found:
        raise ValueError(f"input={text}: no such files")
    return sorted(found)


def _at_url(url: str) -> list[str]:
    from pyarrow.fs import FileSelector, FileType

    system, path = open_url(url)
    scheme = url.partition("://")[0]
    inside = system.get_file_info(FileSelector(path, recursive=True))
    files = [own.path for own in inside if own.type == FileType.File]
    ours = {file.removesuffix(walk.MARK) for file in files if file.endswith(f"/{walk.MARK}")}
    return [
        f"{scheme}://{file}"
        for file in files
        if not any(map(walk.is_hidden, file.removeprefix(path).split("/"))) and not file.startswith(tuple(ours))
    ]


def belonging(batches: "Iterator[RecordBatch]") -> "Iterator[RecordBatch]":
    """Add to each `path` what it may belong to: the `whole` is a hash of a DICOM study, or the path itself."""
    import pyarrow

    for batch in batches:
        paths = batch.column("path").to_pylist()
        yield pyarrow.RecordBatch.from_pydict({"path": paths, "whole": [_whole(path) for path in paths]})


def _whole(path: str) -> str:
    if path.lower().endswith(_ALONE):
        return path
    if path.lower().removesuffix(".gz").endswith((".hdr", ".img")):  # a volume of two files
        return path[: path.lower().rindex(".hdr" if ".hdr" in path.lower()[-7:] else ".img")]
    try:
        with at_hand([path]) as (local,):
            if file_types.of(local).name == "dicom":
                return series.study(local) or _home(path)
    except (ValueError, OSError):
        pass  # the row will say why
    return path


@contextmanager
def at_hand(paths: Sequence[str]) -> Iterator[list[Path]]:
    """Fetch files that are URLs for as long as they are read; others stay where they are."""
    with tempfile.TemporaryDirectory(prefix="brain_tumor-") as folder:
        # What lies in one folder does so here, too, since that is a part of what belongs together.
        homes = {home: str(number) for number, home in enumerate(dict.fromkeys(map(_home, paths)))}
        yield [_fetch(path, Path(folder, homes[_home(path)])) for path in paths]


def _home(path: str) -> str:
    return path.rpartition("/")[0]


def _fetch(path: str, folder: Path) -> Path:
    if "://" not in path:
        return Path(path)
    folder.mkdir(exist_ok=True)
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
