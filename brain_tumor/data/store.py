"""Make batches of images, or of cached features, on the device."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brain_tumor.data.batches import Batch
from brain_tumor.data.intensities import strip_depths
from brain_tumor.data.transforms import Transforms
from brain_tumor.scans import standardization
from brain_tumor.scans.fitted import Fitted


class Gathered(NamedTuple):
    """What a batch of rows needs from the host's memory; None for what the device has, or what there is not.

    Attributes:
        images: uint8 (B, C K, size, size), the slices among their neighbours.
        masks: uint8 (B, size, size).
        depths: uint8 (B, K, size, size).
    """

    images: Tensor | None = None
    masks: Tensor | None = None
    depths: Tensor | None = None


class Store:
    """Hold all slices, and make batches of them on a device.

    Images come from the memory-mapped array and are moved as uint8, or from the device's memory where that holds them
    all; either way they are transformed on the device. Masks take the same way.

    Args:
        images: uint8 (N, C, size, size), stored channels last.
        labels: int64 (N,).
        transforms: applied to every batch, with the random part in training mode only.
        resident: whether to hold all images in the device's memory: True, False, or "auto" for a GPU with room for
            them.

    Attributes:
        masks: uint8 (N, size, size) of labels, put into every batch; None for none.
        features: the frozen part's output for every image, float32 (N, D) or (N, H, W, D), served in place of images;
            one tensor, or with flips a second one for the flipped images. None to serve images.
        statistics: what the intensities of volumes are standardized by, float32 (V, D, C, 4); None not to standardize.
        volumes: int64 (N,), the place of each slice's volume in `statistics`.
        depths: uint8 (N, size, size), how deep pixels lie under the head's outline, to strip by; None for none.
        neighbours: int64 (N, K), the rows that a slice's channels come from, itself in the middle; None for itself.
    """

    def __init__(self, images: Tensor, labels: Tensor, transforms: Transforms, resident: bool | str) -> None:
        self.images = images
        self.labels = labels
        self.masks: Tensor | None = None
        self.features: list[Tensor] | None = None
        self.statistics: Tensor | None = None
        self.volumes: Tensor | None = None
        self.depths: Tensor | None = None
        self.neighbours: Tensor | None = None
        self._transforms = transforms
        self._resident = resident
        self._on_device = Gathered()  # copies of all slices in the device's memory

    @property
    def is_resident(self) -> bool:
        """Whether the device holds all images."""
        return self._on_device.images is not None

    def place(self, device: torch.device) -> None:
        """Move transforms, labels and statistics to a device, and the slices where `resident` asks for that."""
        self._transforms.to(device)
        self.labels = self.labels.to(device)
        if self.statistics is not None and self.volumes is not None:
            self.statistics, self.volumes = self.statistics.to(device), self.volumes.to(device)
        if self.features is None and not self.is_resident and self._fits(device):
            copies = [None if part is None else part.to(device, copy=True) for part in self._slices]
            self._on_device = Gathered(*copies)
        if self.is_resident and self.neighbours is not None:
            self.neighbours = self.neighbours.to(device)

    @property
    def _slices(self) -> Gathered:
        """All slices, in the host's memory."""
        return Gathered(self.images, self.masks, self.depths)

    def _fits(self, device: torch.device) -> bool:
        if self._resident == "auto":
            # Half of what is free leaves room for the model.
            size = sum(part.nbytes for part in self._slices if part is not None)
            return device.type == "cuda" and size < torch.cuda.mem_get_info(device)[0] / 2
        return bool(self._resident)

    def batch(self, rows: Tensor, device: torch.device) -> Batch:
        """Return the batch of `rows`, int64 (B,) on the CPU, on the device that `place` was given."""
        gathered = self.gather(rows)
        return self.assemble(rows.to(device), *(None if part is None else part.to(device) for part in gathered))

    def gather(self, rows: Tensor) -> Gathered:
        """Gather the slices of rows, int64 (B,); nothing where the device has them, or features take their place."""
        return Gathered() if self.features is not None or self.is_resident else self._take(self._slices, rows)

    def _take(self, slices: Gathered, rows: Tensor) -> Gathered:
        """Take rows of slices that are stored where the rows are, each among its neighbours."""
        assert slices.images is not None, "every data set has images"
        around = rows[:, None] if self.neighbours is None else self.neighbours[rows]
        count, wide = around.shape
        # Gathered as they are stored: twenty times as fast as from the permuted view.
        stored = slices.images.permute(0, 2, 3, 1).index_select(0, around.flatten())
        if wide > 1:
            stored = stored.view(count, wide, *stored.shape[1:]).permute(0, 2, 3, 1, 4).flatten(3)
        depths = None if slices.depths is None else slices.depths.index_select(0, around.flatten())
        return Gathered(
            stored.permute(0, 3, 1, 2),
            None if slices.masks is None else slices.masks.index_select(0, rows),
            None if depths is None else depths.view(count, wide, *depths.shape[1:]),
        )

    def assemble(self, rows: Tensor, images: Tensor | None, masks: Tensor | None, depths: Tensor | None) -> Batch:
        """Turn rows int64 (B,) and what `gather` returned for them, all on the device, into a transformed batch."""
        if self.features is not None:
            return Batch(self._draw_features(self.features, rows), self.labels[rows], rows, cached=True)
        if self.is_resident:
            images, masks, depths = self._take(self._on_device, rows)
        assert images is not None, "neither gathered nor on the device"
        images, masks = self._transforms.together(images, masks, self.statistics_of(rows), depths)
        return Batch(images, self.labels[rows], rows, masks)

    def statistics_of(self, rows: Tensor) -> Tensor | None:
        """Return what the intensities of each row's volume are standardized by: float32 (B, D, C, 4)."""
        if self.statistics is None or self.volumes is None:
            return None
        return self.statistics[self.volumes[rows]]

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

    def raw(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return images uint8 (B, C K, size, size) of rows and statistics of their volumes, before transforms."""
        images = self._take(Gathered(self.images), rows).images
        assert images is not None, "every data set has images"
        return images, self.statistics_of(rows.to(self.labels.device))

    def fitted(self, rows: NDArray[np.intp]) -> Fitted:
        """Return rows (n,) as a network gets them, before its transforms."""
        images, statistics = self.raw(torch.tensor(rows))
        measured = None if statistics is None else statistics[:, 0].cpu().numpy()
        return Fitted(images.permute(0, 2, 3, 1).numpy(), measured, self.images.shape[1])

    def stretched(self, row: int) -> NDArray[np.uint8]:
        """Return a row's slice as `Fitted.stretched` does, uint8 (size, size, C); where training strips, half are."""
        image = self.images[row].permute(1, 2, 0).numpy()
        statistics = self.statistics_of(torch.tensor([row], device=self.labels.device))
        if statistics is None:
            return image
        level = 0
        if self.depths is not None and row % 2:
            edges = strip_depths(len(image))
            level = 1 + len(edges) // 2
            image = image * (self.depths[row].numpy() > edges[level - 1])[..., None]
        return standardization.stretch(image, statistics[0, level].cpu().numpy())

    def sample(self, rows: NDArray[np.intp], count: int) -> Tensor:
        """Return `count` slices from across some rows as training sees them, to draw: float32 (B, 3, size, size)."""
        chosen = torch.from_numpy(rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)])
        gathered = self._take(self._slices, chosen)
        device = self._transforms.mean.device
        assert gathered.images is not None, "every data set has images"
        statistics = self.statistics_of(chosen.to(self.labels.device))
        self._transforms.train()
        images, _ = self._transforms.together(
            gathered.images.to(device), None, *(x if x is None else x.to(device) for x in (statistics, gathered.depths))
        )
        channels = self.images.shape[1]
        middle = channels * (images.shape[1] // (2 * channels))
        shown = images[:, middle : middle + channels].cpu()
        return shown[:, :3] if channels >= 3 else shown[:, :1].repeat(1, 3, 1, 1)
