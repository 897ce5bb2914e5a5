"""The tumour-type data set: its files in every state, its folds, and fetching it from a server that stands in."""

import hashlib
import http.server
import json
import shutil
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io

from brain_tumor.data import cache
from brain_tumor.data.split import Split
from brain_tumor.datasets import cheng, cheng_files
from brain_tumor.io import download
from tests.conftest import REPOSITORY, Command
from tests.mat import write_set, write_slice

SHARED = REPOSITORY.parent / "shared" / "cheng"
SMALL = ["data.size=32", "data.batch_size=16", "trainer.max_epochs=2", "model.weights=none"]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 slices of 15 patients, two of whom are called alike but for a last letter, and the authors' folds."""
    folder = tmp_path_factory.mktemp("cheng")
    write_set(folder)
    return folder


def test_lists_patients_types_and_the_authors_folds(small: Path) -> None:
    listing = cheng.list_slices(small)
    table = listing.table
    assert not listing.problems
    assert table["path"].tolist() == [f"{number}.mat" for number in range(1, 31)]
    assert table["class"].value_counts().to_dict() == dict.fromkeys(cheng_files.CLASSES.values(), 10)
    assert sorted(set(table["fold"])) == [0, 1, 2, 3, 4]
    assert table["case"].nunique() == 15
    assert table["person"].nunique() == 14
    assert not cheng.contradictions(listing)
    assert len(cheng.together(listing)) == 1


def test_reads_an_image_of_any_range_and_both_versions_alike(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(-500, 9000, (40, 48)).astype(np.int16)
    image[0, :2] = [-1000, 32767]  # one pixel far above the others stays from blackening them
    mask = np.zeros((40, 48), np.uint8)
    mask[5:15, 20:30] = 1
    write_slice(tmp_path / "1.mat", image, mask)
    scipy.io.savemat(tmp_path / "2.mat", {"cjdata": {"PID": "100360", "label": 1, "image": image, "tumorMask": mask}})
    first, second = (cheng_files.read(tmp_path / name) for name in ("1.mat", "2.mat"))
    assert first.mask is not None
    assert (first.mask == mask).all()
    assert first.image.shape == (40, 48, 3)
    assert first.image[0, 0, 0] == 0
    assert np.median(first.image) > 90
    assert (first.image == second.image).all()
    assert first.digest == second.digest
    assert cheng.list_slices(tmp_path).table["case"].tolist() == ["100360", "100360"]


def test_white_and_black_of_a_flat_slice(tmp_path: Path) -> None:
    write_slice(tmp_path / "1.mat", np.full((8, 8), 7, np.int16), np.eye(8, dtype=np.uint8))
    assert not cheng_files.read(tmp_path / "1.mat").image.any()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published file is not at hand")
def test_reads_the_published_file(tmp_path: Path) -> None:
    (tmp_path / "1.mat").symlink_to(SHARED / "original_1.mat")
    content = cheng_files.read(tmp_path / "1.mat")
    with h5py.File(tmp_path / "1.mat") as file:
        image, mask, border = (file["cjdata"][name][()] for name in ("image", "tumorMask", "tumorBorder"))
    assert content.mask is not None
    assert (content.mask == mask.T).all()
    assert content.mask.sum() == 4569
    # The published outline is pairs of x and y from 1 in MATLAB's display, so it says which way is up.
    rows, columns = np.nonzero(content.mask)
    pairs = border.reshape(-1, 2)
    for found, told in ((columns, pairs[:, 0]), (rows, pairs[:, 1])):
        assert [found.min() + 1, found.max() + 1] == pytest.approx([told.min(), told.max()], abs=2)
    darkest, brightest = np.unravel_index(image.argmin(), image.shape), np.unravel_index(image.argmax(), image.shape)
    assert content.image[darkest[::-1]][0] == 0
    assert content.image[brightest[::-1]][0] == 255
    table = cheng.list_slices(tmp_path).table
    assert table[["case", "class", "fold"]].to_numpy().tolist() == [["100360", "meningioma", -1]]


def _broken(path: Path, kind: str) -> None:
    image, mask = np.arange(64, dtype=np.int16).reshape(8, 8), np.eye(8, dtype=np.uint8)
    if kind == "cut":
        write_slice(path, image, mask)
        path.write_bytes(path.read_bytes()[:2500])
    elif kind == "structure":
        with h5py.File(path, "w", userblock_size=512) as file:
            file["other"] = image
    elif kind == "version 4":
        scipy.io.savemat(path, {"cjdata": image}, format="4")
    elif kind == "no mask":
        write_slice(path, image, None)
    elif kind == "label":
        write_slice(path, image, mask, label=4)
    elif kind == "values":
        write_slice(path, image, mask * 3)
    elif kind == "size":
        write_slice(path, image, mask[:5])
    else:
        path.write_bytes(b"no MATLAB file at all" * 100)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("cut", "cut short"), ("structure", "no cjdata.PID"), ("version 4", "version 7.3 or 5"),
        ("no mask", "no cjdata.tumorMask"), ("label", "label 4"), ("values", "other values than 0 and 1"),
        ("size", "Both must have one size"), ("text", "no MATLAB file"),
    ],
)  # fmt: skip
def test_a_bad_file_is_named_in_one_line(kind: str, said: str, small: Path, tmp_path: Path) -> None:
    for path in small.glob("*.mat"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "7.mat").unlink()
    _broken(tmp_path / "7.mat", kind)
    listing = cheng.list_slices(tmp_path)
    with pytest.raises(ValueError, match=said) as raised:
        cache.load(listing, 32, tmp_path / "cache")
    assert "7.mat" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_zips_are_unpacked_once_and_whole(small: Path, tmp_path: Path) -> None:
    _zip(small, tmp_path)
    table = cheng.list_slices(tmp_path).table
    assert table["fold"].min() == 0
    pd.testing.assert_frame_equal(table, cheng.list_slices(small).table)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["unpacked"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "first.zip").write_bytes((tmp_path / "brainTumorDataPublic_1-15.zip").read_bytes()[:500])
    with pytest.raises(ValueError, match="cut short, or no zip"):
        cheng.list_slices(other)
    assert not [path for path in other.iterdir() if path.is_dir()]


