"""Read images and masks of any common format, and fit them into squares of uint8."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from brain_tumor.scans.binary_masks import read_mask
from brain_tumor.scans.decoding import Opened, open_image, require_finite

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
_RINGING = 0.01  # share of the maximum: resampling may have moved values of 0 this far below 0


@dataclass(frozen=True)
class FittedImage:
    """One decoded image, fitted into a square.

    Attributes:
        pixels: uint8 (size, size, C).
        shape: height and width of the file before resizing.
        digest: SHA-256 of the file's bytes, hexadecimal.
    """

    pixels: NDArray[np.uint8]
    shape: tuple[int, int]
    digest: str


@dataclass(frozen=True)
class FittedMask:
    """One decoded mask, fitted into a square.

    Attributes:
        pixels: uint8 (size, size) of labels, 0 for none.
        original: uint8 (H, W), as the file has it.
        digest: SHA-256 of the file's bytes, hexadecimal.
    """

    pixels: NDArray[np.uint8]
    original: NDArray[np.uint8]
    digest: str

    @property
    def positive(self) -> bool:
        """Whether any pixel of the file is foreground, even one that resizing loses."""
        return bool(self.original.any())


@dataclass(frozen=True)
class Content:
    """The content of a slice's files, at their original size.

    Attributes:
        image: uint8 (H, W, C).
        digest: SHA-256 in hexadecimal: of the image's file, or of its values where the file holds more than the image.
        mask: uint8 (H, W) of labels, 0 for none, of the size of its file; None for data without masks.
        mask_digest: SHA-256 of the mask's file, hexadecimal; "" for none.
    """

    image: NDArray[np.uint8]
    digest: str
    mask: NDArray[np.uint8] | None = None
    mask_digest: str = ""


def read_files(image: Path, mask: Path | None = None) -> Content:
    """Read an image and, where it has one, its mask from files that Pillow knows.

    Both are turned as a viewer shows them (EXIF). Every colour mode is read: transparency is laid over black and a
    palette is resolved. Where a channel has more than 8 bits or floating-point values, all values are divided by the
    image's maximum over its channels, since MRI intensities have no unit. A mask has two values, black and one other,
    and no transparency; what is not black becomes 1.

    Raises:
        ValueError: a file cannot be read (see `decoding.open_image`), the image has pixels that are not finite or
            negative, or the mask has more than two values.
    """
    opened = open_image(image)
    rgb = _to_rgb(opened, image)
    return Content(rgb, opened.digest) if mask is None else Content(rgb, opened.digest, *read_mask(mask))


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read an image of at most 16 million pixels as RGB at its original size: uint8 (H, W, 3).

    Raises:
        ValueError: the image is larger, or cannot be read (see `read_files`).
    """
    return _to_rgb(open_image(path, limited=True), path)


def fit_image(image: NDArray[np.uint8], size: int, digest: str) -> FittedImage:
    """Fit an image (H, W, C) into a square of `size` pixels, its aspect kept by black padding."""
    bands = [image] if image.shape[-1] == 3 else list(np.moveaxis(image, -1, 0))  # Pillow takes four for RGBA
    fitted = [
        np.asarray(ImageOps.pad(Image.fromarray(band), (size, size), Image.Resampling.BILINEAR)) for band in bands
    ]
    return FittedImage(np.array(fitted[0] if image.shape[-1] == 3 else np.stack(fitted, -1)), image.shape[:2], digest)


def as_rgb(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images (..., C) as they are drawn, (..., 3): the first three channels, or the first one in grey."""
    if images.shape[-1] < 3:
        return np.repeat(images[..., :1], 3, axis=-1)
    return images[..., :3]


def fit_mask(original: NDArray[np.uint8], size: int, digest: str) -> FittedMask:
    """Fit a mask (H, W) of labels into a square of `size` pixels like its image, by nearest neighbour."""
    fitted = ImageOps.pad(Image.fromarray(original), (size, size), method=Image.Resampling.NEAREST, color=0)
    return FittedMask(np.array(fitted, dtype=np.uint8), original, digest)


def unfit(probabilities: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Bring a map over a fitted image back to the image's original size, bilinear, with the padding cut off.

    Args:
        probabilities: float32 (size, size).
        height: height of the original image in pixels.
        width: width of the original image in pixels.

    Returns:
        float32 (height, width).
    """
    size = len(probabilities)
    inner_height = size if width <= height else max(1, round(height / width * size))
    inner_width = size if height <= width else max(1, round(width / height * size))
    top, left = round((size - inner_height) / 2), round((size - inner_width) / 2)
    inner = Image.fromarray(probabilities[top : top + inner_height, left : left + inner_width])
    return np.asarray(inner.resize((width, height), Image.Resampling.BILINEAR))


def unfit_image(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Bring a fitted image, uint8 (size, size, C), back to its original size: uint8 (height, width, C)."""
    channels = [unfit(channel.astype(np.float32), height, width) for channel in np.moveaxis(image, -1, 0)]
    return np.stack(channels, -1).astype(np.uint8)


def _to_rgb(opened: Opened, path: Path) -> NDArray[np.uint8]:
    image = opened.image
    if opened.deep is not None:
        return _scale(opened.deep, opened.opacity, path)
    if image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba)
    try:
        return np.array(image.convert("RGB"), dtype=np.uint8)
    except ValueError as error:
        raise ValueError(f"{path}: has {image.mode} colours, which cannot be shown in RGB. Save it as RGB") from error


def _scale(values: NDArray[np.float64], opacity: NDArray[np.float64] | None, path: Path) -> NDArray[np.uint8]:
    """Scale values (H, W) or (H, W, 3) of any range to uint8 (H, W, 3): the largest becomes 255, 0 and below 0.

    Raises:
        ValueError: some values are not finite, or further below 0 than resampling explains.
    """
    require_finite(values, path)
    if opacity is not None:
        values = values * (opacity if values.ndim == 2 else opacity[..., None])
    if values.min() < -_RINGING * abs(values.max()):
        raise ValueError(
            f"{path}: has values from {values.min():g} to {values.max():g}; those below 0 would all be black. "
            "Save it with black as 0"
        )
    values = values.clip(min=0)
    grey = (values * (255.0 / max(values.max(), 1e-12))).round().astype(np.uint8)
    return grey if grey.ndim == 3 else np.repeat(grey[..., None], 3, 2)
