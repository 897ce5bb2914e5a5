"""The midline of heads whose middle is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from brain_tumor.scans import midline

SIDE = 96


def _head(
    angle: float, tilt: float, lesion: tuple[float, float], radius: float = 7
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw a head, turned by degrees and leaning by so many pixels a slice, with a lesion so far from its middle."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    images, masks, turn = [], [], np.radians(angle)
    for place in range(14):
        right, down = x - SIDE / 2 - 4 - tilt * (place - 7), y - SIDE / 2
        along, across = right * np.cos(turn) + down * np.sin(turn), down * np.cos(turn) - right * np.sin(turn)
        head = (along / 30) ** 2 + (across / 38) ** 2 < 1
        image = head * 100.0 + (head & (np.abs(along) < 2)) * 60
        mask = (along - lesion[0]) ** 2 + (across - lesion[1]) ** 2 < radius**2
        masks.append(mask & (4 <= place < 9))
        image[masks[-1]] = 250
        images.append(image)
    return np.stack(images)[..., None].astype(np.uint8), np.stack(masks)


@pytest.mark.parametrize(("angle", "tilt"), [(0, 0), (9, 0.4), (-14, -0.4)])
def test_the_side_is_the_patients(angle: float, tilt: float) -> None:
    for lesion, side in (((-14, 4), "right"), ((14, -8), "left"), ((0, 5), "both")):
        images, masks = _head(angle, tilt, lesion)
        found = midline.find(images, masks, (1.0, 1.0))
        assert found is not None
        assert found.side(masks) == side
        assert found.side(np.zeros_like(masks)) == ""
    assert found is not None
    thin = np.zeros_like(masks)
    middle = np.argwhere(np.ones(masks.shape, bool))
    near = np.abs(middle @ found.normal + found.offset) < 0.012
    thin.reshape(-1)[near] = True
    assert found.side(thin) == "unknown"


def test_pixels_that_are_not_square_are_no_matter() -> None:
    images, masks = _head(10, 0, (14, 4))
    found = midline.find(images[:, ::2], masks[:, ::2], (2.0, 1.0))
    assert found is not None
    assert found.side(masks[:, ::2]) == "left"


def test_what_has_no_symmetry_has_no_midline() -> None:
    images, masks = _head(0, 0, (14, 4))
    assert midline.find(np.zeros_like(images), masks, (1.0, 1.0)) is None
    noise = np.random.default_rng(0).integers(0, 255, images.shape, dtype=np.uint8)
    noise[np.random.default_rng(1).random(images.shape) < 0.7] = 0
    assert midline.find(noise, masks, (1.0, 1.0)) is None
