"""Make folders that are complete or not there at all."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary(home: Path, purpose: str) -> Iterator[Path]:
    """Make a folder in `home` to fill and rename; what is not renamed is removed.

    Unlike tempfile's, it has the user's usual permissions, so that what it becomes can be shared.
    """
    folder = home / f"{purpose}-{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
