"""Decoded once, shared, noticed when changed, and never half written."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain_tumor.data import cache, decoding
from brain_tumor.data.reading import read
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets import kaggle_3m
from brain_tumor.datasets.base import COLUMNS, Listing, Stack
from brain_tumor.datasets.folder import Folder, list_slices
from brain_tumor.datasets.lgg import Lgg
from brain_tumor.datasets.phantom3d import Phantom3d
from brain_tumor.scans.images import Content, fit_image, fit_mask, read_files
from tests.conftest import data_of, environment, write_image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for index in range(6):
        write_image(tmp_path / "data" / ("yes" if index % 2 else "no") / f"{index}.png", seed=index)
    return tmp_path / "data"


def _load(root: Path, cache_dir: Path) -> cache.DecodedSlices:
    return cache.load(list_slices(root), 32, cache_dir)


def test_holds_what_the_files_hold(phantoms: Path, cache_dir: Path) -> None:
    listing = kaggle_3m.list_slices(phantoms)
    found, table = cache.load(listing, 64, cache_dir), listing.table
    assert isinstance(found.images, np.memmap)
    assert found.masks is not None
    tree = phantoms / "kaggle_3m"
    for row in (0, 50, len(table) - 1):
        content = read_files(*(tree / str(table[column][row]) for column in ("path", "mask")))
        assert content.mask is not None
        np.testing.assert_array_equal(found.images[row], fit_image(content.image, 64, "").pixels)
        np.testing.assert_array_equal(found.masks[row], fit_mask(content.mask, 64, "").pixels)
        np.testing.assert_array_equal(found.original_mask(row), content.mask)
        assert found.facts["positive"][row] == content.mask.any()


def test_the_second_load_decodes_nothing(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _load(root, tmp_path)
    monkeypatch.setattr(decoding, "decode", lambda *_: pytest.fail("decoded again"))
    assert _load(root, tmp_path).key == first.key


def test_another_target_and_split_decode_nothing(
    phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    for settings in ({}, {"target": "tumour", "split": "patient"}, {"folds": 3, "fold": 1}):
        data = data_of(Lgg, root=str(phantoms), transforms=Transforms(), cache_dir=str(tmp_path), size=32, **settings)
        data.setup()
        keys.append(data.decoded.key)
        monkeypatch.setattr(decoding, "decode", lambda *_: pytest.fail("decoded again"))
    assert len(set(keys)) == 1


def test_a_target_that_the_data_does_not_allow(root: Path, tmp_path: Path) -> None:
    data = data_of(Folder, root=str(root), target="tumour", transforms=Transforms(), cache_dir=str(tmp_path), size=32)
    with pytest.raises(ValueError, match=r"data.target=tumour: this data allows class"):
        data.setup()


def test_data_without_masks_serves_none(root: Path, tmp_path: Path) -> None:
    data = data_of(Folder, root=str(root), transforms=Transforms(), cache_dir=str(tmp_path), size=32)
    data.setup()
    with pytest.raises(ValueError, match="data: has no masks, which this model learns from"):
        data.serve_masks()


def test_equal_data_elsewhere_shares_the_array(root: Path, tmp_path: Path) -> None:
    key = _load(root, tmp_path).key
    shutil.copytree(root, tmp_path / "copy")
    assert _load(tmp_path / "copy", tmp_path).key == key
    assert len(list((tmp_path / "slices").glob("*/images.npy"))) == 1


def test_a_changed_file_is_noticed(root: Path, tmp_path: Path) -> None:
    first = _load(root, tmp_path)
    write_image(root / "no" / "0.png", seed=99)
    second = _load(root, tmp_path)
    assert second.key != first.key
    assert (second.images[0] != first.images[0]).any()


def test_a_touched_file_gives_the_same_key(root: Path, tmp_path: Path) -> None:
    first = _load(root, tmp_path)
    os.utime(root / "no" / "0.png", (1, 1))
    assert _load(root, tmp_path).key == first.key


def test_a_bad_file_leaves_nothing_behind(root: Path, tmp_path: Path) -> None:
    (root / "no" / "0.png").write_bytes(b"")
    (root / "no" / "2.png").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"0\.png: the file is empty.*and 1 more"):
        _load(root, tmp_path)
    assert [path for path in (tmp_path / "slices").iterdir() if path.suffix != ".lock"] == []


def test_processes_that_start_together_decode_once(root: Path, tmp_path: Path) -> None:
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.conftest"])  # the libraries, once for all
    with ProcessPoolExecutor(4, mp_context=context) as pool:
        keys = {slice_.key for slice_ in pool.map(_load, [root] * 4, [tmp_path] * 4)}
    assert len(keys) == 1
    assert len(list((tmp_path / "slices").glob("*/images.npy"))) == 1
    assert list((tmp_path / "slices").glob("decoding-*")) == []


def _left(cache_dir: Path) -> list[Path]:
    return [path for path in (cache_dir / "slices").iterdir() if path.suffix != ".lock"]


def test_a_disk_that_is_too_small_is_refused_before_decoding(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=6 * 32 * 32 * 3 - 1))
    monkeypatch.setattr(decoding, "decode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=rf"cache_dir={tmp_path}: 6 decoded slices take 0.0 MB, and 0.0 are free"):
        _load(root, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=6 * 32 * 32 * 3))
    with pytest.raises(pytest.fail.Exception):
        _load(root, tmp_path)


def test_a_disk_that_fills_meanwhile_ends_in_one_line(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "packbits", full)
    monkeypatch.setattr(decoding, "write_array_header_1_0", full)
    with pytest.raises(
        ValueError, match=r"cache_dir=.*: No space left on device while slices were decoded\. Make room"
    ):
        _load(root, tmp_path)
    assert _left(tmp_path) == []


def test_a_really_full_disk(tmp_path: Path) -> None:
    """A mount of 3 MB: less than it has free at first is needed, and another file takes the rest meanwhile."""
    for index in range(20):
        write_image(tmp_path / "data" / ("yes" if index % 2 else "no") / f"{index}.png", seed=index, size=(300, 300))
    (tmp_path / "small").mkdir()
    script = (
        "import shutil; from pathlib import Path; from types import SimpleNamespace\n"
        "from brain_tumor.data import cache; from brain_tumor.datasets.folder import list_slices\n"
        "shutil.disk_usage = lambda _: SimpleNamespace(free=10**12)\n"
        "cache.load(list_slices(Path('data')), 300, Path('small'))\n"
    )
    mounted = f'mount -t tmpfs -o size=3m tmpfs small && "{sys.executable}" -c "$0"; echo "exit $?"; du -s small'
    finished = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mounted, script],
        cwd=tmp_path, env=environment(tmp_path / "small"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "exit" not in finished.stdout or "mount:" in finished.stderr:
        pytest.skip(f"no mounts for users here: {finished.stderr.strip()[:80]}")
    assert "ValueError: cache_dir=small: No space left on device" in finished.stderr
    assert "exit 1\n0\tsmall" in finished.stdout


def test_reads_in_order_and_not_far_ahead(tmp_path: Path) -> None:
    taken, most, guard = [0], [0], threading.Lock()
    started = [0]

    def slow(path: Path, _: Path | None) -> Content:
        with guard:
            started[0] += 1
            most[0] = max(most[0], started[0] - taken[0])
        if path.stem.endswith("0"):
            time.sleep(0.01)
        return Content(np.full((4, 4, 3), int(path.stem), np.uint8), path.stem)

    count = 40 * (os.cpu_count() or 1)
    table = pd.DataFrame({"path": [f"{number % 256}.png" for number in range(count)], "mask": ""}, columns=COLUMNS)
    digests = []
    for _, results in read(Listing(tmp_path, table, reader=slow), 4, "reading"):
        assert not isinstance(results, ValueError)
        digests.append(results[0][0].digest)
        taken[0] += 1
    assert digests == [str(number % 256) for number in range(count)]
    assert most[0] <= 5 * (os.cpu_count() or 1)


def test_too_little_memory_is_no_bad_file(root: Path) -> None:
    def hungry(*_: Any) -> Content:
        raise MemoryError

    listing = list_slices(root)
    listing.reader = hungry
    with pytest.raises(MemoryError):
        list(read(listing, 4, "reading"))


def test_a_killed_decoding_of_volumes_goes_on(tmp_path: Path) -> None:
    """What is read twice is at most the volume that was under way; the arrays are those of an unbroken decoding."""
    dataset = Phantom3d(cases=5, shape=(24, 20, 16), cache_dir=str(tmp_path))
    whole = cache.load(dataset.listing(), 32, tmp_path / "unbroken")
    reads: list[str] = []

    def listing(killed_after: int) -> Listing:
        listing = dataset.listing()
        assert listing.stacks is not None

        def read(stack: Stack) -> list[Content]:
            if len(reads) == killed_after:
                raise KeyboardInterrupt
            reads.append(stack.name)
            return stack.read()

        stacks = [replace(stack, read=partial(read, stack)) for stack in listing.stacks]
        return replace(listing, stacks=stacks)

    with pytest.raises(KeyboardInterrupt):
        cache.load(listing(3), 32, tmp_path / "cache")
    (begun,) = (tmp_path / "cache" / "slices").glob("*.partial")
    with (begun / "images.npy").open("ab") as file:
        file.write(b"half a slice")
    written = len((begun / "progress.jsonl").read_text().splitlines()) // 16
    reads.clear()
    found = cache.load(listing(99), 32, tmp_path / "cache")
    assert 0 < written <= 3
    assert sorted(reads) == [stack.name for stack in dataset.listing().stacks or []][written:]
    assert found.key == whole.key
    np.testing.assert_array_equal(found.images, whole.images)
    np.testing.assert_array_equal(found.masks, whole.masks)
    for row in range(len(found.facts)):
        np.testing.assert_array_equal(found.original_labels(row), whole.original_labels(row))
    assert not list((tmp_path / "cache" / "slices").glob("*.partial"))
