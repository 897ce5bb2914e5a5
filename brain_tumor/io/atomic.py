"""Write files and folders that are complete or not there at all."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file(path: Path) -> Iterator[Path]:
    """Give a name beside `path`, with its ending, to write to; it becomes `path`, or after an error nothing.

    The name is this call's alone: of processes that write one file at once, the last one's is left, whole.
    """
    ending = ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix  # by which libraries choose the format
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}{ending}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder(home: Path, purpose: str) -> Iterator[Path]:
    """Make a folder in `home` to fill and rename; what is not renamed is removed.

    Unlike tempfile's, it has the user's usual permissions, so that what it becomes can be shared.
    """
    temporary = home / f"{purpose}-{secrets.token_hex(4)}"
    temporary.mkdir(parents=True)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
