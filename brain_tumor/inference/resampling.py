"""Pillow's resizing as matrix products, so that it can stand inside an exported network.

Pillow resizes rows and columns one after the other, each new pixel a weighted mean of old ones under a triangle as wide
as the scale; with black padding each pass is one matrix. Its weights for bytes have 22 binary places; so have these, in
float64, in which such sums are exact: the fitted bytes are Pillow's own, all of them.
"""

import torch
from torch import Tensor

_PLACES = 2.0**22


def fit(images: Tensor, size: int) -> Tensor:
    """Fit images into a square as `data.images.fit_image` does, aspect kept by black padding.

    Args:
        images: uint8 (N, H, W, C) of any one size.
        size: of the square.

    Returns:
        uint8 (N, C, size, size).
    """
    height, width = _sides(images)
    x = images.permute(0, 3, 1, 2).to(torch.float64)
    # Pillow keeps bytes between the two passes, too.
    x = _to_levels(x @ _matrix(width, size, *_inner(width, height, size)).T)
    return _to_levels(_matrix(height, size, *_inner(height, width, size)) @ x).to(torch.uint8)


def unfit(maps: Tensor, images: Tensor) -> Tensor:
    """Bring maps over fitted images back to the images' own size, as `data.images.unfit` does.

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
    found: Tensor = _back(size, height, inner_height, top) @ maps @ _back(size, width, inner_width, left).T
    return found


def _sides(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return height and width as float64 tensors, which may differ from call to call of an exported network."""
    height, width = (torch.scalar_tensor(images.shape[axis], dtype=torch.float64) for axis in (1, 2))
    return height, width


def _inner(side: Tensor, other: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return how long a side is in the square, and where it begins."""
    inner = torch.where(side >= other, size, (side / other * size).round())
    return inner, ((size - inner) / 2).round()


def _matrix(inputs: Tensor, outputs: int, inner: Tensor, start: Tensor) -> Tensor:
    """Return the weights (outputs, inputs) of a pass that fills `inner` places from `start` on, the others with 0."""
    place = torch.arange(outputs, dtype=torch.float64)[:, None] - start
    weights = _triangle(place, _count(inputs), inputs / inner.clamp(min=1))
    return (weights * _PLACES + 0.5).floor() / _PLACES * ((place >= 0) & (place < inner))


def _back(size: int, outputs: Tensor, inner: Tensor, start: Tensor) -> Tensor:
    """Return the weights (outputs, size) of a pass over `inner` places from `start` on alone."""
    place = torch.arange(size, dtype=torch.float64) - start
    within = ((place >= 0) & (place < inner)).to(torch.float64)
    return _triangle(_count(outputs)[:, None], place, inner / outputs, within).to(torch.float32)


def _triangle(outputs: Tensor, inputs: Tensor, scale: Tensor, within: Tensor | None = None) -> Tensor:
    distance = (inputs + 0.5 - (outputs + 0.5) * scale).abs()
    weights = (1 - distance / scale.clamp(min=1)).clamp(min=0)
    weights = weights if within is None else weights * within
    return weights / weights.sum(1, keepdim=True).clamp(min=1e-9)


def _count(length: Tensor) -> Tensor:
    return torch.arange(length.to(torch.int64).item(), dtype=torch.float64)


def _to_levels(values: Tensor) -> Tensor:
    return (values + 0.5).floor().clamp(0, 255)
