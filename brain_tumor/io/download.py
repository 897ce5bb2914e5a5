"""Download files whole or not at all, held against their checksums; figshare's articles by its API."""

import hashlib
import json
import re
import shutil
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from filelock import FileLock
from tqdm import tqdm

_SECONDS = 60  # without a byte, until a server counts as gone
_NAME = re.compile(r"^[\w-][\w. -]*$")


class Remote(NamedTuple):
    """A file on a server.

    Attributes:
        address: where it is.
        name: what it is called here.
        publisher: who has said what its checksum is.
        algorithm: of the checksum: "md5" or "sha256".
        checksum: in hexadecimal, or its first digits.
        size: in bytes; None where it is unknown: such a download begins anew after a break.
    """

    address: str
    name: str
    publisher: str
    algorithm: str
    checksum: str
    size: int | None = None


def file(remote: Remote, folder: Path) -> Path:
    """Download a file into a folder, unless it is there; processes that ask at once download it once.

    Returns:
        Its path.

    Raises:
        OSError: the server cannot be reached.
        ValueError: the download was cut off, or the server gives another file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / remote.name
    with FileLock(folder / f"{remote.name}.lock"):
        if not path.exists():
            _download(remote, folder).rename(path)
    return path


def require_reachable(address: str, seconds: float) -> None:
    """Ask a server for a file, and hang up once it answers.

    Raises:
        OSError: there is no answer within so many seconds.
    """
    # A thread, because looking up a host name heeds no time limit.
    pool = ThreadPoolExecutor(1)
    answer = pool.submit(urllib.request.urlopen, address, timeout=seconds)
    pool.shutdown(wait=False)
    answer.result(timeout=seconds).close()


def fetch(root: Path, source: str, wanted: str, by_hand: str) -> None:
    """Download the files of an article on figshare into `root`, unless it holds any.

    A file under way is called NAME.part, and the next call goes on with it.

    Args:
        root: the folder.
        source: address of the article in the API, such as https://api.figshare.com/v2/articles/1512427.
        wanted: regular expression that names have to match.
        by_hand: what to do where this fails.

    Raises:
        ValueError: the server cannot be reached, or gives other files than it lists; the message adds `by_hand`.
    """
    if _filled(root):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f"{root.name}.lock"):
        if _filled(root):  # another process was first
            return
        root.mkdir(exist_ok=True)
        try:
            parts = [_download(remote, root) for remote in _listed(source, wanted)]
            for part in parts:  # only all together are a data set
                part.rename(part.with_suffix(""))
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise ValueError(f"data.root={root}: is not there and cannot be fetched ({reason}). {by_hand}") from error


def _filled(root: Path) -> bool:
    return root.is_dir() and any(path.suffix != ".part" for path in root.iterdir())


def _listed(source: str, wanted: str) -> list[Remote]:
    """List the wanted files of an article."""
    with _open(source) as answer:
        files = json.load(answer)["files"]
    remotes = [
        Remote(
            address=entry["download_url"],
            name=entry["name"],
            publisher="figshare",
            algorithm="md5",
            checksum=str(entry.get("supplied_md5") or entry["computed_md5"]),
            size=int(entry["size"]),
        )
        for entry in files
        if _NAME.match(entry["name"]) and re.search(wanted, entry["name"])
    ]
    if not remotes:
        raise ValueError(f"{source} lists no such files")
    return remotes


def _download(remote: Remote, folder: Path) -> Path:
    """Download a file to NAME.part, from where an earlier attempt has ended; return that path."""
    path = folder / f"{remote.name}.part"
    done = path.stat().st_size if path.exists() and remote.size is not None else 0
    size = remote.size
    if size is None or done < size:
        with _open(remote.address, done) as answer:
            size = size or int(answer.headers.get("Content-Length", 0))
            resumes = answer.status == 206  # a server that knows no ranges begins anew
            with path.open("ab" if resumes else "wb") as target:
                _copy(answer, target, remote.name, size - done * resumes)
    if path.stat().st_size < size:
        raise ValueError(f"{remote.name}: cut off at {path.stat().st_size} of {size} bytes; the same command goes on")
    _require_checksum(remote, path)
    return path


def _copy(answer: Any, target: BinaryIO, title: str, size: int) -> None:
    bar = tqdm.wrapattr(answer, "read", total=size, desc=title, leave=False, disable=None)
    with bar as body:
        shutil.copyfileobj(body, target, 2**20)


def _require_checksum(remote: Remote, path: Path) -> None:
    """Remove a file with another checksum than its publisher's, and say so."""
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, lambda: hashlib.new(remote.algorithm, usedforsecurity=False)).hexdigest()
    if not digest.startswith(remote.checksum):
        path.unlink()
        raise ValueError(
            f"{remote.name}: its {remote.algorithm.upper()} is {digest}, {remote.publisher} says {remote.checksum}; "
            "fetched anew next time"
        )


def _open(address: str, start: int = 0) -> Any:
    if not address.startswith(("https://", "http://")):
        raise ValueError(f"{address}: no address on the web")
    headers = {"User-Agent": "brain_tumor"} | ({"Range": f"bytes={start}-"} if start else {})
    return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=_SECONDS)