def _zip(small: Path, folder: Path) -> None:
    for first, last in ((1, 15), (16, 30)):
        with zipfile.ZipFile(folder / f"brainTumorDataPublic_{first}-{last}.zip", "w") as archive:
            for number in range(first, last + 1):
                archive.write(small / f"{number}.mat", f"{number}.mat")
    (folder / "cvind.mat").write_bytes((small / "cvind.mat").read_bytes())


def test_people_with_several_names_stay_together_unless_told_otherwise(small: Path) -> None:
    divided = {}
    for together in (True, False):
        table = cheng.list_slices(small, together).table.assign(digest=lambda own: own["path"])
        labels = table["class"].map(sorted(set(table["class"])).index).to_numpy()
        same = table["case"].isin(["MR1A", "MR1B"]).to_numpy()
        divided[together] = 0
        for seed in range(8):
            parts = [Split(folds=5, fold=fold, split_seed=seed).draw(table, labels)[same] for fold in range(5)]
            divided[together] += any(len(set(own)) > 1 for own in parts)
    assert divided[True] == 0
    assert divided[False] > 0


def test_trains_on_an_authors_fold(small: Path, command: Command, tmp_path: Path) -> None:
    given = ["data=cheng", f"data.root={small}", "data.split=given", "data.fold=4", *SMALL]
    command("train", *given, "model=cnn", f"output_dir={tmp_path}/runs", cwd=tmp_path)
    folder = next((tmp_path / "runs").glob("cheng-*"))
    split = pd.read_csv(folder / "split.csv", dtype={"case": str})
    tested = set(split["path"][split["part"] == "test"])
    folds = cheng.list_slices(small).table
    assert tested == set(folds["path"][folds["fold"] == 4])  # the authors call it 5
    assert json.loads((folder / "results.json").read_text())["data"]["kind"] == "cheng"


def test_verify_knows_what_was_published(small: Path, command: Command, tmp_path: Path) -> None:
    own = command("verify", "data=cheng", f"data.root={small}", cwd=tmp_path).stdout
    assert "class 'meningioma'" in own
    assert "names are 14 people" in own
    held = command("verify", "data=cheng", f"data.root={small}", "published=true", cwd=tmp_path, check=False)
    assert held.returncode == 1
    assert "meningioma: 10 slices, published are 708" in held.stdout


