"""List the files of an archive, group those that belong together, and fetch them for executors."""

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

_ALONE = (*IMAGE_SUFFIXES, ".nii", ".nii.gz")  # files with these suffixes are no part of a DICOM series


def find(text: str) -> list[str]:
    """List the files of a folder or a pattern, here or at a URL, without opening them.

    Files that cannot be opened but may be scans are listed, too, so that they get a row. Hidden files, files of the
    system and results of brain_tumor are not listed.

    Raises:
        ValueError: there are no files.
    """
    if "://" in text:
        paths = _at_url(text)
    else:
        gathered = inputs.gather([text])
        # Absolute, but links stay: another machine may not have a link's target under the same path.
        paths = [str(path.absolute()) for path in [*gathered.files, *gathered.lost]]
    if not paths:
        raise ValueError(f"input={text}: no such files")
    return sorted(paths)


def _at_url(url: str) -> list[str]:
    from pyarrow.fs import FileSelector, FileType

    system, path = open_url(url)
    scheme = url.partition("://")[0]
    infos = system.get_file_info(FileSelector(path, recursive=True))
    files = [info.path for info in infos if info.type == FileType.File]
    results = {file.removesuffix(walk.MARK) for file in files if file.endswith(f"/{walk.MARK}")}
    return [
        f"{scheme}://{file}"
        for file in files
        if not any(map(walk.is_hidden, file.removeprefix(path).split("/"))) and not file.startswith(tuple(results))
    ]


def belonging(batches: "Iterator[RecordBatch]") -> "Iterator[RecordBatch]":
    """Add to each `path` the `whole` that it belongs to: a hash of its DICOM study, or the path itself."""
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
        pass  # the file's row will say why
    return path


@contextmanager
def at_hand(paths: Sequence[str]) -> Iterator[list[Path]]:
    """Yield local paths of files; those at URLs are downloaded for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="brain_tumor-") as folder:
        # Files of one folder stay in one folder, since the folder helps to tell which files belong together.
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
        ValueError: Arrow cannot open it.
    """
    from pyarrow.fs import FileSystem

    try:
        system, path = FileSystem.from_uri(url)
    except (ValueError, OSError) as error:
        raise ValueError(f"{url}: not a place that Arrow opens, such as s3://BUCKET/FOLDER ({error})") from error
    return system, path
