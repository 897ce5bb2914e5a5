"""Decoded once, shared, noticed when changed, and never half written."""

import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from brain_tumor.data import cache, folders, kaggle_3m
from brain_tumor.data.images import fit_image, fit_mask, read_files
from brain_tumor.data.sources import FolderDataModule, LggDataModule
from brain_tumor.data.transforms import Transforms
from tests.conftest import write_image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for index in range(6):
        write_image(tmp_path / "data" / ("yes" if index % 2 else "no") / f"{index}.png", seed=index)
    return tmp_path / "data"


def _load(root: Path, cache_dir: Path) -> cache.Slices:
    return cache.load(folders.list_slices(root), 32, cache_dir)


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
    monkeypatch.setattr(cache, "_decode", lambda *_: pytest.fail("decoded again"))
    assert _load(root, tmp_path).key == first.key


def test_another_target_and_split_decode_nothing(
    phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    for settings in ({}, {"target": "tumour", "split": "patient"}, {"folds": 3, "fold": 1}):
        data = LggDataModule(root=str(phantoms), transforms=Transforms(), cache_dir=str(tmp_path), size=32, **settings)
        data.setup()
        keys.append(data.decoded.key)
        monkeypatch.setattr(cache, "_decode", lambda *_: pytest.fail("decoded again"))
    assert len(set(keys)) == 1


def test_a_target_that_the_data_does_not_allow(root: Path, tmp_path: Path) -> None:
    data = FolderDataModule(root=str(root), target="tumour", transforms=Transforms(), cache_dir=str(tmp_path), size=32)
    with pytest.raises(ValueError, match=r"data.target=tumour: this data allows class"):
        data.setup()


def test_data_without_masks_serves_none(root: Path, tmp_path: Path) -> None:
    data = FolderDataModule(root=str(root), transforms=Transforms(), cache_dir=str(tmp_path), size=32)
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
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        keys = {slice_.key for slice_ in pool.map(_load, [root] * 4, [tmp_path] * 4)}
    assert len(keys) == 1
    assert len(list((tmp_path / "slices").glob("*/images.npy"))) == 1
    assert list((tmp_path / "slices").glob("decoding-*")) == []
