"""Read images and masks, in whatever form they come, and fit them into squares of uint8."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
_MOST_PIXELS = 2**24  # of a scan: 4,096 x 4,096
_MOST_BYTES = 2**28  # of its file


@dataclass(frozen=True)
class Picture:
    """One decoded image.

    Attributes:
        pixels: uint8 (size, size, 3).
        shape: height and width of the file before resizing.
        digest: SHA-256 of the file's bytes, hexadecimal.
    """

    pixels: NDArray[np.uint8]
    shape: tuple[int, int]
    digest: str


@dataclass(frozen=True)
class Mask:
    """One decoded mask.

    Attributes:
        pixels: uint8 (size, size) of 0 and 1.
        original: uint8 (H, W) of 0 and 1, as the file has it.
        digest: SHA-256 of the file's bytes, hexadecimal.
    """

    pixels: NDArray[np.uint8]
    original: NDArray[np.uint8]
    digest: str

    @property
    def positive(self) -> bool:
        """Whether any pixel of the file is foreground, also one that resizing loses."""
        return bool(self.original.any())


@dataclass(frozen=True)
class Content:
    """What the files of a slice hold, before anything is fitted.

    Attributes:
        image: uint8 (H, W, 3).
        digest: SHA-256 of the image, hexadecimal: of its file, or where a file holds more than that of its values.
        mask: uint8 of 0 and 1, of its file's own size; None for data without masks.
        mask_digest: likewise; "" for none.
    """

    image: NDArray[np.uint8]
    digest: str
    mask: NDArray[np.uint8] | None = None
    mask_digest: str = ""


def read_files(image: Path, mask: Path | None = None) -> Content:
    """Read an image and, where it has one, its mask from files that Pillow knows.

    Any Pillow mode is taken: transparency is laid over black, a palette is resolved, and 16-bit, 32-bit and
    floating-point grey values are divided by the image's own maximum, since MRI intensities have no unit. A mask has
    two values; its foreground becomes 1.

    Raises:
        ValueError: a file is empty, truncated or no image, the image has pixels that are not finite, or the mask more
            than two values.
    """
    opened, digest = _open(image)
    rgb = np.array(_to_rgb(opened, image), dtype=np.uint8)
    return Content(rgb, digest) if mask is None else Content(rgb, digest, *_read_mask(mask))


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Decode an image of one page and no more than 16 million pixels to RGB at its own size: uint8 (H, W, 3).

    Raises:
        ValueError: it is larger, or as for `read_files`.
    """
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise ValueError(f"{path}: has {size:,} bytes, more than {_MOST_BYTES:,}")
    return np.array(_to_rgb(_open(path, alone=True)[0], path), dtype=np.uint8)


def fit_image(rgb: NDArray[np.uint8], size: int, digest: str) -> Picture:
    """Fit an image (H, W, 3) into a square of `size` pixels, its aspect kept by black padding."""
    fitted = ImageOps.pad(Image.fromarray(rgb), (size, size), method=Image.Resampling.BILINEAR, color=(0, 0, 0))
    return Picture(np.array(fitted, dtype=np.uint8), rgb.shape[:2], digest)


def fit_mask(original: NDArray[np.uint8], size: int, digest: str) -> Mask:
    """Fit a mask (H, W) of 0 and 1 into a square of `size` pixels like its image, by nearest neighbour."""
    fitted = ImageOps.pad(Image.fromarray(original), (size, size), method=Image.Resampling.NEAREST, color=0)
    return Mask(np.array(fitted, dtype=np.uint8), original, digest)


def unfit(probabilities: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Bring a map (size, size) over a fitted image back to its own (height, width): bilinear, padding cut off."""
    size = len(probabilities)
    inner_height = size if width <= height else round(height / width * size)
    inner_width = size if height <= width else round(width / height * size)
    top, left = round((size - inner_height) / 2), round((size - inner_width) / 2)
    inner = Image.fromarray(probabilities[top : top + inner_height, left : left + inner_width])
    return np.asarray(inner.resize((width, height), Image.Resampling.BILINEAR))


def unfit_image(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Bring a fitted image (size, size, 3) back to its own (height, width)."""
    channels = [unfit(channel.astype(np.float32), height, width) for channel in np.moveaxis(image, -1, 0)]
    return np.stack(channels, -1).astype(np.uint8)


def _read_mask(path: Path) -> tuple[NDArray[np.uint8], str]:
    """Read a mask (H, W) of 0 and 1, and its file's digest."""
    image, digest = _open(path)
    values = np.asarray(image if image.mode in {"1", "L", "I;16", "I"} else image.convert("L"))
    # Counting bytes is twenty times as fast as sorting them.
    levels = np.flatnonzero(np.bincount(values.ravel())) if values.dtype == np.uint8 else np.unique(values)
    if len(levels) > 2 or (len(levels) == 2 and levels[0] != 0):
        raise ValueError(
            f"{path}: a mask must have two values, 0 and one other; this one has {len(levels)} "
            f"from {levels[0]} to {levels[-1]}. Save it as a lossless two-valued image"
        )
    return (values > 0).astype(np.uint8), digest


def _to_rgb(image: Image.Image, path: Path) -> Image.Image:
    if image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba)
    elif image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64).clip(min=0)
        if not np.isfinite(values).all():
            raise ValueError(f"{path}: has pixels that are no numbers (NaN or infinite). Replace them")
        image = Image.fromarray((values * (255.0 / max(values.max(), 1e-12))).round().astype(np.uint8))
    return image.convert("RGB")


def _refuse_large(image: Image.Image) -> None:
    pages = getattr(image, "n_frames", 1)
    if pages > 1:
        raise ValueError(f"has {pages} pages; give each by itself")
    if image.width * image.height > _MOST_PIXELS:
        raise ValueError(f"has {image.width} x {image.height} pixels, more than {_MOST_PIXELS:,}")


def _open(path: Path, alone: bool = False) -> tuple[Image.Image, str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}). Check its permissions") from error
    if not content:
        raise ValueError(f"{path}: the file is empty (0 bytes). Restore or remove it")
    try:
        image = Image.open(io.BytesIO(content))
        if alone:
            _refuse_large(image)
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable image, or cut short ({error}). Restore or remove it") from error
    return image, hashlib.sha256(content).hexdigest()
