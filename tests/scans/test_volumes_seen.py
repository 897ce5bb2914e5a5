"""How a network sees a volume: standardized intensities, outlines, the brain, neighbours, components."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from brain_tumor.scans import brain, components, fitted, head, standardization

SIDE = 96
AIR = np.zeros(3, np.uint8)


def _head(slices: int = 12) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw a head of ellipses, smaller towards the top: scalp 220, bone 15, brain about 110; return the brain, too."""
    down, across = np.indices((SIDE, SIDE)) - SIDE / 2 + 0.5
    images, brains = np.zeros((slices, SIDE, SIDE, 3), np.uint8), np.zeros((slices, SIDE, SIDE), bool)
    noise = np.random.default_rng(0).integers(-6, 7, images.shape)
    for number in range(slices):
        radius = np.hypot(down / 42, across / 36) / np.sqrt(1 - (number / slices) ** 2 / 2)
        images[number][radius < 1] = 220
        images[number][radius < 0.92] = 15
        brains[number] = radius < 0.82
        images[number][brains[number]] = 110
    shown = np.where(images > 30, images + noise, images)
    return shown.clip(0, 255).astype(np.uint8), brains


def test_statistics_are_those_of_what_is_not_background() -> None:
    values = np.repeat(np.arange(256), [10_000] * 9 + [10] * 247).astype(np.uint8)
    counts = standardization.count(np.stack([values] * 3, -1).reshape(1, 1, -1, 3))
    assert counts.shape == (1, 3, 256)
    low, high, mean, deviation = standardization.statistics(counts, AIR)[0, 1]
    seen = values[values > 8].astype(float)
    assert low == np.quantile(seen, 0.01, method="inverted_cdf")
    assert high == np.quantile(seen, 0.995, method="inverted_cdf")
    clipped = seen.clip(low, high)
    np.testing.assert_allclose([mean, deviation], [clipped.mean(), clipped.std()], rtol=1e-5)


def test_a_blank_volume_is_shown_as_it_is() -> None:
    blank = standardization.measure(np.full((2, 8, 8, 3), 3, np.uint8))
    assert (blank == np.array([0, 255, 0, 255])).all()


def test_counts_of_layers_hold_what_lies_deeper() -> None:
    generator = np.random.default_rng(1)
    images = generator.integers(0, 256, (3, 9, 7, 3), dtype=np.uint8)
    layers = generator.integers(0, 4, (3, 9, 7), dtype=np.uint8)
    counts = standardization.count(images, layers, 4)
    for layer in range(4):
        expected = standardization.count(images[layers >= layer][None, None])[0]
        np.testing.assert_array_equal(counts[layer], expected)


def test_depth_is_the_distance_from_the_outline() -> None:
    down, across = np.indices((SIDE, SIDE)) - SIDE / 2 + 0.5
    disc = np.zeros((SIDE, SIDE, 3), np.uint8)
    disc[np.hypot(down, across) < 30, 1] = 200
    disc[40:44, 40:44] = 0  # a hole belongs to the head
    disc[2:5, 2:5] = 255  # and a speck does not
    depth = head.depth(disc, AIR)
    assert depth[0, 0] == depth[3, 3] == 0
    assert depth[SIDE // 2, SIDE // 2] == pytest.approx(30, abs=1)
    assert depth[42, 42] > 15
    assert head.depth(np.full((40, 40, 3), 90, np.uint8), AIR)[20, :20].min() > 15  # a picture's border is no outline
    assert not head.depth(np.zeros((40, 40, 3), np.uint8), AIR).any()


def test_the_brain_lies_inside_the_ring_of_bone() -> None:
    images, truth = _head()
    found = brain.find(images)  # the drawn head is cut below its top
    outside = ~ndimage.binary_dilation(truth, iterations=4, structure=np.ones((1, 3, 3)))
    assert not (found & outside).any()
    assert found[truth].mean() > 0.9
    capped = np.concatenate([images, np.zeros_like(images[:3])])
    assert not brain.find(capped)[10:].any()  # two slices of scalp and bone end a head that is whole
    assert brain.find(capped)[9].any()
    assert brain.find(images[:1]).any()
    assert not brain.find(np.zeros((3, 64, 64, 3), np.uint8)).any()


def test_air_may_be_grey() -> None:
    """As in the first sequence of three patients of the LGG data, where it is brighter than parts of the head."""
    images, _ = _head()
    grey = images.copy()
    noise = np.random.default_rng(1).integers(0, 3, images.shape[:3]).astype(np.uint8)
    grey[..., 0] = np.where(images[..., 0] == 0, 103, images[..., 0].clip(None, 220) + 30) + noise
    level = standardization.air(grey)
    assert 103 <= level[0] <= 105
    np.testing.assert_array_equal(level[1:], 0)
    np.testing.assert_array_equal(standardization.air(images), 0)
    low, high, mean, _ = standardization.measure(grey)[0, 0]
    seen = grey[..., 0][grey[..., 0] > level[0] + 8]
    assert mean == pytest.approx(seen.clip(low, high).mean(), abs=0.1)
    assert seen.mean() > 140
    expected, found = (head.depth(volume[3], standardization.air(volume)) for volume in (images, grey))
    assert ((expected > 0) == (found > 0)).mean() > 0.98
    assert (brain.find(grey) == brain.find(images)).mean() > 0.97


def test_neighbours_stand_from_below_to_above_and_a_slice_stands_in_for_missing_ones() -> None:
    rows = fitted.around(np.array([0, 1, 0, 0, 0]), np.array([4, 4, 3, 5, 8]), 1, 1)
    np.testing.assert_array_equal(rows, [[2, 0, 3], [1, 1, 1], [2, 2, 0], [0, 3, 3], [4, 4, 4]])
    np.testing.assert_array_equal(fitted.around(np.zeros(4, int), np.arange(4), 1, 3)[0], [0, 0, 3])
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 5, 3), dtype=np.uint8)
    seen = fitted.of_volume(images, standardized=True, neighbours=1, numbers=np.array([1, 2, 3, 5]))
    assert seen.images.shape == (4, 5, 5, 9)
    np.testing.assert_array_equal(seen.middle, images)
    np.testing.assert_array_equal(seen.images[1], np.concatenate([images[0], images[1], images[2]], -1))
    np.testing.assert_array_equal(seen.images[3, ..., 6:], images[3])
    assert seen.statistics is not None
    expected = standardization.measure(images)[0]
    assert (seen.statistics == expected).all()


def test_components_are_kept_by_their_share_of_the_largest() -> None:
    volume = np.zeros((5, 20, 20), np.uint8)
    volume[0:3, 2:6, 2:6] = 1  # 48 voxels
    volume[4, 10:16, 10:14] = 1  # 24
    volume[0, 18, 18] = 1
    assert components.keep_large(volume, 0) is volume
    assert components.keep_large(volume, 0.01).sum() == 73
    assert components.keep_large(volume, 0.5).sum() == 72
    assert components.keep_large(volume, 0.51).sum() == components.keep_large(volume, 1).sum() == 48
    volume[0, 18, 18], volume[4, 10:16, 14:18] = 0, 1  # two of one size: the first alone is the largest
    assert components.keep_large(volume, 1).sum() == 48
