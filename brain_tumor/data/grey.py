"""Show pictures as grey ones, and say by what they are normalized."""

from collections.abc import Sequence

import torch
from torch import Tensor

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and standard deviation of each channel
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, as Pillow and OpenCV turn pictures grey


def luma(slices: Tensor) -> Tensor:
    """Return slices float32 (B, K, 3, H, W) with the luma of the three channels in each of them."""
    weights = torch.tensor(LUMA, device=slices.device).view(1, 1, -1, 1, 1)
    # Repeated, not expanded: what follows works in place.
    return (slices * weights).sum(2, keepdim=True).repeat(1, 1, len(LUMA), 1, 1)


def normalized_by(mean: Sequence[float], std: Sequence[float]) -> str:
    """Return mean and standard deviation of the channels in words; "" for ImageNet's."""
    if (tuple(mean), tuple(std)) == IMAGENET:
        return ""
    return f"mean {_words(mean)}, deviation {_words(std)}"


def _words(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in (values[:1] if len(set(values)) == 1 else values))
