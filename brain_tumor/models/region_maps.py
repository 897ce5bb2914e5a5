"""Turn masks of labels into the truth of regions, and logits of regions into their probabilities and losses.

Regions may overlap, as whole tumour, core and enhancing tumour do: each has a probability of its own. Where they
exclude each other, they share one with the background, whose logit is 0. Of a single region both are the same.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brain_tumor.datasets.regions import BINARY, Regions


class Truth(nn.Module):
    """Turn masks of labels into the truth of regions.

    Args:
        regions: what the labels mean.
    """

    table: Tensor

    def __init__(self, regions: Regions) -> None:
        super().__init__()
        self.register_buffer("table", torch.from_numpy(regions.table.astype(np.float32)), persistent=False)
        self._ignore, self._binary = regions.ignore, regions == BINARY

    def forward(self, masks: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the truth of masks uint8 (B, H, W), float32 (B, R, H, W), and where it is known, (B, 1, H, W).

        The second is None where everything is known.
        """
        if self._binary:
            return masks.float()[:, None], None
        truth = self.table[masks.long()].permute(0, 3, 1, 2)
        return truth, None if self._ignore is None else (masks != self._ignore).float()[:, None]


def by_region(outputs: Tensor) -> Tensor:
    """Return outputs (B, H, W), or (B, R, H, W), with their regions: (B, R, H, W)."""
    return outputs[:, None] if outputs.ndim == 3 else outputs


def probabilities(logits: Tensor, regions: Regions) -> Tensor:
    """Return every pixel's probability of each region, (B, R, H, W), from logits of that shape."""
    if len(regions.names) > 1 and regions.exclusive:
        return torch.softmax(_with_background(logits), 1)[:, 1:]
    return torch.sigmoid(logits)


def decide(logits: Tensor, regions: Regions) -> Tensor:
    """Return which pixels are in each region, bool (B, R, H, W), from logits of that shape."""
    if len(regions.names) > 1 and regions.exclusive:
        return (logits == logits.amax(1, keepdim=True)) & (logits > 0)
    return logits > 0


def labels(maps: Tensor, regions: Regions) -> Tensor:
    """Make masks of labels from the regions' probabilities, as `Regions.decide` does: uint8 (N, H, W).

    Args:
        maps: float32 (N, R, H, W).
        regions: what they are of.
    """
    masks = torch.zeros_like(maps[:, 0]).to(torch.uint8)
    if regions.exclusive:
        most, winner = maps.max(1)
        values = torch.tensor(regions.written, dtype=torch.uint8)[winner]
        return torch.where(most >= 1 - maps.sum(1), values, masks)
    for place, value in enumerate(regions.written):
        masks = torch.where(maps[:, place] >= 0.5, torch.full_like(masks, value), masks)
    return masks


def loss(kind: str, logits: Tensor, truth: Tensor, known: Tensor | None, regions: Regions) -> Tensor:
    """Return the cross-entropy ("ce"), 1 - the soft Dice ("dice"), or their sum ("dice_ce").

    Args:
        kind: of the loss.
        logits: float32 (B, R, H, W).
        truth: float32 (B, R, H, W) of 0 and 1.
        known: float32 (B, 1, H, W) of 0 and 1, the pixels that count; None for all.
        regions: what is segmented.
    """
    total = torch.zeros((), device=logits.device)
    if kind in {"ce", "dice_ce"}:
        total = total + cross_entropy(logits, truth, known, regions)
    if kind in {"dice", "dice_ce"}:
        soft = probabilities(logits, regions)
        total = total + soft_dice_loss(soft if known is None else soft * known, truth)
    return total


def cross_entropy(logits: Tensor, truth: Tensor, known: Tensor | None, regions: Regions) -> Tensor:
    """Return the mean cross-entropy over pixels, and over regions that overlap (see `loss`)."""
    if len(regions.names) > 1 and regions.exclusive:
        target = torch.where(truth.any(1), truth.argmax(1) + 1, 0)
        losses = F.cross_entropy(_with_background(logits), target, reduction="none")[:, None]
    elif known is None:
        return F.binary_cross_entropy_with_logits(logits, truth)
    else:
        losses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    if known is None:
        return losses.mean()
    return (losses * known).sum() / (known.sum() * losses.shape[1]).clamp(min=1)


def soft_dice_loss(soft: Tensor, truth: Tensor) -> Tensor:
    """Return 1 - the mean over regions of the soft Dice of the whole batch, from (B, R, H, W) each."""
    # Over the batch, not per slice, so that slices without a tumour have a gradient; 1 prevents 0 / 0.
    axes = (0, 2, 3) if soft.shape[1] > 1 else (0, 1, 2, 3)
    both, either = (soft * truth).sum(axes), soft.sum(axes) + truth.sum(axes)
    return 1 - ((2 * both + 1) / (either + 1)).mean()


def surest(maps: Tensor, regions: Regions) -> Tensor:
    """Return the slices' probabilities of any region (n,), each that of its surest pixel.

    Args:
        maps: (n, H, W), or (n, R, H, W).
        regions: what they are of.
    """
    if maps.ndim == 4:
        maps = maps.sum(1).clamp(max=1) if regions.exclusive else maps.amax(1)
    return maps.amax((1, 2))


def _with_background(logits: Tensor) -> Tensor:
    """Put the background's logit, 0, before those of regions."""
    return torch.cat([torch.zeros_like(logits[:, :1]), logits], 1)
