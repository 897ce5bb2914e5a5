"""Make batches of images, or of cached features, on the device."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brain_tumor.data.batches import Batch
from brain_tumor.data.transforms import Transforms


class Store:
    """Hold all slices, and make batches of them on a device.

    Images come from the memory-mapped array and are moved as uint8, or from the device's memory where that holds them
    all; either way they are transformed on the device. Masks take the same way.

    Args:
        images: uint8 (N, 3, size, size), stored channels last.
        labels: int64 (N,).
        transforms: applied to every batch, with the random part in training mode only.
        resident: whether to hold all images in the device's memory: True, False, or "auto" for a GPU with room for
            them.

    Attributes:
        masks: uint8 (N, size, size) of 0 and 1, put into every batch; None for none.
        features: the frozen part's output for every image, float32 (N, D) or (N, H, W, D), served in place of images;
            one tensor, or with flips a second one for the flipped images. None to serve images.
    """

    def __init__(self, images: Tensor, labels: Tensor, transforms: Transforms, resident: bool | str) -> None:
        self.images = images
        self.labels = labels
        self.masks: Tensor | None = None
        self.features: list[Tensor] | None = None
        self._transforms = transforms
        self._resident = resident
        # Copies in the device's memory.
        self._device_images: Tensor | None = None
        self._device_masks: Tensor | None = None

    @property
    def is_resident(self) -> bool:
        """Whether the device holds all images."""
        return self._device_images is not None

    def place(self, device: torch.device) -> None:
        """Move transforms and labels to a device, and images and masks where `resident` asks for that."""
        self._transforms.to(device)
        self.labels = self.labels.to(device)
        if self.features is None and not self.is_resident and self._fits(device):
            self._device_images = self.images.to(device, copy=True)
            self._device_masks = None if self.masks is None else self.masks.to(device, copy=True)

    def _fits(self, device: torch.device) -> bool:
        if self._resident == "auto":
            # Half of what is free leaves room for the model.
            size = self.images.nbytes + (0 if self.masks is None else self.masks.nbytes)
            return device.type == "cuda" and size < torch.cuda.mem_get_info(device)[0] / 2
        return bool(self._resident)

    def batch(self, rows: Tensor, device: torch.device) -> Batch:
        """Return the batch of `rows`, int64 (B,) on the CPU, on the device that `place` was given."""
        images, masks = self.gather(rows)
        return self.assemble(
            rows.to(device),
            None if images is None else images.to(device),
            None if masks is None else masks.to(device),
        )

    def gather(self, rows: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Gather images uint8 (B, 3, size, size) and masks uint8 (B, size, size); None for what the device has."""
        if self.features is not None or self.is_resident:
            return None, None
        # Gathered as they are stored: twenty times as fast as from the permuted view.
        stored = self.images.permute(0, 2, 3, 1).index_select(0, rows)
        return stored.permute(0, 3, 1, 2), None if self.masks is None else self.masks.index_select(0, rows)

    def assemble(self, rows: Tensor, images: Tensor | None, masks: Tensor | None) -> Batch:
        """Turn rows int64 (B,) and what `gather` returned for them, all on the device, into a transformed batch."""
        if self.features is not None:
            return Batch(self._draw_features(self.features, rows), self.labels[rows], rows, cached=True)
        if self._device_images is not None:
            images = self._device_images[rows]
            masks = None if self._device_masks is None else self._device_masks[rows]
        assert images is not None, "neither gathered nor on the device"
        images, masks = self._transforms.together(images, masks)
        return Batch(images, self.labels[rows], rows, masks)

    def _draw_features(self, variants: list[Tensor], rows: Tensor) -> Tensor:
        """Return features (B, D) or maps (B, D, H, W) of rows, flipped or not as each row's draw says."""
        drawn = self._transforms.draw_variants(len(rows), rows.device)
        device = variants[0].device  # the features may be too large for the device of the batch
        places = rows.to(device)
        features = variants[0][places]
        if len(variants) > 1:
            flipped = drawn.to(device).bool()
            features[flipped] = variants[1][places[flipped]]
        features = features.to(rows.device)
        return features.permute(0, 3, 1, 2) if features.ndim == 4 else features

    def sample(self, rows: NDArray[np.intp], count: int) -> Tensor:
        """Return `count` images from across some rows as training sees them: float32 (B, 3, size, size), on the CPU."""
        chosen = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
        images = self.images[torch.from_numpy(chosen)].to(self._transforms.mean.device)
        sampled: Tensor = self._transforms.train()(images).cpu()
        return sampled
