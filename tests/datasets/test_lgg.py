"""The published digests, fetching, and the real data where it is at hand."""

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from brain_tumor.data.split import Split
from brain_tumor.data.targets import classify
from brain_tumor.datasets import kaggle_3m, lgg
from tests.conftest import REPOSITORY

SHARED = REPOSITORY.parent / "shared" / "lgg"


def test_the_package_knows_every_published_file() -> None:
    digests = lgg.published()
    assert len(digests) == 2 * 3929
    assert len({name.split("/")[0] for name in digests}) == 110
    if (SHARED / "sha256.txt").exists():
        lines = (line.split("  ") for line in (SHARED / "sha256.txt").read_text().splitlines())
        assert digests == {path: digest[:16] for digest, path in lines}


def test_comparison_names_what_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lgg, "published", lambda: {"a/a_1.tif": "0" * 16, "a/a_1_mask.tif": "0" * 16})
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a_1.tif").write_bytes(b"other")
    (tmp_path / "a" / "a_2.tif").write_bytes(b"more")
    assert lgg.compare(tmp_path) == [
        f"{tmp_path}/a/a_1_mask.tif: missing, though published",
        f"{tmp_path}/a/a_1.tif: not the published content",
        f"{tmp_path}/a/a_2.tif: not among the published files",
    ]


def test_fetches_what_is_missing(tmp_path: Path, phantoms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(handle: str, output_dir: str) -> None:
        assert handle == "mateuszbuda/lgg-mri-segmentation"
        shutil.copytree(phantoms / "kaggle_3m", Path(output_dir) / "kaggle_3m")

    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=download))
    lgg.fetch(tmp_path / "lgg")
    assert len(kaggle_3m.list_slices(tmp_path / "lgg").table) > 100


def test_without_a_network_says_how_to_fetch_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(handle: str, output_dir: str) -> None:
        raise ConnectionError(f"no route for {handle} to {output_dir}")

    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=download))
    with pytest.raises(ValueError, match=r"cannot be fetched .*Download it in a browser"):
        lgg.fetch(tmp_path / "lgg")


def test_refuses_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("x")
    with pytest.raises(ValueError, match="no kaggle_3m folder"):
        lgg.fetch(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif("BRAIN_TUMOR_LGG" not in os.environ, reason="set BRAIN_TUMOR_LGG to the real data's folder")
def test_the_real_data_is_as_published() -> None:
    from brain_tumor.data.inspection import inspect

    listing = kaggle_3m.list_slices(Path(os.environ["BRAIN_TUMOR_LGG"]))
    found = inspect(listing)
    assert found.problems == []
    assert (found.facts["cases"], found.facts["slices"], found.facts["class 'tumour'"]) == ("110", "3929", "1373")
    assert lgg.compare(listing.root) == []
    table = listing.table.assign(digest=listing.table["path"], positive=False)
    parts = pd.Series(Split().draw(table, classify(table, "tumour")[1]))
    assert parts.value_counts().to_dict() == {"train": 3339, "test": 590}
