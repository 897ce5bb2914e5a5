"""Write files and folders that are complete or do not exist at all."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; it is renamed to `path`, or removed after an error.

    Each call has another path: if several processes write one file at once, the content of the last one stays, whole.
    """
    ending = ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix  # libraries choose the format by it
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}{ending}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder(home: Path, purpose: str) -> Iterator[Path]:
    """Make a temporary folder in `home` to fill and rename; a folder that is not renamed is removed.

    Unlike a folder of tempfile it has the user's usual permissions, so that it can be shared once it is renamed.
    """
    temporary = home / f"{purpose}-{secrets.token_hex(4)}"
    temporary.mkdir(parents=True)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
