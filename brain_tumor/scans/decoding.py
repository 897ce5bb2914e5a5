"""Open an image file: its only page, turned as a viewer shows it, at its full depth."""

import hashlib
import io
import struct
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin

# Only PNG and TIFF may have more than 8 bits per channel.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
_MOST_PIXELS = 2**24  # of a scan: 4,096 x 4,096
_MOST_BYTES = 2**28  # of a scan's file
_PHOTOMETRIC, _SAMPLE_FORMAT, _BITS, _PLANES, _SUBFILE = 262, 339, 258, 284, 254  # tags of TIFF
_WHITE_IS_ZERO, _SIGNED, _APART = 0, 2, 2  # their values
_LONGEST = 32  # largest ratio of the sides: a longer picture, once fitted, would be only a few pixels thin
# Pillow keeps the upper of a channel's two bytes. With the byte order swapped it keeps the lower one instead.
_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_BROKEN = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    struct.error,
    Image.DecompressionBombError,
)


class Opened(NamedTuple):
    """The content of an image file, turned upright.

    Attributes:
        image: the image with 8 bits per channel, or its palette. Where `deep` is given, use that instead.
        deep: float64 (H, W) or (H, W, 3), the values of a file with more than 8 bits per channel; None for others.
        opacity: float64 (H, W) from 0 to 1, for such a file with transparency; None for others.
        digest: SHA-256 of the file's bytes, hexadecimal.
    """

    image: Image.Image
    deep: NDArray[np.float64] | None
    opacity: NDArray[np.float64] | None
    digest: str


def open_image(path: Path, limited: bool = False) -> Opened:
    """Read and decode an image file.

    The image is turned as EXIF's orientation says, in every format, as viewers do. A photograph may hold more
    pictures (MPO, as phones write it) and a TIFF thumbnails behind its page: only the first picture is read.

    Args:
        path: the file; its content decides what format it has, not its name.
        limited: refuse a file of more than 256 MB or 16 million pixels.

    Raises:
        ValueError: the file is empty, truncated or no image, has several pages, or has a form that Pillow would
            decode to other values than the file holds.
    """
    try:
        size = path.stat().st_size
        if limited and size > _MOST_BYTES:
            raise ValueError(f"{path}: has {size:,} bytes, more than {_MOST_BYTES:,}")
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}). Check its permissions") from error
    if not content:
        raise ValueError(f"{path}: the file is empty (0 bytes). Restore or remove it")
    try:
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
        refusal = _refusal(image, content, limited)
        if not refusal:
            deep, opacity = _load(image, content)
    except _BROKEN as error:
        if "out of memory" in str(error):
            raise ValueError(f"{path}: there is not enough memory to decode it ({error})") from error
        raise ValueError(f"{path}: not a readable image, or cut short ({error}). Restore or remove it") from error
    if refusal:
        raise ValueError(f"{path}: {refusal}")
    return Opened(image, deep, opacity, hashlib.sha256(content).hexdigest())


