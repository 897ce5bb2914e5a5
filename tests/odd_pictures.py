"""One slice of a head in picture files, odd in their depths, colours, pages, orientations and names."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.odd import PICTURE, RIGHT, Array, Disguise, Given, Head, Outcome, Write, refused, right_or, right_with

Draw = Callable[[Array], "Image.Image | Array"]


def _write(
    folder: Path,
    head: Head,
    *,
    name: str = "scan.png",
    draw: Draw = lambda grey: grey,
    given: str = ".",
    **save: Any,
) -> Given:
    """Write a picture.

    Args:
        folder: for the file.
        head: to draw.
        name: of the file.
        draw: makes what is saved of the grey picture, uint8 (H, W).
        given: how it is given to `predict`.
        **save: options of Pillow's.
    """
    drawn = draw(head.picture)
    image = drawn if isinstance(drawn, Image.Image) else Image.fromarray(drawn)
    image.save(folder / name, **save)
    return Given(given)


def picture(**options: Any) -> Write:
    """Return a function that writes a picture so (see `_write`)."""
    return partial(_write, **options)


def _bytes(content: Callable[[Array], bytes], name: str = "scan.png") -> Write:
    """Return a function that writes what Pillow cannot."""

    def write(folder: Path, head: Head) -> None:
        (folder / name).write_bytes(content(head.picture))

    return write


def rgb(grey: Array) -> Array:
    """Return three equal channels."""
    return np.repeat(grey[..., None], 3, -1)


def _as(mode: str) -> Draw:
    return lambda grey: Image.fromarray(rgb(grey)).convert(mode)


def _times(factor: float, dtype: Any, offset: float = 0) -> Draw:
    return lambda grey: (grey.astype(float) * factor + offset).astype(dtype)


def _see_through(below: int) -> Draw:
    """Draw with air that is transparent, and another value below it."""
    return lambda grey: np.dstack([rgb(np.where(grey > 0, grey, below)), (grey > 0) * 255]).astype(np.uint8)


# What undoes each orientation of EXIF.
UNDONE: dict[int, Callable[[Array], Array]] = {
    1: lambda grey: grey,
    2: np.fliplr,
    3: lambda grey: np.rot90(grey, 2),
    4: np.flipud,
    5: np.transpose,
    6: np.rot90,
    7: lambda grey: np.rot90(np.transpose(grey), 2),
    8: lambda grey: np.rot90(grey, -1),
}


def exif(orientation: int) -> Image.Exif:
    """Return metadata that say how to turn a picture."""
    tag = Image.Exif()
    tag[0x0112] = orientation
    return tag


def _turned(orientation: int, **options: Any) -> Write:
    """Return a function that writes a picture so that a viewer turns it upright."""
    undone = UNDONE[orientation]
    return picture(draw=lambda grey: np.ascontiguousarray(undone(grey)), exif=exif(orientation), **options)


def deep_png(channels: Callable[[Array], Array]) -> Callable[[Array], bytes]:
    """Return what makes a PNG of 16 bits in 1 to 4 channels, of which Pillow writes one."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    def content(grey: Array) -> bytes:
        values = channels(grey.astype(np.uint16))
        height, width, count = values.shape
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
        head = struct.pack(">IIBBBBB", width, height, 16, (0, 4, 2, 6)[count - 1], 0, 0, 0)
        pixels = chunk(b"IDAT", zlib.compress(rows))
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + pixels + chunk(b"IEND", b"")

    return content


def _deep_tiff(grey: Array) -> bytes:
    """Return a TIFF of three times 16 bits, by hand."""
    values, (height, width), end = rgb(grey.astype("<u2") * 16), grey.shape, 8 + 2 + 10 * 12 + 4
    entries = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, end), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, end + 6),
        (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, values.nbytes), (284, 3, 1, 1),
    ]  # fmt: skip
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, 10) + table + bytes(4) + struct.pack("<3H", 16, 16, 16) + values.tobytes()


