"""Phantoms look like the real layout and are no giveaway."""

from pathlib import Path

import numpy as np

from brain_tumor.datasets import kaggle_3m, phantom


def test_the_seed_decides_every_pixel() -> None:
    first, again, other = (phantom.draw_case(seed, 1) for seed in (0, 0, 1))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0][0], other[0][0])


def test_cases_are_as_described() -> None:
    for number in range(4):
        case = phantom.draw_case(0, number)
        assert 20 <= len(case) <= 40
        positive = np.array([mask.any() for _, mask in case])
        assert np.abs(np.diff(positive.astype(int))).sum() <= 2  # one contiguous run
        assert 0 < positive.sum() < len(case)
        image, mask = case[int(np.flatnonzero(positive)[0])]
        assert image.shape == (256, 256, 3)
        assert set(np.unique(mask)) == {0, 255}
        sequences = image.reshape(-1, 3)[image.max(-1).ravel() > 40].astype(float)
        assert (np.abs(np.corrcoef(sequences.T) - np.eye(3)).max()) < 0.99


def test_brightness_alone_does_not_tell(phantoms: Path) -> None:
    """The brightest FLAIR value, a one-number classifier, must not separate the classes."""
    from PIL import Image

    table = kaggle_3m.list_slices(phantoms).table
    tree = phantoms / "kaggle_3m"
    peak = np.array([np.asarray(Image.open(tree / path))[..., 1].max() for path in table["path"]])
    label = np.array([np.asarray(Image.open(tree / mask)).any() for mask in table["mask"]])
    best = max(((peak > threshold) == label).mean() for threshold in np.unique(peak))
    assert best < 0.9
