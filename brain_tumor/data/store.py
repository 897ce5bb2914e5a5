"""Where the pixels of a batch come from: decoded files, the device's own memory, or what a network made of them."""

import torch
from torch import Tensor

from brain_tumor.data.batches import Batch
from brain_tumor.data.transforms import Transforms


class Store:
    """All slices, out of which batches are made on a device.

    Images are gathered from the memory-mapped array and moved as uint8, or drawn from the device's own memory where
    that holds them all; either way they are transformed on the device. Masks take the same way.

    Args:
        images: uint8 (N, 3, size, size), stored channels last.
        labels: int64 (N,).
        transforms: applied to every batch, with its random part in training mode only.
        resident: hold all images in the device's memory: True, False, or "auto", on a GPU with room for them.

    Attributes:
        masks: uint8 (N, size, size), to be put into every batch; None for none.
        features: what the frozen part of a network makes of every image, served in its place: (N, D) or (N, H, W, D),
            once, or with flips for either variant; None for images.
    """

    def __init__(self, images: Tensor, labels: Tensor, transforms: Transforms, resident: bool | str) -> None:
        self.images = images
        self.labels = labels
        self.masks: Tensor | None = None
        self.features: list[Tensor] | None = None
        self._transforms = transforms
        self._wanted = resident
        # Copies in the device's memory.
        self._images: Tensor | None = None
        self._masks: Tensor | None = None

    @property
    def is_resident(self) -> bool:
        """Whether the device holds all images."""
        return self._images is not None

    def place(self, device: torch.device) -> None:
        """Move transforms and labels to a device, and images and masks where `resident` asks for that."""
        self._transforms.to(device)
        self.labels = self.labels.to(device)
        if self.features is None and not self.is_resident and self._fits(device):
            self._images = self.images.to(device, copy=True)
            self._masks = None if self.masks is None else self.masks.to(device, copy=True)

    def _fits(self, device: torch.device) -> bool:
        if self._wanted == "auto":
            # Half of what is free leaves room for the model.
            size = self.images.nbytes + (0 if self.masks is None else self.masks.nbytes)
            return device.type == "cuda" and size < torch.cuda.mem_get_info(device)[0] / 2
        return bool(self._wanted)

    def batch(self, rows: Tensor, device: torch.device) -> Batch:
        """Return the batch of `rows`, int64 (B,) on the CPU, on the device where this has been placed."""
        images, masks = self.gather(rows)
        return self.assemble(
            rows.to(device),
            None if images is None else images.to(device),
            None if masks is None else masks.to(device),
        )

    def gather(self, rows: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Gather images uint8 (B, 3, size, size) and masks uint8 (B, size, size), each where the device lacks it."""
        if self.features is not None or self.is_resident:
            return None, None
        # Gathered as they are stored: twenty times as fast as from the permuted view.
        stored = self.images.permute(0, 2, 3, 1).index_select(0, rows)
        return stored.permute(0, 3, 1, 2), None if self.masks is None else self.masks.index_select(0, rows)

    def assemble(self, rows: Tensor, images: Tensor | None, masks: Tensor | None) -> Batch:
        """Turn rows, and what was gathered of them, all on the device, into inputs, labels and masks."""
        if self.features is not None:
            return Batch(self._draw_features(self.features, rows), self.labels[rows], rows, cached=True)
        if self._images is not None:
            images = self._images[rows]
            masks = None if self._masks is None else self._masks[rows]
        assert images is not None, "neither gathered nor on the device"
        images, masks = self._transforms.together(images, masks)
        return Batch(images, self.labels[rows], rows, masks)

    def _draw_features(self, variants: list[Tensor], rows: Tensor) -> Tensor:
        """Return features (B, D) or maps (B, D, H, W) of rows, each of the variant that its flip draws."""
        drawn = self._transforms.draw_variants(len(rows), rows.device)
        home = variants[0].device
        places = rows.to(home)
        found = variants[0][places]
        if len(variants) > 1:
            flipped = drawn.to(home).bool()
            found[flipped] = variants[1][places[flipped]]
        found = found.to(rows.device)
        return found.permute(0, 3, 1, 2) if found.ndim == 4 else found