def _pages(name: str) -> Write:
    """Return a function that writes a stack of three."""

    def write(folder: Path, head: Head) -> None:
        pages = [Image.fromarray(head.picture // part) for part in (1, 2, 3)]
        pages[0].save(folder / name, save_all=True, append_images=pages[1:])

    return write


def _photograph(folder: Path, head: Head) -> None:
    """Write what telephones write: a picture, and a small one of it in the same file."""
    whole = Image.fromarray(rgb(head.picture))
    whole.save(folder / "scan.jpg", "MPO", save_all=True, append_images=[whole.resize((28, 32))], quality=95)


def _beside(name: str, kind: str) -> Write:
    """Return a function that writes a picture, and another beside it in a format that is not read."""

    def write(folder: Path, head: Head) -> Given:
        _write(folder, head, name=name, format=kind)
        return _write(folder, head)

    return write


def _cut(folder: Path, head: Head) -> None:
    _write(folder, head)
    (folder / "scan.png").write_bytes((folder / "scan.png").read_bytes()[:150])


def _spoilt(grey: Array) -> Array:
    values = grey.astype(np.float32)
    values[0, 0] = np.nan
    return values


def _line(name: str, fault: int, write: Write, expected: Outcome = RIGHT) -> Disguise:
    return Disguise(name, fault, write, expected, head=PICTURE)


_PAGES = "pages|frames"
_BELOW = right_or("negative|below")
_PACKINGS = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits")
_OTHERS = {"webp": "WEBP", "gif": "GIF", "jp2": "JPEG2000"}
_LARGE = replace(PICTURE, values=PICTURE.values.repeat(2, 0).repeat(2, 1))

PICTURES = [
    # Depths and colours
    *(_line(f"{mode} in PNG", 0, picture(draw=_as(mode))) for mode in ("L", "RGB", "RGBA", "LA", "P")),
    _line("transparent air", 0, picture(draw=_see_through(0))),
    _line("transparent air, white below", 0, picture(draw=_see_through(255))),
    _line("8 bits in 16", 0, picture(draw=_times(1, np.uint16))),
    _line("12 bits in 16", 0, picture(draw=_times(16, np.uint16))),
    _line("16 bits", 0, picture(draw=_times(257, np.uint16))),
    _line("12 bits in 48", 8, _bytes(deep_png(lambda grey: rgb(grey * 16)))),
    _line("16 bits in 48", 8, _bytes(deep_png(lambda grey: rgb(grey * 257)))),
    _line("12 bits in 64", 8, _bytes(deep_png(lambda grey: np.dstack([rgb(grey * 16), grey * 0 + 65535])))),
    _line("12 bits and alpha", 8, _bytes(deep_png(lambda grey: np.dstack([grey * 16, grey * 0 + 65535])))),
    _line("12 bits, transparent air", 8, _bytes(deep_png(lambda grey: np.dstack([grey * 16, (grey > 0) * 65535])))),
    *(_line(f"TIFF, {way or 'plain'}", 0, picture(name="scan.tif", compression=way)) for way in _PACKINGS),
    _line("TIFF, 16 bits", 0, picture(name="scan.tiff", draw=_times(16, np.uint16))),
    _line("TIFF, 16 bits, big endian", 0, picture(name="scan.tif", draw=_times(16, ">u2"))),
    _line("TIFF, 32 bits", 0, picture(name="scan.tif", draw=_times(1000, np.int32))),
    _line("TIFF, 32 bits below 0", 20, picture(name="scan.tif", draw=_times(1, np.int32, -128)), _BELOW),
    _line("TIFF, floating point", 0, picture(name="scan.tif", draw=_times(16, np.float32))),
    _line("TIFF, floating point to 1", 0, picture(name="scan.tif", draw=_times(1 / 255, np.float32))),
    _line("TIFF, floating point below 0", 20, picture(name="scan.tif", draw=_times(1, np.float32, -128)), _BELOW),
    _line("TIFF, NaN", 0, picture(name="scan.tif", draw=_spoilt), refused("no numbers")),
    _line("TIFF, 48 bits", 8, _bytes(_deep_tiff, "scan.tif"), right_or("16|bits|not a readable")),
    _line("TIFF, CMYK", 0, picture(name="scan.tif", draw=_as("CMYK"))),
    _line("BMP", 0, picture(name="scan.bmp")),
    _line("BMP in colour", 0, picture(name="SCAN.BMP", draw=_as("RGB"))),
    _line("JPEG", 0, picture(name="scan.jpg", quality=95)),
    _line("JPEG in colour, progressive", 0, picture(name="a.jpeg", draw=_as("RGB"), quality=95, progressive=True)),
    _line("JPEG, CMYK", 0, picture(name="scan.jpg", draw=_as("CMYK"), quality=95)),
    # Orientations
    *(_line(f"JPEG, orientation {way}", 6, _turned(way, name="scan.jpg", quality=95)) for way in UNDONE),
    *(_line(f"PNG, orientation {way}", 6, _turned(way)) for way in (3, 5, 6, 8)),
    *(_line(f"TIFF, orientation {way}", 6, _turned(way, name="scan.tif")) for way in (2, 6, 7)),
    # Pages
    _line("a photograph of a telephone", 9, _photograph),
    _line("TIFF of three pages", 9, _pages("scan.tif"), refused(_PAGES)),
    _line("moving PNG", 9, _pages("scan.png"), refused(_PAGES)),
    _line("moving GIF", 9, _pages("scan.gif"), refused(f"{_PAGES}|gif|nothing to predict|neither")),
    # Files
    Disguise("twice as large", 0, picture(), head=_LARGE),
    _line("called .jpg", 0, picture(name="scan.jpg", format="PNG")),
    _line("called nothing", 0, picture(name="scan", format="PNG")),
    _line("upper-case suffix", 0, picture(name="SCAN.PNG")),
    _line("cut short", 1, _cut, refused("cut short|readable")),
    *(_line(f"{name} beside", 12, _beside(f"b.{name}", kind), right_with(rf"\b(b\.|\.)?{name}\b"))
      for name, kind in _OTHERS.items()),
    *(_line(f"{name} by name", 12, picture(name=f"b.{name}", format=kind, given=f"b.{name}"),
            right_or("neither|not read")) for name, kind in _OTHERS.items()),
]  # fmt: skip

# All orientations of EXIF in all formats.
_WAYS: dict[str, dict[str, Any]] = {
    "a.png": {}, "a.tif": {}, "lzw.tif": {"compression": "tiff_lzw"}, "a.jpg": {"quality": 95},
    "progressive.jpeg": {"progressive": True}, "rgb.webp.png": {"format": "PNG"},
}  # fmt: skip
ALL_PICTURES = [
    _line(f"{name}, orientation {way}", 6, _turned(way, name=name, **_WAYS[name])) for name in _WAYS for way in UNDONE
]
