"""A file is downloaded whole or not at all."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from brain_tumor.io import download

CONTENT = bytes(range(256)) * 40
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()


class _Server(http.server.BaseHTTPRequestHandler):
    """Serve one file, of which it sends as much as `state` says."""

    def __init__(self, state: dict[str, Any], *arguments: Any) -> None:
        self.state = state
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.state["asked"] = self.state.get("asked", 0) + 1
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : self.state.get("end")])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, Any]]]:
    state: dict[str, Any] = {}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Server, state)) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/weights.pth", state
        running.shutdown()
        thread.join()


def _remote(address: str, size: int | None = None, checksum: str = CHECKSUM[:8]) -> download.Remote:
    return download.Remote(address, "weights.pth", "somebody", "sha256", checksum, size)


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_file_that_was_cut_off_is_not_there(
    server: tuple[str, dict[str, Any]], tmp_path: Path, size: int | None
) -> None:
    address, state = server
    state["end"] = 1000
    with pytest.raises(ValueError, match=r"weights\.pth: cut off at 1000 of 10240 bytes"):
        download.file(_remote(address, size), tmp_path)
    assert not (tmp_path / "weights.pth").exists()
    del state["end"]
    path = download.file(_remote(address, size), tmp_path)
    assert path.read_bytes() == CONTENT
    assert state["asked"] == 2
    download.file(_remote("http://127.0.0.1:9/gone"), tmp_path)  # which is there


def test_another_file_is_refused(server: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    address, _ = server
    with pytest.raises(ValueError, match=r"its SHA256 is .*, somebody says 0123"):
        download.file(_remote(address, checksum="0123"), tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_a_server_that_is_not_there_is_not_reachable(server: tuple[str, dict[str, Any]]) -> None:
    address, _ = server
    download.require_reachable(address, 4)
    with pytest.raises(OSError, match="refused"):
        download.require_reachable("http://127.0.0.1:9/gone", 4)
