"""Write picture files of kinds that Pillow reads but does not write."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # PNG's number for so many channels


def write_png16(path: Path, values: NDArray[np.uint16], clear: Sequence[int] = ()) -> None:
    """Write a PNG of 16 bits a channel: (H, W), or (H, W, 2 to 4); `clear` is the value that is transparent."""
    pixels = values.reshape(*values.shape[:2], -1)
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOURS[channels], 0, 0, 0)
    transparent = _chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear)) if clear else b""
    content = _chunk(b"IHDR", header) + transparent + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def write_tiff(
    path: Path, values: NDArray[Any], order: Literal["<", ">"] = "<", packed: bool = False, **tags: int | list[int]
) -> None:
    """Write a TIFF of one strip: (H, W) or (H, W, channels) of any numbers.

    Args:
        path: the file.
        values: as they stand in it.
        order: of bytes, "<" or ">".
        packed: compress them.
        **tags: others than follow from the values, by their numbers: t262=0.
    """
    pixels = values.reshape(*values.shape[:2], -1)
    height, width, channels = pixels.shape
    content = pixels.astype(values.dtype.newbyteorder(order)).tobytes()
    content = zlib.compress(content) if packed else content
    content += b"\0" * (len(content) % 2)
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    entries: dict[int, int | list[int]] = {
        256: width, 257: height, 258: [8 * values.dtype.itemsize] * channels, 259: 8 if packed else 1,
        262: 2 if channels > 2 else 1, 273: 8, 277: channels, 278: height, 279: len(content), 339: [kind] * channels,
        **{int(name[1:]): value for name, value in tags.items()},
    }  # fmt: skip
    table, far = b"", b""
    start = 8 + len(content)
    for tag, value in sorted(entries.items()):
        numbers = value if isinstance(value, list) else [value]
        field = struct.pack(f"{order}{len(numbers)}H", *numbers)
        if isinstance(value, int):
            table += struct.pack(f"{order}HHII", tag, 4, 1, value)
        elif len(field) <= 4:
            table += struct.pack(f"{order}HHI", tag, 3, len(numbers)) + field.ljust(4, b"\0")
        else:
            table += struct.pack(f"{order}HHII", tag, 3, len(numbers), start + 6 + 12 * len(entries) + len(far))
            far += field
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    path.write_bytes(head + content + struct.pack(f"{order}H", len(entries)) + table + b"\0\0\0\0" + far)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
