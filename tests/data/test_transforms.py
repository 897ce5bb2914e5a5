"""Per-sample randomness, on training only, from the seed alone."""

from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from brain_tumor.data.transforms import Transforms
from brain_tumor.scans import standardization


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (64, 3, 20, 20), dtype=torch.uint8, generator=generator)


def test_matches_torchvision(images: torch.Tensor) -> None:
    reference = v2.Compose(
        [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    )
    torch.testing.assert_close(Transforms(normalize=True).eval()(images), reference(images))
    torch.testing.assert_close(Transforms().eval()(images), images / 255)


def test_flips_each_sample_by_itself(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    flipped = Transforms(flip=0.5).train()(images)
    plain = images / 255
    is_plain = (flipped == plain).flatten(1).all(1)
    is_flipped = (flipped == plain.flip(-1)).flatten(1).all(1)
    assert (is_plain ^ is_flipped).all()
    assert 16 < is_flipped.sum() < 48


def test_flair_stands_in_for_missing_sequences(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    many = images.repeat(16, 1, 1, 1)
    shown = Transforms(missing=0.6).train()(many)
    first, middle, last = (torch.isclose(shown, many / 255).flatten(2).all(2)[:, channel] for channel in range(3))
    assert middle.all()
    for kept, channel in ((first, 0), (last, 2)):
        assert torch.equal(shown[~kept, channel], shown[~kept, 1])
        assert 0.35 < (~kept).float().mean() < 0.45
    assert 0.15 < (~first & ~last).float().mean() < 0.25
    assert torch.equal(Transforms(missing=1).eval()(images), images / 255)


def test_the_seed_decides(images: torch.Tensor) -> None:
    transforms = Transforms(flip=0.5, rotate=15, scale=(0.9, 1.1)).train()
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        results.append(transforms(images))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.parametrize("settings", [{"flip": 0.5}, {"flip": 0.5, "rotate": 30, "scale": (0.8, 1.2)}])
def test_masks_move_with_their_images(settings: dict[str, Any]) -> None:
    masks = torch.zeros(64, 40, 40, dtype=torch.uint8)
    masks[:, 6:22, 4:15] = 1
    images = 255 * masks[:, None].expand(-1, 3, -1, -1)
    torch.manual_seed(0)
    shown, moved = Transforms(**settings).train().together(images, masks)
    assert moved is not None
    assert (moved.dtype, moved.shape) == (torch.uint8, masks.shape)
    assert 16 < (moved != masks).flatten(1).any(1).sum() <= 64
    # An edge that bilinear sampling softens is where nearest neighbour decides.
    torch.testing.assert_close((shown[:, 0] > 0.5).float(), moved.float(), atol=1.01, rtol=0)
    assert ((shown[:, 0] > 0.5) != moved).float().mean() < 0.01
    torch.manual_seed(0)
    assert torch.equal(Transforms(**settings).train()(images), shown)


def test_evaluation_is_not_random(images: torch.Tensor) -> None:
    transforms = Transforms(flip=1, rotate=90, scale=(0.5, 0.6)).eval()
    assert torch.equal(transforms(images), images / 255)


def test_rotation_turns_and_scaling_enlarges() -> None:
    square = torch.zeros(8, 3, 65, 65, dtype=torch.uint8)
    square[:, :, 24:41, 24:41] = 255
    area = square[0, 0].float().sum() / 255
    zoomed = Transforms(scale=(2, 2)).train()(square)
    torch.testing.assert_close(zoomed[0, 0].sum(), 4 * area, rtol=0.05, atol=0)
    turned = Transforms(rotate=45).train()(square)
    torch.testing.assert_close(turned.sum((1, 2, 3)) / 3, area.expand(8), rtol=0.03, atol=0)
    assert not torch.equal(turned[0], turned[1])


def _measured(images: torch.Tensor) -> torch.Tensor:
    """What each picture is standardized by, as if it were a volume: (B, 1, 3, 4)."""
    return torch.from_numpy(
        np.stack([standardization.measure(image.permute(1, 2, 0).numpy()[None]) for image in images])
    )


def test_standardized_intensities_have_no_unit(images: torch.Tensor) -> None:
    """Darker by half, or lighter by 20 grey levels: a network sees the same."""
    images = images.clamp(20, 200)
    transforms = Transforms(normalize=True).eval()
    seen = transforms(images, _measured(images))
    assert seen.mean((2, 3)).abs().max() < 0.01
    assert (seen.std((2, 3)) - 1).abs().max() < 0.01
    lighter = images + 20
    torch.testing.assert_close(transforms(lighter, _measured(lighter)), seen, atol=1e-4, rtol=0)
    darker = (images.float() / 2).round().byte()
    torch.testing.assert_close(transforms(darker, _measured(darker)), seen, atol=0.02, rtol=0)


def test_a_stripped_slice_is_standardized_by_what_is_left() -> None:
    images, masks = torch.full((32, 3, 64, 64), 200, dtype=torch.uint8), torch.ones(32, 64, 64, dtype=torch.uint8)
    images[:, :, 16:48, 16:48] = 60
    depths = torch.zeros(32, 1, 64, 64, dtype=torch.uint8)
    depths[:, :, 16:48, 16:48] = 9  # deeper than any strip of 64 pixels
    whole, stripped = torch.tensor([20.0, 220, 150, 70]), torch.tensor([10.0, 110, 60, 20])
    statistics = torch.stack([whole, *[stripped] * 10]).expand(32, 3, 11, 4).transpose(1, 2)
    torch.manual_seed(0)
    shown, left = Transforms(normalize=True, strip=0.5).train().together(images, masks, statistics, depths)
    assert left is not None
    is_stripped = left[:, 0, 0] == 0
    assert 8 < is_stripped.sum() < 24
    assert left[:, 16:48, 16:48].all()
    assert (left[is_stripped].sum((1, 2)) == 32 * 32).all()
    torch.testing.assert_close(shown[is_stripped][:, :, 30, 30], torch.zeros(int(is_stripped.sum()), 3))
    background = torch.full((int(is_stripped.sum()), 3), (10 - 60) / 20)
    torch.testing.assert_close(shown[is_stripped][:, :, 0, 0], background)
    kept = torch.full((int((~is_stripped).sum()), 3), (200 - 150) / 70)
    torch.testing.assert_close(shown[~is_stripped][:, :, 0, 0], kept)
    plain, whole_masks = Transforms(normalize=True, strip=1).eval().together(images, masks, statistics, depths)
    assert torch.equal(plain[:, :, 0, 0], torch.full((32, 3), (200 - 150) / 70))
    assert whole_masks is masks


@pytest.mark.parametrize("settings", [{"gamma": 0.5}, {"contrast": 0.5}, {"brightness": 0.5}])
def test_intensities_change_by_sequence_and_alike_for_neighbours(settings: dict[str, Any]) -> None:
    ramp = torch.arange(0, 250, 10, dtype=torch.uint8).repeat(40, 1).expand(16, 9, 40, 25)
    transforms = Transforms(normalize=True, **settings).train()
    for statistics in (None, torch.tensor([0.0, 240, 120, 70]).expand(16, 1, 3, 4)):
        torch.manual_seed(0)
        shown = transforms.together(ramp, None, statistics)[0]
        for channel in range(3):
            torch.testing.assert_close(shown[:, channel], shown[:, channel + 3])
            torch.testing.assert_close(shown[:, channel], shown[:, channel + 6])
        plain = transforms.eval().together(ramp, None, statistics)[0]
        changes = (shown - plain).abs().amax((2, 3))
        assert (changes > 1e-3).all()
        assert not torch.allclose(shown[0, 0] - plain[0, 0], shown[1, 0] - plain[1, 0])
        assert not torch.allclose(shown[0, 0] - plain[0, 0], shown[0, 1] - plain[0, 1])
        assert (shown[:, :, 0].diff(dim=-1) >= 0).all()  # brighter stays brighter
        transforms.train()


def test_elastic_displacement_is_smooth_and_small() -> None:
    ramp = torch.arange(0, 128, dtype=torch.uint8).repeat(128, 1).expand(16, 3, 128, 128)
    torch.manual_seed(0)
    shown = Transforms(elastic=0.02).train()(ramp)[:, 0, 20:-20, 20:-20] * 255
    moved = shown - ramp[:, 0, 20:-20, 20:-20]
    assert 1.5 < moved.std() < 3.5  # .02 of 128 pixels between the knots
    assert moved.diff(dim=1).abs().max() < 1.5
    assert not torch.equal(moved[0], moved[1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"strip": 2}, "transforms.strip=2: a probability"),
        ({"elastic": 0.5}, "transforms.elastic=0.5: give a value between 0 and 0.1"),
        ({"contrast": -1}, "transforms.contrast=-1: give a value between 0 and 1"),
        ({"flip": 1.5}, "transforms.flip=1.5"),
        ({"missing": -0.1}, "transforms.missing=-0.1"),
        ({"rotate": -1}, "transforms.rotate=-1"),
        ({"scale": (1.1, 0.9)}, "transforms.scale"),
        ({"std": (1, 0, 1)}, "std above 0"),
    ],
)
def test_refuses_bad_values(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Transforms(**values)  # type: ignore[arg-type]
