"""Turn uint8 images into the model's input on any device, with random augmentation per sample."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brain_tumor.data import grey as grey_
from brain_tumor.data import warps
from brain_tumor.data.intensities import strip_depths

_FLAIR = 1  # the channel that stands in for missing ones


class Transforms(nn.Module):
    """Convert, augment (training only) and normalize a batch of images, and move its masks along.

    The paper's four sets (section V, experiments 1-4) are `normalize` and `flip` on or off; rotation and scaling are
    its outlook (section VIII). Every random choice is drawn per sample, from torch's global generator. What concerns a
    sequence is drawn once for a slice and its neighbours.

    Args:
        flip: probability of a horizontal flip.
        normalize: subtract `mean` and divide by `std`, or, with statistics of the volume, standardize by these;
            otherwise values stay in [0, 1].
        mean: per channel, in [0, 1]; ImageNet's by default.
        std: per channel, above 0; ImageNet's by default.
        rotate: largest rotation to either side, in degrees.
        scale: smallest and largest zoom factor.
        grey: show the picture's luma in all three channels, as those do who read the slices as grey pictures.
        missing: probability that a sample lacks the first channel, the last, or both, equally often. The middle one,
            FLAIR, replaces a missing sequence, as in the LGG data, where 10 of 110 patients lack one or two.
        strip: probability that a sample's skull is removed: all that lies less deep under the head's outline than a
            random depth becomes background, in the mask, too. Needs statistics of the volume, which are then those of
            what is left.
        elastic: standard deviation of a smooth random displacement, as a share of the image's side.
        gamma: the exponent of each sequence's values, scaled to [0, 1], lies between 1 / (1 + gamma) and 1 + gamma.
        contrast: each sequence's normalized values are multiplied by 1 - contrast to 1 + contrast.
        brightness: and then shifted by -brightness to brightness.

    Raises:
        ValueError: a value is out of range.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        flip: float = 0.0,
        normalize: bool = False,
        mean: Sequence[float] = grey_.IMAGENET[0],
        std: Sequence[float] = grey_.IMAGENET[1],
        rotate: float = 0.0,
        scale: Sequence[float] = (1.0, 1.0),
        missing: float = 0.0,
        strip: float = 0.0,
        elastic: float = 0.0,
        gamma: float = 0.0,
        contrast: float = 0.0,
        brightness: float = 0.0,
        grey: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("flip", flip), ("missing", missing), ("strip", strip)):
            if not 0 <= value <= 1:
                raise ValueError(f"transforms.{name}={value}: a probability lies between 0 and 1")
        for name, value, most in (
            ("rotate", rotate, 180), ("elastic", elastic, 0.1), ("gamma", gamma, 4), ("contrast", contrast, 1),
            ("brightness", brightness, 4),
        ):  # fmt: skip
            if not 0 <= value <= most:
                raise ValueError(f"transforms.{name}={value}: give a value between 0 and {most}")
        if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
            raise ValueError(f"transforms.scale={list(scale)}: give two positive factors, the smaller first")
        if len(mean) != len(std) or not len(std) or min(std) <= 0:
            raise ValueError("transforms.mean and transforms.std need a value for each channel, std above 0")
        self.flip, self.normalize, self.grey = flip, normalize, grey
        self.rotate, self.scale, self.elastic = rotate, tuple(scale), elastic
        self.missing, self.strip = missing, strip
        self.gamma, self.contrast, self.brightness = gamma, contrast, brightness
        self.channels = len(mean)
        self._normalized_by = grey_.normalized_by(mean, std)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def take(self, channels: int) -> None:
        """Take images of so many channels; with another number of `mean` and `std`, every channel gets their mean.

        Raises:
            ValueError: sequences are to be missing or made grey, and there are not three.
        """
        if self.grey and channels != len(grey_.LUMA):
            raise ValueError(f"transforms.grey=true: needs the three channels of a picture, not {channels}")
        if channels != self.channels:
            if self.missing:
                raise ValueError(
                    f"transforms.missing={self.missing}: needs T1, FLAIR and T1ce, not {channels} channels"
                )
            self.mean, self.std = (
                part.mean(1, keepdim=True).repeat(1, channels, 1, 1) for part in (self.mean, self.std)
            )
            self.channels = channels

    def forward(self, images: Tensor, statistics: Tensor | None = None) -> Tensor:
        """Transform images as `together` does, without masks; random only in `.train()` mode."""
        return self.together(images, None, statistics)[0]

    def together(
        self, images: Tensor, masks: Tensor | None, statistics: Tensor | None = None, depths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Transform images with their masks; one draw moves both.

        Args:
            images: uint8 (B, C K, H, W): the C sequences of K slices, the slice itself among its neighbours.
            masks: uint8 (B, H, W) of labels, 0 for none; None for none.
            statistics: float32 (B, D, C, 4), what the intensities of each slice's volume are standardized by, whole and
                stripped (see `intensities.statistics`); None to normalize by `mean` and `std`.
            depths: uint8 (B, K, H, W), how deep pixels lie under the head's outline; needed to strip.

        Returns:
            The images, float32 (B, C K, H, W), and the masks, uint8 (B, H, W) of labels: these are flipped, warped
            (nearest neighbour) and stripped, but not normalized.
        """
        if self.training and self.flip:
            flipped = self.draw_variants(len(images), images.device)
            images = warps.flip(images, flipped)
            masks, depths = (None if x is None else warps.flip(x, flipped) for x in (masks, depths))
        chosen = None if statistics is None else statistics[:, 0]
        if self.training and self.strip:
            images, masks, chosen = self._strip(images, masks, statistics, depths)
        if self.training and self.missing:
            images, chosen = self._replace_missing(images, chosen)
        x = images.to(torch.float32)
        if self.grey:
            x = grey_.luma(self._by_slice(x)).flatten(1, 2)
        if chosen is None:
            x = x.div_(255)
        if self.training and self.warps:
            grid = self._draw_grid(x)
            x = warps.sample(x, grid, "bilinear")
            masks = None if masks is None else warps.sample(masks[:, None].float(), grid, "nearest")[:, 0].byte()
        return self._intensify(self._scale(x, chosen)), masks

    @property
    def hyperparameters(self) -> dict[str, bool | int | float | str]:
        """The settings that the record and the dashboard show."""
        later = ("strip", "elastic", "gamma", "contrast", "brightness")
        return {
            "flip": self.flip,
            "normalize": self.normalize,
            "rotate": self.rotate,
            "scale": "1" if self.scale == (1, 1) else " to ".join(f"{factor:g}" for factor in self.scale),
            "missing": self.missing,
            **{name: getattr(self, name) for name in later},
            **({"grey": True} if self.grey else {}),
            **({"normalized_by": self._normalized_by} if self.normalize and self._normalized_by else {}),
        }

    @property
    def warps(self) -> bool:
        """Whether rotation, scaling or elastic displacement is on."""
        return self.rotate > 0 or self.scale != (1.0, 1.0) or self.elastic > 0

    @property
    def only_flips(self) -> bool:
        """Whether flips are the only random change in training, so that an image has at most two variants."""
        return not (self.warps or self.missing or self.strip or self.gamma or self.contrast or self.brightness)

    def draw_variants(self, count: int, device: torch.device) -> Tensor:
        """Draw for `count` samples whether training flips them: int64 (count,), 1 for flipped and 0 for not."""
        if not (self.training and self.flip):
            return torch.zeros(count, dtype=torch.int64, device=device)
        return (torch.rand(count, device=device) < self.flip).long()

    def _strip(
        self, images: Tensor, masks: Tensor | None, statistics: Tensor | None, depths: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Draw which samples lose their skull, and how deep; return the statistics of what is left, (B, C, 4), too."""
        assert statistics is not None, "the data module refuses to strip without them"
        assert depths is not None, "the data module serves them"
        count, device = len(images), images.device
        edges = torch.cat([torch.full((1,), -1), torch.from_numpy(strip_depths(images.shape[-1]))]).to(device)
        stripped = torch.rand(count, device=device) < self.strip
        level = stripped * torch.randint(1, len(edges), (count,), device=device)
        kept = depths > edges[level].view(-1, 1, 1, 1)
        images = images * kept.repeat_interleave(self.channels, 1)
        masks = None if masks is None else masks * kept[:, kept.shape[1] // 2]
        return images, masks, statistics[torch.arange(count, device=device), level]

    def _replace_missing(self, images: Tensor, statistics: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Draw which samples lack the first sequence, both outer ones, or the last; replace these by the middle one."""
        drawn = torch.rand(len(images), device=images.device)
        third = self.missing / 3
        first, last = drawn < 2 * third, (drawn >= third) & (drawn < self.missing)
        missing = torch.stack([first, torch.zeros_like(first), last], 1)
        slices = self._by_slice(images)
        replaced = torch.where(missing[:, None, :, None, None], slices[:, :, _FLAIR : _FLAIR + 1], slices).flatten(1, 2)
        if statistics is not None:
            statistics = torch.where(missing[..., None], statistics[:, _FLAIR : _FLAIR + 1], statistics)
        return replaced, statistics

    def _draw_grid(self, x: Tensor) -> Tensor:
        """Draw a rotation, a zoom and a displacement for each sample; return a sampling grid float32 (B, H, W, 2)."""
        draw = torch.rand(2, len(x), device=x.device)
        angle = (2 * draw[0] - 1) * math.radians(self.rotate)
        zoom = self.scale[0] + draw[1] * (self.scale[1] - self.scale[0])
        cos, sin, zero = torch.cos(angle) / zoom, torch.sin(angle) / zoom, torch.zeros_like(angle)
        theta = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return grid + warps.draw_displacement(x, self.elastic) if self.elastic else grid

    def _scale(self, x: Tensor, statistics: Tensor | None) -> Tensor:
        """Normalize values in [0, 1], or clip and standardize grey levels by statistics (B, C, 4)."""
        if statistics is None:
            x = self._bend(x)
            slices = self._by_slice(x)
            return slices.sub_(self.mean).div_(self.std).flatten(1, 2) if self.normalize else x
        low, high, mean, std = (part[:, None, :, None, None] for part in statistics.unbind(-1))
        slices = self._by_slice(x).clamp(low, high)
        if self.training and self.gamma:
            wide = (high - low).clamp(min=1)
            slices = self._by_slice(self._bend(((slices - low) / wide).flatten(1, 2))) * wide + low
        return ((slices - mean) / std).flatten(1, 2)

    def _bend(self, x: Tensor) -> Tensor:
        """Raise values in [0, 1] to an exponent drawn for each sequence of each sample, in training."""
        if not (self.training and self.gamma):
            return x
        span = math.log1p(self.gamma)
        exponents = torch.exp((2 * self._draw_by_sequence(x) - 1) * span)
        return x.pow(exponents)

    def _intensify(self, x: Tensor) -> Tensor:
        """Change the contrast and the brightness of each sequence of each sample, in training."""
        if not (self.training and (self.contrast or self.brightness)):
            return x
        factors = 1 + (2 * self._draw_by_sequence(x) - 1) * self.contrast
        return x * factors + (2 * self._draw_by_sequence(x) - 1) * self.brightness

    def _draw_by_sequence(self, x: Tensor) -> Tensor:
        """Draw a number in [0, 1) for each sequence of each sample, equal for its neighbours: (B, C K, 1, 1)."""
        drawn = torch.rand(len(x), self.channels, device=x.device)
        return drawn.repeat(1, x.shape[1] // self.channels)[..., None, None]

    def _by_slice(self, x: Tensor) -> Tensor:
        """Return images (B, C K, H, W) as (B, K, C, H, W)."""
        # Not `len`, which would fix the batch size of an exported network.
        return x.view(x.shape[0], x.shape[1] // self.channels, self.channels, *x.shape[2:])
