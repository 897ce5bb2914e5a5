"""Unpack zip and tar files within limits: nothing outside of the folder, no links, no bombs."""

import gzip
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

_MOST_FILES = 100_000
_MOST_BYTES = 2**33  # of all files together, once unpacked
_CHUNK = 2**20
_Member = tuple[str, IO[bytes]]


def is_archive(path: Path) -> bool:
    """Return whether a file's content is zip, or tar of any compression."""
    return path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))


@contextmanager
def unpacked(archive: Path, folder: Path) -> Iterator[Path]:
    """Unpack an archive into a folder for as long as the block runs, and yield the folder.

    Files get the archive's own time, so that unpacking again does not look like a change. What an earlier call that
    was cut off has left in the folder is removed first.

    Raises:
        ValueError: the archive is damaged, encrypted or too large, or a name in it leads out of the folder.
    """
    shutil.rmtree(folder, ignore_errors=True)
    is_new = not folder.parent.exists()
    folder.mkdir(parents=True)
    try:
        _unpack(archive, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if is_new and not any(folder.parent.iterdir()):
            folder.parent.rmdir()


def _unpack(archive: Path, folder: Path) -> None:
    members = _of_zip(archive) if zipfile.is_zipfile(archive) else _of_tar(archive)
    time, left = archive.stat().st_mtime_ns, _MOST_BYTES
    try:
        for count, (name, content) in enumerate(members):
            if count >= _MOST_FILES:
                raise ValueError(f"{archive}: holds more than {_MOST_FILES:,} files")
            path = folder / _inside(archive, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with content, path.open("wb") as file:
                while chunk := content.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise ValueError(f"{archive}: unpacks to more than {_MOST_BYTES:,} bytes")
                    file.write(chunk)
            os.utime(path, ns=(time, time))
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, LZMAError, EOFError) as error:
        raise ValueError(f"{archive}: is damaged, or cut short ({type(error).__name__})") from error
    except (RuntimeError, NotImplementedError) as error:  # what zipfile raises
        raise ValueError(f"{archive}: is encrypted, or packed in a way that is not read; unpack it yourself") from error


def _of_zip(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            if not member.is_dir():
                yield member.filename, opened.open(member)


def _of_tar(archive: Path) -> Iterator[_Member]:
    with tarfile.open(archive) as opened:
        for member in opened:
            # Links and devices are left out: nothing in an archive may point elsewhere.
            if member.isfile() and (content := opened.extractfile(member)) is not None:
                yield member.name, content


def _inside(archive: Path, name: str) -> PurePosixPath:
    """Return a member's path below the folder.

    Raises:
        ValueError: it leads elsewhere.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or ":" in path.parts[0]:
        raise ValueError(f"{archive}: a name in it leads out of its folder")
    return path
