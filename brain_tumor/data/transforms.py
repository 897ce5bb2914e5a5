"""Turn uint8 images into the model's input on any device, with random augmentation per sample."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Transforms(nn.Module):
    """Convert, augment (training only) and normalize a batch of images, and move its masks along.

    The paper's four sets (section V, experiments 1-4) are `normalize` and `flip` on or off; rotation and scaling are
    its outlook (section VIII). Every random choice is drawn per sample, from torch's global generator.

    Args:
        flip: probability of a horizontal flip.
        normalize: subtract `mean` and divide by `std`; otherwise values stay in [0, 1].
        mean: per channel, in [0, 1]; ImageNet's by default.
        std: per channel, above 0; ImageNet's by default.
        rotate: largest rotation to either side, in degrees.
        scale: smallest and largest zoom factor.
        missing: probability that a sample lacks the first channel, the last, or both, equally often. The middle one,
            FLAIR, replaces a missing sequence, as in the LGG data, where 10 of 110 patients lack one or two.

    Raises:
        ValueError: a value is out of range.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        flip: float = 0.0,
        normalize: bool = False,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        rotate: float = 0.0,
        scale: Sequence[float] = (1.0, 1.0),
        missing: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in (("flip", flip), ("missing", missing)):
            if not 0 <= value <= 1:
                raise ValueError(f"transforms.{name}={value}: a probability lies between 0 and 1")
        if not 0 <= rotate <= 180:
            raise ValueError(f"transforms.rotate={rotate}: give degrees between 0 and 180")
        if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
            raise ValueError(f"transforms.scale={list(scale)}: give two positive factors, the smaller first")
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError("transforms.mean and transforms.std need three values each, std above 0")
        self.flip = flip
        self.normalize = normalize
        self.rotate = rotate
        self.scale = tuple(scale)
        self.missing = missing
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Transform uint8 (B, 3, H, W) into float32 (B, 3, H, W); random only in `.train()` mode."""
        return self.together(images, None)[0]

    def together(self, images: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Transform images uint8 (B, 3, H, W) with their masks uint8 (B, H, W) of 0 and 1; one draw moves both.

        Masks stay uint8 of 0 and 1: they are flipped and warped (nearest neighbour), but not normalized.
        """
        if self.training and self.flip:
            flipped = self.draw_variants(len(images), images.device)
            images, masks = _flip(images, flipped), None if masks is None else _flip(masks, flipped)
        if self.training and self.missing:
            images = self._replace_missing(images)
        x = images.to(torch.float32).div_(255)
        if self.training and self.warps:
            grid = self._draw_grid(x)
            x = _sample(x, grid, "bilinear")
            masks = None if masks is None else _sample(masks[:, None].float(), grid, "nearest")[:, 0].to(torch.uint8)
        return (x.sub_(self.mean).div_(self.std) if self.normalize else x), masks

    @property
    def hyperparameters(self) -> dict[str, bool | int | float | str]:
        """The settings that the record and the dashboard show."""
        return {
            "flip": self.flip,
            "normalize": self.normalize,
            "rotate": self.rotate,
            "scale": "1" if self.scale == (1, 1) else " to ".join(f"{factor:g}" for factor in self.scale),
            "missing": self.missing,
        }

    @property
    def warps(self) -> bool:
        """Whether rotation or scaling is on."""
        return self.rotate > 0 or self.scale != (1.0, 1.0)

    @property
    def only_flips(self) -> bool:
        """Whether flips are the only random change in training, so that an image has at most two variants."""
        return not (self.warps or self.missing)

    def draw_variants(self, count: int, device: torch.device) -> Tensor:
        """Draw for `count` samples whether training flips them: int64 (count,), 1 for flipped and 0 for not."""
        if not (self.training and self.flip):
            return torch.zeros(count, dtype=torch.int64, device=device)
        return (torch.rand(count, device=device) < self.flip).long()

    def _replace_missing(self, images: Tensor) -> Tensor:
        """Draw which samples lack the first channel, both outer ones, or the last; replace these by the middle one."""
        drawn = torch.rand(len(images), device=images.device)
        third = self.missing / 3
        first, last = drawn < 2 * third, (drawn >= third) & (drawn < self.missing)
        missing = torch.stack([first, torch.zeros_like(first), last], 1)
        return torch.where(missing[:, :, None, None], images[:, 1:2], images)

    def _draw_grid(self, x: Tensor) -> Tensor:
        """Draw a rotation and a zoom for each sample; return a sampling grid float32 (B, H, W, 2)."""
        draw = torch.rand(2, len(x), device=x.device)
        angle = (2 * draw[0] - 1) * math.radians(self.rotate)
        zoom = self.scale[0] + draw[1] * (self.scale[1] - self.scale[0])
        cos, sin, zero = torch.cos(angle) / zoom, torch.sin(angle) / zoom, torch.zeros_like(angle)
        theta = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
        return F.affine_grid(theta, list(x.shape), align_corners=False)


def _flip(images: Tensor, flipped: Tensor) -> Tensor:
    """Mirror those images (B, C, H, W), or masks (B, H, W), whose `flipped`, int64 (B,), is 1."""
    # Measured fastest: make both variants, as bytes in the order they are stored, and pick one of each.
    stored = images.movedim(1, -1) if images.ndim == 4 else images
    picked = torch.arange(len(images), device=images.device) + len(images) * flipped
    chosen = torch.cat([stored, stored.flip(2)]).index_select(0, picked)
    return chosen.movedim(-1, 1) if images.ndim == 4 else chosen


def _sample(x: Tensor, grid: Tensor, mode: str) -> Tensor:
    return F.grid_sample(x, grid, mode=mode, padding_mode="zeros", align_corners=False)
