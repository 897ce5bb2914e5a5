"""Draw brain MRI phantoms in the layout of the LGG data, so that everything runs without a download.

Each case is a small volume of axial slices with the three sequences of the LGG data (pre-contrast T1, FLAIR,
post-contrast T1 in red, green and blue): scalp, skull, CSF, folded grey and white matter, ventricles, white-matter
lesions that are not tumours, and one ellipsoid tumour over a contiguous run of slices. Size, place, contrast and
enhancement of the tumour, the noise and the bias field differ from case to case.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.datasets import kaggle_3m
from brain_tumor.datasets.base import DataSet, Listing
from brain_tumor.io import atomic

Array = NDArray[np.float32]

FORMAT = 1  # raised whenever the same seed would draw other pixels
PIXELS = 256  # side of a slice
_AXIS = np.linspace(-0.92, 0.92, PIXELS, dtype=np.float32)
_Y, _X = np.meshgrid(_AXIS, _AXIS, indexing="ij")
# Brightness of each tissue in the three sequences, from 0 to 1.
_SCALP = (0.75, 0.55, 0.8)
_BONE = (0.08, 0.06, 0.08)
_CSF = (0.15, 0.1, 0.15)
_GREY = (0.42, 0.52, 0.46)
_WHITE = (0.58, 0.42, 0.62)


class Phantom(DataSet):
    """Phantoms drawn from a seed, stored like the LGG data.

    Args:
        cases: how many cases, of 20 to 40 slices each.
        phantom_seed: of the generator.
        cache_dir: the folder that phantoms are written below.
    """

    name = "phantom"
    sequences = ("t1", "flair", "t1ce")
    licence = "none needed: drawn by a program"
    drawn = True

    def __init__(self, *, cases: int, phantom_seed: int = 0, cache_dir: str) -> None:
        self.cases = cases
        self.phantom_seed = phantom_seed
        self.cache_dir = Path(cache_dir).expanduser()

    def listing(self) -> Listing:
        """List the phantoms; draw missing ones first."""
        return kaggle_3m.list_slices(generate(self.cache_dir, self.cases, self.phantom_seed))


def generate(cache_dir: Path, cases: int, seed: int) -> Path:
    """Write so many cases, unless they exist, and return the folder that holds `kaggle_3m/`.

    Raises:
        ValueError: fewer than one case.
    """
    if cases < 1:
        raise ValueError(f"data.cases={cases}: give at least one case")
    name = hashlib.sha256(f"{FORMAT} {cases} {seed}".encode()).hexdigest()[:12]
    home = cache_dir / "phantom"
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / f"{name}.lock"):
        if not (home / name).exists():
            with atomic.folder(home, "drawing") as temporary:
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    list(pool.map(partial(write_case, temporary / "kaggle_3m", seed), range(cases)))
                temporary.rename(home / name)
    return home / name


def write_case(tree: Path, seed: int, number: int) -> None:
    """Draw one case and write its slices and masks as TIFF files."""
    case = f"PHANTOM{seed or ''}_{number:04d}_20000101"  # phantoms of another seed are other patients
    folder = tree / case
    folder.mkdir(parents=True)
    for index, (image, mask) in enumerate(draw_case(seed, number), start=1):
        Image.fromarray(image).save(folder / f"{case}_{index}.tif")
        Image.fromarray(mask).save(folder / f"{case}_{index}_mask.tif")


def draw_case(seed: int, number: int) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Draw one case: images uint8 (256, 256, 3) and masks uint8 (256, 256) of 0 and 255, from bottom to top."""
    rng = np.random.default_rng([seed, number])
    count = int(rng.integers(20, 41))
    head = _Head(rng)
    tumour = _Tumour(rng)
    bias = 1 + 0.35 * _smooth(rng, 3) * rng.uniform(0.3, 1)
    noise = rng.uniform(0.015, 0.045)
    gain = rng.uniform(0.8, 1.1, size=3).astype(np.float32)
    slices = []
    for z in np.linspace(-0.85, 0.95, count):
        tissue, brain = head.draw(float(z), rng)
        mask = tumour.draw(float(z), tissue, brain, rng)
        signal = _blur(tissue) * gain * bias[..., None]
        # The magnitude of a complex signal with Gaussian noise is Rician.
        real, imaginary = rng.normal(0, noise, size=(2, *signal.shape)).astype(np.float32)
        magnitude = np.hypot(signal + real, imaginary)
        slices.append(((magnitude.clip(0, 1) * 255).astype(np.uint8), mask.astype(np.uint8) * 255))
    return slices