class _Server(http.server.BaseHTTPRequestHandler):
    """Figshare's API in small, which cuts the first download of a file off in the middle."""

    def __init__(self, files: dict[str, bytes], state: dict[str, Any], *arguments: Any) -> None:
        self.files, self.state = files, state
        super().__init__(*arguments)

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if name == "article":
            base = f"http://{self.headers['Host']}/files"
            listed = [
                {
                    "name": own, "size": len(content), "download_url": f"{base}/{own}",
                    "computed_md5": self.state.get("md5") or hashlib.md5(content).hexdigest(),
                }
                for own, content in self.files.items()
            ]  # fmt: skip
            return self._send(200, json.dumps({"files": listed}).encode())
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.state.setdefault("starts", []).append((name, start))
        content = self.files[name][start:]
        if name.endswith(".zip") and start == 0 and self.state.get("cut"):
            return self._send(200, content, len(content) // 2)
        return self._send(206 if start else 200, content)

    def _send(self, status: int, content: bytes, limit: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:limit])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(small: Path, tmp_path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Serve the small set's zips: the article's address, and what to change about the server."""
    published = tmp_path / "published"
    published.mkdir()
    _zip(small, published)
    files = {path.name: path.read_bytes() for path in published.iterdir()} | {"README.txt": b"not wanted"}
    state: dict[str, Any] = {}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Server, files, state)) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/article", state
        running.shutdown()
        thread.join()


def _fetch(root: Path, source: str) -> None:
    download.fetch(root, source, cheng.WANTED, cheng.BY_HAND)


def test_a_download_goes_on_where_it_was_cut_off(server: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    source, state = server
    root = tmp_path / "data" / "cheng"
    state["cut"] = True
    for _ in range(2):  # each of the two zips is cut off once
        with pytest.raises(ValueError, match=r"cut off at .*the same command goes on"):
            _fetch(root, source)
        assert all(path.suffix == ".part" for path in root.iterdir())
    _fetch(root, source)
    resumed = [start for name, start in state["starts"] if name.endswith(".zip") and start]
    assert len(resumed) == 2
    assert len(cheng.list_slices(root).table) == 30
    count = len(state["starts"])
    _fetch(root, source)
    assert len(state["starts"]) == count  # what is there is not fetched again


def test_a_wrong_checksum_is_refused(server: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    source, state = server
    state["md5"] = "0" * 32
    with pytest.raises(ValueError, match=r"its MD5 is .* figshare says 0000"):
        _fetch(tmp_path / "cheng", source)


def test_without_a_network_it_says_how_to_do_it_by_hand(command: Command, tmp_path: Path) -> None:
    asked = ["data=cheng", f"data.root={tmp_path}/none", "data.source=http://127.0.0.1:9/article"]
    failed = command("verify", *asked, cwd=tmp_path, check=False)
    assert failed.returncode == 1
    last = failed.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "cannot be fetched" in last
    assert "doi.org/10.6084/m9.figshare.1512427" in last


def test_a_slice_that_is_there_twice_is_a_problem(small: Path, tmp_path: Path) -> None:
    shutil.copytree(small, tmp_path / "data")
    (tmp_path / "data" / "again").mkdir()
    shutil.copy(small / "3.mat", tmp_path / "data" / "again" / "3.mat")
    (tmp_path / "data" / "._3.mat").write_bytes(b"Mac OS X")
    listing = cheng.list_slices(tmp_path / "data")
    assert len(listing.table) == 30
    (problem,) = listing.problems
    assert f"{tmp_path}/data/again/3.mat: slice 3 is there twice, also as {tmp_path}/data/3.mat" in problem


def test_a_zip_that_came_later_is_noticed(small: Path, tmp_path: Path) -> None:
    for name, numbers in (("first.zip", range(1, 16)), ("second.zip", range(16, 31))):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for number in numbers:
                archive.write(small / f"{number}.mat", f"{number}.mat")
        if name == "first.zip":
            assert len(cheng.list_slices(tmp_path).table) == 15
    with pytest.raises(ValueError, match=r"unpacked: lacks 16\.mat of second\.zip, which came later"):
        cheng.list_slices(tmp_path)
    shutil.rmtree(tmp_path / cheng_files.UNPACKED)
    assert len(cheng.list_slices(tmp_path).table) == 30
