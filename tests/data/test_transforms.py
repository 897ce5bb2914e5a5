"""Per-sample randomness, on training only, from the seed alone."""

from typing import Any

import pytest
import torch
from torchvision.transforms import v2

from brain_tumor.data.transforms import Transforms


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


@pytest.mark.parametrize(
    ("values", "message"),
    [
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
