"""Read files through gzip where their content is gzipped, whatever their names."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

_GZIP = b"\x1f\x8b"


def is_packed(path: Path) -> bool:
    """Return whether a file's content is gzipped."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to read, and unpack it on the way where its content is gzipped.

    Raises:
        OSError: the file cannot be opened. Reading a damaged file may also raise EOFError and zlib.error.
    """
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        if not packed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as inner:
            yield cast(IO[bytes], inner)
