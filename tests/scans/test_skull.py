"""Heads with skulls and brains alone are told apart, whatever is done to them, and what is neither is not told."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from brain_tumor.datasets import phantom
from brain_tumor.scans import nifti, volumes
from brain_tumor.scans.skull import has_skull, training_skull
from tests.conftest import REPOSITORY

SHARED = REPOSITORY.parent / "shared"
Images = NDArray[np.uint8]


def _draw() -> Images:
    """Every third slice of a phantom."""
    return np.stack([image for image, _ in phantom.draw_case(0, 0)[::3]])


def _trained(images: Images, cases: list[str]) -> bool | None:
    return training_skull(images, np.arange(len(images)), cases)


@pytest.fixture(scope="module")
def head() -> Images:
    return _draw()


@pytest.fixture(scope="module")
def brain() -> Images:
    """The same without scalp and bone, on the same noise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phantom, "_SCALP", (0, 0, 0))
        patch.setattr(phantom, "_BONE", (0, 0, 0))
        return _draw()


@pytest.fixture(scope="module")
def stripped(brain: Images) -> Images:
    """The same on black."""
    return _blacken(brain, 0)


def _blacken(images: Images, depth: float) -> Images:
    """Set all to 0 that lies outside the heads or within some pixels of their outlines."""
    kept = images.copy()
    for image in kept:
        parts, _ = ndimage.label(ndimage.binary_opening(image.max(-1) > 30, iterations=2))
        head = ndimage.binary_fill_holes(parts == 1 + np.bincount(parts.ravel())[1:].argmax()) if parts.any() else parts
        image[ndimage.distance_transform_edt(np.pad(head, 1))[1:-1, 1:-1] <= depth] = 0
    return kept


def _resize(images: Images, height: int, width: int) -> Images:
    return np.stack([np.asarray(Image.fromarray(image).resize((width, height))) for image in images])


def _surround(images: Images, pixels: int) -> Images:
    return np.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))


def _brighten(images: Images) -> Images:
    top = np.percentile(images[images > 0], 99.5)
    return np.asarray((images * (255 / top)).clip(0, 255), np.uint8)


def _add_noise(images: Images, deviation: float = 8) -> Images:
    real, imaginary = deviation * np.random.default_rng(0).standard_normal((2, *images.shape), np.float32)
    return np.asarray(np.hypot(images + real, imaginary).clip(0, 255), np.uint8)


