"""Draw volumes of phantoms with four sequences and three nested regions, in nnU-Net's layout.

Each head is an ellipsoid with scalp, skull, grey and white matter and ventricles, cut by a smooth field. Its tumour is
oedema around a core with an enhancing rim around necrosis, as in BraTS. Every fifth case has no enhancing part.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from scipy import ndimage

from brain_tumor.datasets import nnunet_files
from brain_tumor.datasets.nnunet import Nnunet
from brain_tumor.datasets.regions import Regions
from brain_tumor.io import atomic

Array = NDArray[np.float32]

FORMAT = 1  # raised whenever the same settings would draw other voxels
SEQUENCES = ("t1", "t1ce", "t2", "flair")
LABELS = {"necrosis": 1, "oedema": 2, "enhancing": 3}
REGIONS = Regions(LABELS, {"whole": (1, 2, 3), "core": (1, 3), "enhancing": (3,)}, (2, 1, 3))
# Brightness of scalp, bone, CSF, grey and white matter, then of oedema, necrosis and enhancing tumour, by sequence.
_TISSUES = np.array(
    [
        [0.75, 0.08, 0.15, 0.42, 0.58, 0.34, 0.25, 0.36],
        [0.80, 0.08, 0.15, 0.46, 0.62, 0.38, 0.22, 0.95],
        [0.50, 0.06, 0.95, 0.58, 0.40, 0.80, 0.88, 0.60],
        [0.55, 0.06, 0.10, 0.52, 0.42, 0.88, 0.45, 0.70],
    ],
    np.float32,
)
_OUTER = 900.0  # of the scanner's units; intensities have none
_HELD_OUT = 2  # cases without labels


class Phantom3d(Nnunet):
    """Phantom volumes drawn from a seed (see `VolumeSet` for the other arguments).

    Args:
        cases: how many; two more, without labels, are drawn for `predict`.
        shape: voxels along the three axes.
        phantom_seed: of the generator.
        root: the folder, drawn if it is missing; None for one in the cache.
    """

    name = "phantom3d"
    licence = "none needed: drawn by a program"
    drawn = True

    def __init__(
        self,
        *,
        cases: int = 8,
        shape: Sequence[int] = (64, 64, 24),
        phantom_seed: int = 0,
        root: str | None = None,
        cache_dir: str,
        **others: Any,
    ) -> None:
        if cases < 1 or len(shape) != 3 or min(shape) < 16:
            raise ValueError(f"data.cases={cases}, data.shape={list(shape)}: at least one case of 16 voxels a side")
        self.cases, self.shape, self.phantom_seed = cases, (shape[0], shape[1], shape[2]), phantom_seed
        name = hashlib.sha256(f"{FORMAT} {cases} {tuple(shape)} {phantom_seed}".encode()).hexdigest()[:12]
        folder = Path(cache_dir).expanduser() / "phantom3d" / f"Dataset900_{name}" if root is None else root
        super().__init__(root=str(folder), cache_dir=cache_dir, **others)

    def declare(self) -> Any:
        """Draw the volumes unless they exist, and list them."""
        assert self.root is not None
        self.root.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root.with_suffix(".lock")):
            if not self.root.exists():
                with atomic.folder(self.root.parent, "drawing") as temporary:
                    self._draw(temporary)
                    temporary.rename(self.root)
        return super().declare()

    def _draw(self, folder: Path) -> None:
        write = partial(write_case, folder, self.phantom_seed, self.shape)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(
                pool.map(write, range(self.cases + _HELD_OUT), [n >= self.cases for n in range(self.cases + _HELD_OUT)])
            )
        nnunet_files.write_description(folder, SEQUENCES, REGIONS, self.cases, "phantoms", self.licence)


def write_case(folder: Path, seed: int, shape: tuple[int, int, int], number: int, held_out: bool) -> None:
    """Draw a case and write its files; the labels of a held-out case lie in labelsTs."""
    images, labels = draw(seed, number, shape)
    spacing = (1.0, 1.0, 155 / shape[2])
    name, part = f"PHANTOM{seed or ''}_{number:03d}", "Ts" if held_out else "Tr"
    nnunet_files.write_case(folder, name, part, np.moveaxis(images, 0, -1), labels, spacing)


def draw(seed: int, number: int, shape: tuple[int, int, int]) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Draw a case.

    Returns:
        The four sequences int16 (4, I, J, K), 0 outside of the head, with x to the left, y to the back and z up; and
        the labels uint8 (I, J, K).
    """
    rng = np.random.default_rng([seed, number, *shape])
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, side, dtype=np.float32) for side in shape), indexing="ij", sparse=True)
    folds, border = _smooth(rng, shape, 10), _smooth(rng, shape, 5)
    width, length = rng.uniform(0.68, 0.78), rng.uniform(0.82, 0.92)
    radius = np.sqrt((x / width) ** 2 + (y / length) ** 2 + (z / 0.95) ** 2) + 0.03 * border
    tissue = np.full(shape, -1, np.int8)
    for place, where in enumerate(
        (radius < 1.06, radius < 0.99, radius < 0.93, radius + 0.1 * folds < 0.88, radius + 0.1 * folds < 0.74)
    ):
        tissue[where] = place
    for side in (-1, 1):
        tissue[np.sqrt(((x - 0.1 * side) / 0.06) ** 2 + (y / 0.28) ** 2 + (z / 0.25) ** 2) < 1 + 0.2 * folds] = 2
    labels = _tumour(rng, (x, y, z), border, radius < 0.86, enhances=number % 5 != 4)
    for label, place in ((2, 5), (1, 6), (3, 7)):
        tissue[labels == label] = place
    bias = 1 + 0.15 * _smooth(rng, shape, 3)
    images = np.zeros((len(SEQUENCES), *shape), np.int16)
    for sequence, brightness in enumerate(_TISSUES):
        signal = np.append(brightness, np.float32(0))[tissue] * bias
        signal += rng.normal(0, rng.uniform(0.015, 0.04), shape).astype(np.float32)
        images[sequence] = (signal.clip(0) * rng.uniform(0.6, 1.4) * _OUTER * (tissue >= 0)).astype(np.int16)
    return images, labels


def _tumour(
    rng: np.random.Generator, axes: tuple[Array, Array, Array], border: Array, brain: NDArray[np.bool_], enhances: bool
) -> NDArray[np.uint8]:
    """Draw the labels of a tumour, uint8 (I, J, K)."""
    centre = rng.uniform((0.15, -0.35, -0.25), (0.35, 0.35, 0.35)) * (rng.choice([-1, 1]), 1, 1)
    size = rng.uniform(0.28, 0.42) * rng.uniform(0.8, 1.2, 3)
    scaled = [((axis - middle) / side) ** 2 for axis, middle, side in zip(axes, centre, size, strict=True)]
    radius = np.sqrt(scaled[0] + scaled[1] + scaled[2]) + 0.2 * border
    labels = np.zeros(radius.shape, np.uint8)
    for label, where in ((2, radius < 1), (3 if enhances else 1, radius < 0.68), (1, radius < 0.42)):
        labels[brain & where] = label
    return labels


def _smooth(rng: np.random.Generator, shape: tuple[int, int, int], bumps: int) -> Array:
    """Draw a smooth random field of range about -1 to 1, with so many bumps along an axis."""
    coarse = rng.uniform(-1, 1, (bumps,) * 3).astype(np.float32)
    return np.asarray(ndimage.zoom(coarse, [side / bumps for side in shape], order=1, grid_mode=True, mode="nearest"))
