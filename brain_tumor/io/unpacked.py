"""Read files through gzip, whatever they are called."""

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
    """Open a file to read, unpacked on the way where its content is gzipped.

    Raises:
        OSError: it cannot be opened; on reading also EOFError and zlib.error, where it is damaged.
    """
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        if not packed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as inner:
            yield cast(IO[bytes], inner)