CHANGES: dict[str, Callable[[Images], Images]] = {
    "as it is": lambda images: images,
    "turned": lambda images: np.rot90(images, 1, (1, 2)),
    "mirrored": lambda images: images[:, :, ::-1],
    "from the head down": lambda images: images[::-1],
    "96 pixels": lambda images: _resize(images, 96, 96),
    "512 pixels": lambda images: _resize(images, 512, 512),
    "dark": lambda images: images // 3,
    "by its percentile": _brighten,
    "noise": _add_noise,
    "dark in noise": lambda images: _add_noise(images // 4, 12),
    "small in the picture": lambda images: _surround(images, 60),
    "FLAIR alone": lambda images: images[..., [1, 1, 1]],
    "T1ce alone": lambda images: images * np.array([0, 0, 1], np.uint8),
    "upper half": lambda images: images[len(images) // 2 :],
    "lower half": lambda images: images[: len(images) // 2],
    "empty slices": lambda images: np.concatenate([np.zeros((60, *images.shape[1:]), np.uint8), images]),
    "cropped": lambda images: images[:, 24:-24, 40:-40],
    "two slices": lambda images: images[len(images) // 2 :][:2],
}


@pytest.mark.parametrize("change", CHANGES)
def test_heads_and_brains_are_told_apart(change: str, head: Images, brain: Images, stripped: Images) -> None:
    assert [has_skull(CHANGES[change](images)) for images in (head, brain, stripped)] == [True, False, False]


def test_pixels_need_not_be_square(head: Images, brain: Images) -> None:
    assert has_skull(_resize(head, 512, 48), (0.45, 4.8)) is True
    assert has_skull(_resize(brain, 512, 48), (0.45, 4.8)) is False


def test_one_channel_that_shows_it_is_enough(head: Images) -> None:
    flat = _blacken(head, 0)
    flat[flat.any(-1)] = 120
    assert has_skull(flat) is False
    for channel in range(3):
        flat[..., channel], kept = head[..., channel], flat[..., channel].copy()
        assert has_skull(flat) is True
        flat[..., channel] = kept


def test_single_slices_are_right_or_not_told(head: Images, brain: Images) -> None:
    for images, skull in ((head, True), (brain, False)):
        told = [has_skull(images[place : place + 1]) for place in range(len(images))]
        assert told.count(skull) > 0.6 * len(told)
        assert told.count(not skull) == 0


def test_a_small_cut_alone_is_not_told(head: Images, stripped: Images) -> None:
    """Near the crown, where scalp and skull are cut along, heads look as brains do."""
    for images in (head, stripped):
        small = _surround(images, 90)
        assert has_skull(small) is not None
        assert has_skull(small[len(small) // 2 :][:1]) is None


def test_what_is_no_head_is_not_told(head: Images) -> None:
    rng = np.random.default_rng(0)
    black = np.zeros((5, 128, 128, 3), np.uint8)
    speck = black.copy()
    speck[:, 60:66, 60:66] = 200
    box = black.copy()
    box[:, 20:100, 20:100] = 150
    for images in (
        black,
        black + np.uint8(255),
        rng.integers(0, 256, black.shape, np.uint8),
        rng.integers(0, 256, (1, 128, 128, 3), np.uint8),
        speck,
        box,
        255 - head,
        head[:0],
        head[:, :10],
    ):
        assert has_skull(images) is None


def test_most_slices_looked_at_must_show_a_head(head: Images) -> None:
    images = head[3:8].copy()
    noise = np.random.default_rng(0).integers(0, 256, images.shape, np.uint8)
    assert has_skull(np.where(np.arange(5)[:, None, None, None] == 2, noise, images)) is True
    assert has_skull(np.where(np.arange(5)[:, None, None, None] != 2, noise, images)) is None


def test_a_training_is_told_where_its_cases_agree(head: Images, brain: Images, tmp_path: Path) -> None:
    def stack(*cases: Images) -> tuple[Images, list[str]]:
        return np.concatenate(cases), [str(number) for number, own in enumerate(cases) for _ in own]

    images, cases = stack(head[::2], head[1::2])
    np.save(tmp_path / "images.npy", images)
    assert _trained(np.load(tmp_path / "images.npy", mmap_mode="r"), cases) is True
    assert _trained(*stack(brain[::2], brain[1::2])) is False
    assert _trained(*stack(head, brain)) is None
    assert _trained(images[:0], []) is None
    assert _trained(np.zeros_like(images), cases) is None
    # One odd case of thirty is no mixture, and slices of nobody known are cases of their own.
    pictures = np.stack([head[len(head) // 2]] * 29 + [brain[len(brain) // 2]])
    assert _trained(pictures, [""] * 30) is True
    assert _trained(np.concatenate([pictures[:26], pictures[-1:].repeat(4, 0)]), [""] * 30) is None


def test_few_slices_of_a_training_are_read(head: Images) -> None:
    class Counted(np.ndarray):
        read = 0

        def __getitem__(self, key: Any) -> Any:
            assert isinstance(key, int | np.integer), f"{key}: whole parts of the array are copied"
            Counted.read += 1
            return np.asarray(self)[key]

    images = np.repeat(head[2:7, ::2, ::2], 100, 0)
    cases = [f"{row // 10}" for row in range(500)]
    assert _trained(images.view(Counted), cases) is True
    assert 100 <= Counted.read <= 30 * 6


@pytest.mark.skipif(not (SHARED / "lgg").exists(), reason="the real data is not at hand")
def test_real_heads() -> None:
    """Of patients that chose no number: every second by name did."""
    archives = sorted((SHARED / "lgg" / "patients").glob("*.tar"))[1::2][::19]
    assert len(archives) == 3
    for path in archives:
        with tarfile.open(path) as archive:
            names = [name for name in archive.getnames() if name.endswith(".webp")]
            names.sort(key=lambda name: int(Path(name).stem.split("_")[-1]))
            contents = [archive.extractfile(name) for name in names]
            images = np.stack([np.asarray(Image.open(io.BytesIO(own.read()))) for own in contents if own])
        for channels in ([0, 1, 2], [1, 1, 1]):
            assert has_skull(images[..., channels]) is True, path
            stripped = _blacken(images, 15)[..., channels]
            assert has_skull(stripped) is False, path
            assert has_skull(_surround(stripped, 60)) is False, path


@pytest.mark.skipif(not (SHARED / "external").exists(), reason="the scan from elsewhere is not at hand")
@pytest.mark.parametrize("preset", volumes.PRESETS)
def test_a_skull_stripped_scan_from_elsewhere(preset: str) -> None:
    read = {}
    for name in ("t1", "flair", "t1ce"):
        volume = nifti.read(SHARED / "external" / f"{name}.nii.gz")
        grid = volumes.Grid.of(volume)
        read[name] = volumes.to_bytes(grid.slices(volume.values), preset)
    for shown in (("t1", "flair", "t1ce"), ("t1",) * 3, ("flair",) * 3, ("t1ce",) * 3):
        images = np.stack([read[name] for name in shown], -1)
        assert has_skull(images, grid.millimetres) is False
        assert has_skull(_add_noise(images[::9], 12), grid.millimetres) is False
        told = [has_skull(images[place : place + 1]) for place in range(0, len(images), 5)]
        assert told.count(False) > 10
        assert told.count(True) == 0
