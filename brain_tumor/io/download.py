"""Fetch an article's files from figshare by its API, held against their checksums; a download goes on where it was."""

import hashlib
import json
import re
import shutil
import urllib.request
from pathlib import Path
from typing import Any

from filelock import FileLock

_SECONDS = 60  # without a byte, until a server counts as gone
_NAME = re.compile(r"^[\w-][\w. -]*$")


def fetch(root: Path, source: str, wanted: str, by_hand: str) -> None:
    """Download the files of an article into `root`, unless it holds any.

    A file under way is called NAME.part, and the next call goes on with it.

    Args:
        root: the folder.
        source: address of the article in the API, such as https://api.figshare.com/v2/articles/1512427.
        wanted: regular expression that names have to match.
        by_hand: what to do where this fails.

    Raises:
        ValueError: the server cannot be reached, or gives other files than it says; says what to do by hand.
    """
    if _filled(root):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f"{root.name}.lock"):
        if _filled(root):  # another process was first
            return
        root.mkdir(exist_ok=True)
        try:
            listed = _listed(source, wanted)
            for file in listed:
                _download(file, root)
            for file in listed:  # only all together are a data set
                (root / f"{file['name']}.part").rename(root / file["name"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise ValueError(f"data.root={root}: is not there and cannot be fetched ({reason}). {by_hand}") from error


def _filled(root: Path) -> bool:
    return root.is_dir() and any(path.suffix != ".part" for path in root.iterdir())


def _listed(source: str, wanted: str) -> list[dict[str, Any]]:
    with _open(source) as answer:
        files = json.load(answer)["files"]
    found = [file for file in files if _NAME.match(file["name"]) and re.search(wanted, file["name"])]
    if not found:
        raise ValueError(f"{source} lists no such files")
    return found


def _download(file: dict[str, Any], root: Path) -> None:
    """Download a file to NAME.part, from where an earlier attempt has ended."""
    path = root / f"{file['name']}.part"
    size, checksum = int(file["size"]), str(file.get("supplied_md5") or file["computed_md5"])
    done = path.stat().st_size if path.exists() else 0
    if done < size:
        with _open(file["download_url"], done) as answer:
            resumes = answer.status == 206  # a server that knows no ranges begins anew
            with path.open("ab" if resumes else "wb") as target:
                shutil.copyfileobj(answer, target, 2**20)
    if path.stat().st_size < size:
        raise ValueError(f"{file['name']}: cut off at {path.stat().st_size} of {size} bytes; the same command goes on")
    with path.open("rb") as content:
        found = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != checksum:
        path.unlink()
        raise ValueError(f"{file['name']}: its MD5 is {found}, figshare says {checksum}; fetched anew next time")


def _open(address: str, start: int = 0) -> Any:
    if not address.startswith(("https://", "http://")):
        raise ValueError(f"{address}: no address on the web")
    headers = {"User-Agent": "brain_tumor"} | ({"Range": f"bytes={start}-"} if start else {})
    return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=_SECONDS)