def require_finite(values: NDArray[np.float64], path: Path) -> None:
    """Check that all values are finite.

    Raises:
        ValueError: some are NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: has pixels that are no numbers (NaN or infinite). Replace them")


def _refusal(image: Image.Image, content: bytes, limited: bool) -> str:
    """Return why an image that is not loaded yet cannot be read; "" where it can."""
    if (pages := _count_pages(image, content)) > 1:
        return f"has {pages} pages; give each by itself"
    if max(image.size) > _LONGEST * min(image.size):
        return f"has {image.width} x {image.height} pixels: a strip, which a square picture cannot show"
    if limited and image.width * image.height > _MOST_PIXELS:
        return f"has {image.width} x {image.height} pixels, more than {_MOST_PIXELS:,}"
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        deep = max(tags.get(_BITS, (1,))) > 8
        if deep and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            return "stores white as 0 in more than 8 bits; save it with black as 0"
        if deep and tags.get(_PLANES, 1) == _APART and len(image.getbands()) > 1:
            return "stores its channels apart in more than 8 bits; save it as a 16-bit grey image or an 8-bit RGB one"
        if not deep and _SIGNED in tags.get(_SAMPLE_FORMAT, ()):
            return "stores signed 8-bit values; save it as an unsigned grey image"
    if _cuts(image) and _low_mode(_raw_mode(image)) is None:
        return "stores more than 8 bits a channel in a rare form; save it as a 16-bit grey image or an 8-bit RGB one"
    return ""


def _count_pages(image: Image.Image, content: bytes) -> int:
    """Count the pictures of a file, without smaller versions of the first."""
    if image.format == "MPO":
        return 1
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(getattr(image, "n_frames", 1))
    if not image.tag_v2.next:
        return 1
    with Image.open(io.BytesIO(content), formats=("TIFF",)) as stack:
        assert isinstance(stack, TiffImagePlugin.TiffImageFile)
        smaller = []
        for page in range(stack.n_frames):
            stack.seek(page)
            kind = stack.tag_v2.get(_SUBFILE, 0)
            smaller.append(isinstance(kind, int) and kind & 1 == 1)
    return len(smaller) if smaller[0] else smaller.count(False)


def _load(image: Image.Image, content: bytes) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Decode an image in place and turn it upright.

    Returns:
        The values and the opacity of an image with more than 8 bits per channel (see `Opened`); None for others.
    """
    low = _low_bytes(content, image) if _cuts(image) else None
    grey_alpha = low is not None and _raw_mode(image) == "LA;16B"
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.use_load_libtiff:
        # libtiff converts bytes to this machine's order, but Pillow expects signed and real numbers in the file's.
        _retile(image, _raw_mode(image).replace("BS", "NS").replace("BF", "NF"))
    for picture in (image, *([] if low is None else [low])):
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
    if low is None and not image.mode.startswith(("I", "F")):
        return None, None
    if low is None:
        values = np.asarray(image, dtype=np.float64)
    elif grey_alpha:  # all four bytes lie in the four channels
        pairs = np.asarray(low, dtype=np.float64)
        values = pairs[..., ::2] * 256 + pairs[..., 1::2]
    else:
        values = np.asarray(image, dtype=np.float64) * 256 + np.asarray(low)
    return _split_opacity(values, image.info.get("transparency"))


def _split_opacity(values: NDArray[np.float64], clear: Any) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Separate the opacity from the visible values.

    Args:
        values: (H, W), or (H, W, channels) with the opacity as the second of two channels or the fourth of four.
        clear: the value, or the three values, that a PNG declares transparent; None for none.

    Returns:
        The visible values and the opacity (H, W) from 0 to 1; None where all pixels are opaque.
    """
    if values.ndim == 3 and values.shape[-1] in {2, 4}:
        opacity = values[..., -1] / 65535
        values = values[..., 0] if values.shape[-1] == 2 else values[..., :3]
    elif clear is not None:
        same = values == np.asarray(clear)
        opacity = 1.0 - (same if values.ndim == 2 else same.all(-1))
    else:
        return values, None
    return values, None if (opacity == 1).all() else opacity


def _cuts(image: Image.Image) -> bool:
    """Return whether Pillow would cut channels of more than 8 bits down to 8."""
    return not image.mode.startswith(("I", "F")) and _raw_mode(image).endswith((";16B", ";16L", ";16N"))


def _raw_mode(image: Any) -> str:
    """Return Pillow's raw mode, the layout of the stored bytes, for an image that is not loaded yet; "" if unknown."""
    args = image.tile[0].args if image.tile else ""
    return str(args if isinstance(args, str) else (*(args or ()), "")[0])


def _low_mode(raw: str) -> str | None:
    """Return the raw mode that reads the lower bytes of a raw mode of 16 bits; None where there is none."""
    if raw == "LA;16B":
        return "RGBA"  # the four bytes of a pixel as they are, as four channels
    name, _, order = raw.partition(";16")
    return f"{name};16{_SWAPPED[order]}" if name in {"RGB", "RGBA", "RGBX"} and order in _SWAPPED else None


def _low_bytes(content: bytes, image: Image.Image) -> Image.Image:
    """Open an image a second time, set up to decode the lower bytes of its channels."""
    low = Image.open(io.BytesIO(content), formats=_FORMATS)
    mode = _low_mode(_raw_mode(image))
    assert mode is not None, "refused"
    _retile(low, mode)
    return low


def _retile(image: Any, raw: str) -> None:
    """Make Pillow decode an image that is not loaded yet in another raw mode."""
    image.tile = [
        tile._replace(args=raw if isinstance(tile.args, str) else (raw, *tile.args[1:])) for tile in image.tile
    ]
