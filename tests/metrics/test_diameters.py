"""Diameters beside brute force and known answers."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from brain_tumor.metrics import diameters

Mask = NDArray[np.bool_]


def _ellipse(
    half: tuple[float, float], angle: float, steps: tuple[float, float] = (1, 1), side: int = 128, middle: float = 0.0
) -> Mask:
    """Draw an ellipse with half axes in millimetres, turned by an angle in radians, on pixels of these steps."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2 + middle
    y, x = y * steps[0], x * steps[1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return np.asarray((along / half[0]) ** 2 + (across / half[1]) ** 2 <= 1)


def _blob(seed: int) -> Mask:
    noise = np.random.default_rng(seed).normal(size=(24, 26))
    return np.asarray(ndimage.gaussian_filter(noise, 1.2) > 0.12)


def _brute(mask: Mask, steps: NDArray[np.float64]) -> tuple[float, float]:
    """Measure a mask's largest part the slow way: all pairs of the outline's corners, and many lines across."""
    part = diameters.largest_part(mask)
    padded = np.pad(part, 1)
    corners = [
        (row + down / 2 - 1, column + right / 2 - 1)
        for row, column in np.argwhere(padded).tolist()
        for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0))
        if not padded[row + down, column + right]
    ]
    places = [steps @ corner for corner in corners]
    longest, first, second = max(
        (float(np.linalg.norm(b - a)), i, j) for i, a in enumerate(places) for j, b in enumerate(places) if i < j
    )
    along = (places[second] - places[first]) / longest
    edges = diameters.outline(part) @ steps.T
    turned = edges @ np.stack([along, [-along[1], along[0]]], 1)
    across = 0.0
    for place in np.linspace(turned[..., 0].min(), turned[..., 0].max(), 4001):
        met = (turned[..., 0].min(1) <= place) & (turned[..., 0].max(1) >= place)
        heights = []
        for (t0, h0), (t1, h1) in turned[met]:
            heights += [h0, h1] if t0 == t1 else [h0 + (place - t0) / (t1 - t0) * (h1 - h0)]
        across = max(across, max(heights) - min(heights))
    return longest, across


@pytest.mark.parametrize("seed", range(6))
def test_they_are_those_of_brute_force(seed: int) -> None:
    mask, steps = _blob(seed), np.diag([1.0, 1 + 0.4 * (seed % 3)])
    found = diameters.measure(mask[None], steps)
    assert found is not None
    longest, across = _brute(mask, steps)
    assert found.longest == pytest.approx(longest)
    assert across - 1e-9 <= found.across <= across + 0.05
    assert np.linalg.norm(steps @ (found.ends[1] - found.ends[0])) == pytest.approx(longest)


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.1, 2.5])
@pytest.mark.parametrize("steps", [(1.0, 1.0), (0.5, 0.9)])
def test_ellipses_have_their_axes(angle: float, steps: tuple[float, float]) -> None:
    mask = _ellipse((26.0, 14.0), angle, steps)
    found = diameters.measure(mask[None], np.diag(steps))
    assert found is not None
    assert found.longest == pytest.approx(52, abs=1.2 * max(steps))
    assert found.across == pytest.approx(28, abs=1.2 * max(steps))


def test_a_turned_grid_changes_nothing() -> None:
    mask = _ellipse((20.0, 9.0), 0.7, side=64)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    straight = diameters.measure(mask[None], np.diag([0.8, 1.3]))
    turned = diameters.measure(mask[None], turn[:, :2] * [0.8, 1.3])
    assert straight is not None
    assert turned is not None
    assert turned.longest == pytest.approx(straight.longest)
    assert turned.across == pytest.approx(straight.across)


def test_the_slice_with_the_longest_counts_and_its_largest_part_alone() -> None:
    masks = np.zeros((4, 20, 30), bool)
    masks[1, 5, 3:9] = True
    masks[2, 5, 3:10] = True  # 7 long
    masks[2, 12, 20:24] = masks[3, 5, 3:8] = True  # another part, which would make 19
    found = diameters.measure(masks, np.eye(2))
    assert found is not None
    assert (found.longest, found.across, found.place) == (7, 1, 2)
    assert found.ends.tolist() == [[5, 2.5], [5, 9.5]]
    assert diameters.measure(np.zeros((2, 4, 4), bool), np.eye(2)) is None
    one = np.zeros((1, 3, 3), bool)
    one[0, 1, 1] = True
    assert diameters.measure(one, np.eye(2))[:2] == (1, 1)  # type: ignore[index]


def test_a_ring_is_as_wide_as_its_disc() -> None:
    disc = _ellipse((20.0, 20.0), 0, side=64)
    ring = disc & ~_ellipse((12.0, 12.0), 0, side=64)
    assert diameters.measure(ring[None], np.eye(2))[:2] == diameters.measure(disc[None], np.eye(2))[:2]  # type: ignore[index]
