"""Slices unlike a training's: other patients' are known, turned, inverted and foreign ones are marked."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from brain_tumor.data.novelty import Novelty
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets import phantom
from brain_tumor.datasets.cheng import Cheng
from brain_tumor.datasets.lgg import Lgg
from tests.conftest import data_of


def _fit(images: np.ndarray, cases: list[str]) -> Novelty | None:
    return Novelty.fit(images.__getitem__, np.arange(len(images)), cases)


@pytest.fixture(scope="module")
def slices() -> tuple[np.ndarray, list[str]]:
    """Slices (n, 256, 256, 3) of twenty phantoms, and whose they are."""
    images = [np.stack([image for image, _ in phantom.draw_case(0, number)]) for number in range(20)]
    return np.concatenate(images), [str(number) for number, own in enumerate(images) for _ in own]


@pytest.fixture(scope="module")
def novelty(slices: tuple[np.ndarray, list[str]]) -> Novelty:
    found = _fit(*slices)
    assert found
    return found


def test_other_patients_are_known_and_other_pictures_are_not(novelty: Novelty) -> None:
    new = np.concatenate([np.stack([image for image, _ in phantom.draw_case(1, number)]) for number in range(8)])
    marked = {
        "held out": novelty.score(new) > 1,
        "turned": novelty.score(np.rot90(new, 1, (1, 2))) > 1,
        "inverted": novelty.score(255 - new) > 1,
        "noise": novelty.score(np.random.default_rng(0).integers(0, 256, (9, 256, 256, 3), dtype=np.uint8)) > 1,
    }
    shares = {name: own.mean() for name, own in marked.items()}
    assert shares["held out"] <= 0.1
    assert shares["turned"] > 3 * shares["held out"]
    assert shares["inverted"] == shares["noise"] == 1


def test_known_slices_are_near_and_order_is_kept(novelty: Novelty, slices: tuple[np.ndarray, list[str]]) -> None:
    scores = novelty.score(slices[0][:40])
    assert scores.max() < 1e-3
    assert novelty.score(slices[0][:0]).shape == (0,)


def test_it_is_kept_and_read_again(novelty: Novelty, slices: tuple[np.ndarray, list[str]], tmp_path: Path) -> None:
    path = tmp_path / "novelty.npz"
    assert Novelty.read(path) is None
    novelty.write(path)
    again = Novelty.read(path)
    assert again
    turned = np.rot90(slices[0][:9], 1, (1, 2))
    np.testing.assert_array_equal(again.score(turned), novelty.score(turned))
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"no archive", b""):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"novelty\.npz: damaged"):
            Novelty.read(path)
    np.savez(path, thumbnails=np.array([{"a": 1}], dtype=object), threshold=1.0)
    with pytest.raises(ValueError, match=r"novelty\.npz: damaged"):
        Novelty.read(path)


def test_too_little_to_learn_from() -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    assert _fit(images[:5], list("abcde")) is None
    assert _fit(images, ["a"] * 30) is None
    assert _fit(images, [""] * 30)
    assert _fit(images[:0], []) is None


def test_slices_that_all_look_alike_mark_nothing(tmp_path: Path) -> None:
    alike = np.full((30, 32, 32, 3), 7, np.uint8)
    assert _fit(alike, [str(number) for number in range(30)]) is None
    # Earlier versions wrote a threshold of 0, with which everything was refused.
    Novelty(np.zeros((30, 192), np.uint8), 0.0).write(tmp_path / "novelty.npz")
    assert Novelty.read(tmp_path / "novelty.npz") is None


def test_only_what_is_kept_is_read() -> None:
    """A reader that counts: of 5,000 slices, the first, the last and others, 4,000 in all."""
    rows = np.arange(5000)
    images = _Counting(np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3), dtype=np.uint8))
    assert Novelty.fit(images.__getitem__, rows, [str(row) for row in rows])
    assert (len(images.read), max(images.read)) == (4000, 4999)


class _Counting:
    def __init__(self, pictures: np.ndarray) -> None:
        self.pictures, self.read = pictures, set[int]()

    def __getitem__(self, row: int) -> np.ndarray:
        self.read.add(int(row))
        return self.pictures[int(row) % len(self.pictures)]  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.skipif("BRAIN_TUMOR_LGG" not in os.environ, reason="set BRAIN_TUMOR_LGG to the real data's folder")
def test_the_real_data(tmp_path: Path) -> None:
    """Prints the shares that docs/scans.md tells, of fold 1 of 5 (pytest -s shows them)."""
    settings: dict[str, Any] = {"transforms": Transforms(), "cache_dir": str(tmp_path), "folds": 5, "fold": 1}
    data = data_of(Lgg, root=os.environ["BRAIN_TUMOR_LGG"], **settings)
    data.prepare_data()
    data.setup()
    train, images = data.rows["train"], data.decoded.images[data.rows["test"]]
    novelty = Novelty.fit(data.store.stretched, train, list(data.table["case"].iloc[train]))
    assert novelty
    pictures = {
        "held out": images,
        "turned by 90 degrees": np.rot90(images, 1, (1, 2)),
        "turned by 180 degrees": np.rot90(images, 2, (1, 2)),
        "red and blue exchanged": images[..., ::-1],
        "FLAIR in all channels": np.repeat(images[..., 1:2], 3, -1),
        "inverted": 255 - images,
        "without a skull": _without_skull(images),
    }
    if "BRAIN_TUMOR_CHENG" in os.environ:
        other = data_of(Cheng, root=os.environ["BRAIN_TUMOR_CHENG"], **settings)
        other.prepare_data()
        other.setup()
        pictures["of the tumour-type data set"] = other.decoded.images
    shares = {name: float((novelty.score(np.ascontiguousarray(own)) > 1).mean()) for name, own in pictures.items()}
    for name, share in shares.items():
        print(f"{name}: {share:.1%}")
    assert shares["held out"] <= 0.05
    assert shares["turned by 90 degrees"] > 0.3
    assert shares["inverted"] == 1


def _without_skull(images: np.ndarray) -> np.ndarray:
    """Blacken all that lies outside the head's outline or within 16 pixels of it."""
    kept = images.copy()
    for image in kept:
        head = ndimage.binary_fill_holes(ndimage.binary_opening(image.max(-1) > 25, iterations=2))
        image[~ndimage.binary_erosion(head, iterations=16)] = 0
    return kept
