"""Compute Pillow's resizing as matrix products, so that it can be a part of an exported network.

Pillow resizes rows and then columns. Each new pixel is a mean of old ones, weighted by a triangle as wide as the scale;
with black padding each pass is one matrix. Pillow's weights for bytes have 22 binary places. These have as many, in
float64, in which such sums are exact, so that all bytes equal Pillow's.
"""

import torch
from torch import Tensor

_PLACES = 2.0**22


def fit(images: Tensor, size: int) -> Tensor:
    """Fit images into a square as `scans.images.fit_image` does, aspect kept by black padding.

    Args:
        images: uint8 (N, H, W, C).
        size: the square's side.

    Returns:
        uint8 (N, C, size, size).
    """
    height, width = _sides(images)
    x = images.permute(0, 3, 1, 2).to(torch.float64)
    # Pillow also rounds to bytes between the two passes.
    x = _to_levels(x @ _matrix(width, size, *_inner(width, height, size)).T)
    return _to_levels(_matrix(height, size, *_inner(height, width, size)) @ x).to(torch.uint8)


def unfit(maps: Tensor, images: Tensor) -> Tensor:
    """Bring maps over fitted images back to the images' size, as `scans.images.unfit` does.

    Args:
        maps: float32 (N, size, size).
        images: (N, H, W, C), before they were fitted.

    Returns:
        float32 (N, H, W).
    """
    size = maps.shape[-1]
    height, width = _sides(images)
    inner_height, top = _inner(height, width, size)
    inner_width, left = _inner(width, height, size)
    resized: Tensor = _back(size, height, inner_height, top) @ maps @ _back(size, width, inner_width, left).T
    return resized


def _sides(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return height and width as float64 tensors, which may differ from call to call of an exported network."""
    height, width = (torch.scalar_tensor(images.shape[axis], dtype=torch.float64) for axis in (1, 2))
    return height, width


def _inner(side: Tensor, other: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the length of a side in the square, and where it begins."""
    inner = torch.where(side >= other, size, (side / other * size).round())
    return inner, ((size - inner) / 2).round()


def _matrix(inputs: Tensor, outputs: int, inner: Tensor, start: Tensor) -> Tensor:
    """Return the weights (outputs, inputs) of a pass into `inner` places from `start` on; other places become 0."""
    place = torch.arange(outputs, dtype=torch.float64)[:, None] - start
    weights = _triangle(place, _count(inputs), inputs / inner.clamp(min=1))
    return (weights * _PLACES + 0.5).floor() / _PLACES * ((place >= 0) & (place < inner))


def _back(size: int, outputs: Tensor, inner: Tensor, start: Tensor) -> Tensor:
    """Return the weights (outputs, size) of a pass that only reads `inner` places from `start` on."""
    place = torch.arange(size, dtype=torch.float64) - start
    within = ((place >= 0) & (place < inner)).to(torch.float64)
    return _triangle(_count(outputs)[:, None], place, inner / outputs, within).to(torch.float32)


def _triangle(outputs: Tensor, inputs: Tensor, scale: Tensor, within: Tensor | None = None) -> Tensor:
    """Return the normalized weights of input places for output places, under a triangle as wide as the scale."""
    distance = (inputs + 0.5 - (outputs + 0.5) * scale).abs()
    weights = (1 - distance / scale.clamp(min=1)).clamp(min=0)
    weights = weights if within is None else weights * within
    return weights / weights.sum(1, keepdim=True).clamp(min=1e-9)


def _count(length: Tensor) -> Tensor:
    return torch.arange(length.to(torch.int64).item(), dtype=torch.float64)


def _to_levels(values: Tensor) -> Tensor:
    return (values + 0.5).floor().clamp(0, 255)
