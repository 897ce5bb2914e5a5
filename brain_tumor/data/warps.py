"""Move the pixels of a batch: mirror and displace them."""

import torch
from torch import Tensor
from torch.nn import functional as F

_KNOTS = 6  # along each side, between which displacements are interpolated


def flip(images: Tensor, flipped: Tensor) -> Tensor:
    """Mirror those images (B, C, H, W), or masks (B, H, W), whose `flipped`, int64 (B,), is 1."""
    # Measured fastest: make both variants, as bytes in the order they are stored, and pick one of each.
    stored = images.movedim(1, -1) if images.ndim == 4 else images
    picked = torch.arange(len(images), device=images.device) + len(images) * flipped
    chosen = torch.cat([stored, stored.flip(2)]).index_select(0, picked)
    return chosen.movedim(-1, 1) if images.ndim == 4 else chosen


def sample(x: Tensor, grid: Tensor, mode: str) -> Tensor:
    """Sample images float32 (B, C, H, W) at the places of a grid (B, H, W, 2) in [-1, 1]; 0 outside of them."""
    return F.grid_sample(x, grid, mode=mode, padding_mode="zeros", align_corners=False)


def draw_displacement(x: Tensor, share: float) -> Tensor:
    """Draw smooth displacements for a sampling grid.

    Args:
        x: images (B, C, H, W).
        share: standard deviation of the knots' displacements, as a share of the images' side.

    Returns:
        float32 (B, H, W, 2).
    """
    knots = torch.randn(len(x), 2, _KNOTS, _KNOTS, device=x.device) * 2 * share  # a grid's side is 2 long
    return F.interpolate(knots, list(x.shape[2:]), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