class _Head:
    """A head's shape and its folds, cut at any height z from -1 (neck) to 1 (crown)."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.width, self.length = rng.uniform(0.58, 0.68), rng.uniform(0.74, 0.86)
        self.centre = rng.uniform(-0.05, 0.05, size=2)
        self.angle = rng.uniform(-0.12, 0.12)
        self.folds = [_smooth(rng, 20), _smooth(rng, 20)]
        self.outline = _smooth(rng, 4)
        self.ventricles = rng.uniform(0.7, 1.4)
        self.lesions = int(rng.integers(0, 7))

    def draw(self, z: float, rng: np.random.Generator) -> tuple[Array, NDArray[np.bool_]]:
        """Return the tissue's brightness (256, 256, 3), from 0 to 1, and the brain's mask, bool (256, 256)."""
        size = np.sqrt(max(1 - (z / 1.08) ** 2, 0.05))
        x, y = _rotate(_X - self.centre[0], _Y - self.centre[1], self.angle)
        radius = np.hypot(x / (self.width * size), y / (self.length * size)) + 0.06 * self.outline
        mix = (z + 1) / 2
        folds = (1 - mix) * self.folds[0] + mix * self.folds[1]
        brain = radius < 0.86
        tissue = np.zeros((PIXELS, PIXELS, 3), np.float32)
        depth = radius + 0.15 * folds
        for where, brightness in (
            (radius < 1.06, _SCALP),
            (radius < 0.99, _BONE),
            (radius < 0.91, _CSF),
            (brain & (depth < 0.86), _GREY),
            (brain & (depth < 0.72), _WHITE),
            (brain & (depth < 0.28) & (np.abs(folds) > 0.5), _GREY),
        ):
            tissue[where] = brightness
        # The gap between the hemispheres, and the two lateral ventricles around the middle heights.
        tissue[brain & (np.abs(x) < 0.012 + 0.008 * folds) & (np.abs(y) > 0.2 * size)] = _CSF
        opening = self.ventricles * (1 - (z / 0.6) ** 2)
        if opening > 0:
            for side in (-1, 1):
                u, v = _rotate(x - side * 0.1 * size, y, side * 0.35)
                tissue[np.hypot(u / (0.055 * opening), v / (0.26 * opening)) < 1 + 0.15 * folds] = _CSF
        for _ in range(rng.poisson(self.lesions / 2)):
            px, py = rng.uniform(-0.4, 0.4, size=2) * size
            spot = brain & (np.hypot(x - px, y - py) < rng.uniform(0.015, 0.035))
            tissue[spot] = (0.48, rng.uniform(0.6, 0.85), 0.5)
        return tissue, brain


class _Tumour:
    """An ellipsoid with a ragged border, oedema around it, and in some cases an enhancing rim."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.z, self.height = rng.uniform(-0.35, 0.55), rng.uniform(0.18, 0.5)
        self.place = np.array([rng.choice([-1, 1]) * rng.uniform(0.16, 0.32), rng.uniform(-0.35, 0.35)])
        self.radius = rng.uniform(0.13, 0.26)
        self.stretch = rng.uniform(0.75, 1.3)
        self.border = _smooth(rng, 9)
        self.flair = rng.uniform(0.68, 0.95)
        self.enhances = rng.random() < 0.5
        self.texture = _smooth(rng, 24)

    def draw(self, z: float, tissue: Array, brain: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
        """Draw the tumour's cut into `tissue`; return its mask, bool (256, 256)."""
        cut = 1 - ((z - self.z) / self.height) ** 2
        if cut <= 0.04:
            return np.zeros_like(brain)
        x, y = _X - self.place[0], _Y - self.place[1]
        radius = np.hypot(x * self.stretch, y / self.stretch) / (self.radius * np.sqrt(cut)) + 0.3 * self.border
        mask: NDArray[np.bool_] = brain & (radius < 1)
        texture = (0.06 * self.texture + rng.normal(0, 0.01))[mask]
        tissue[mask, 0] = 0.3 + texture
        tissue[mask, 1] = self.flair + texture
        tissue[mask, 2] = 0.34 + texture
        if self.enhances:
            tissue[mask & (radius > 0.55) & (radius < 0.85), 2] = 0.9
        return mask


def _smooth(rng: np.random.Generator, cells: int) -> Array:
    """Draw a smooth random field (256, 256) of mean about 0 and range about -1 to 1, `cells` bumps across."""
    coarse = Image.fromarray(rng.uniform(-1, 1, size=(cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((PIXELS, PIXELS), Image.Resampling.BICUBIC), dtype=np.float32)


def _blur(tissue: Array) -> Array:
    """Soften tissue borders a little, as voxels of finite size do: a (1, 2, 1) kernel along each axis."""
    for axis in (0, 1):
        tissue = (np.roll(tissue, 1, axis) + 2 * tissue + np.roll(tissue, -1, axis)) / np.float32(4)
    return tissue


def _rotate(x: Array, y: Array, angle: float) -> tuple[Array, Array]:
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cos * x - sin * y, sin * x + cos * y
