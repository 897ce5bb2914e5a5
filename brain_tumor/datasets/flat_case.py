"""Check and read a case that is a picture: a file per channel, or one with all of them, and a file of labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brain_tumor.datasets.regions import Regions
from brain_tumor.scans import volumes
from brain_tumor.scans.decoding import Opened, open_image, require_finite
from brain_tumor.scans.images import Content

PICTURES = (".png", ".tif", ".tiff", ".bmp")


def problems(files: Sequence[Path], channels: int, label: Path | None) -> list[str]:
    """Return what is wrong with the files of a case, one line each."""
    lines: list[str] = []
    shapes: dict[Path, tuple[int, ...]] = {}
    found = 0
    for path in files:
        try:
            bands = _bands(open_image(path), path)
        except ValueError as error:
            lines.append(str(error))
            continue
        shapes[path] = bands.shape[:2]
        found += bands.shape[-1] * (path != label)
    if len(shapes) == len(files) and found != channels:
        lines.append(f"{files[0]}: has {found} channel(s), dataset.json declares {channels}")
    for path, shape in shapes.items():
        if shape != shapes.get(files[0], shape):
            lines.append(f"{path}: has {shape[1]} x {shape[0]} pixels, unlike {files[0].name}")
    return lines


def read(images: Sequence[Path], label: Path | None, regions: Regions) -> Content:
    """Read a case: files of 8 bits as they are, others scaled by their 99.5th percentile.

    Raises:
        ValueError: names the bad file.
    """
    opened = [open_image(path) for path in images]
    bands = [_levels(_bands(one, path)) for one, path in zip(opened, images, strict=True)]
    image, digest = np.concatenate(bands, -1), " ".join(one.digest for one in opened)
    if label is None:
        return Content(image, digest)
    labelled = open_image(label)
    values = _bands(labelled, label)
    if values.shape[-1] != 1:
        raise ValueError(f"{label}: is coloured; labels are grey levels, one number a label")
    whole = values[..., 0].clip(0, 255).astype(np.uint8)
    if (whole != values[..., 0]).any():
        raise ValueError(f"{label}: has labels that are no whole numbers from 0 to 255")
    regions.refuse_unknown(whole, label)
    return Content(image, digest, whole, labelled.digest)


def _bands(opened: Opened, path: Path) -> NDArray[np.float64] | NDArray[np.uint8]:
    """Return the values of a picture as its file has them, (H, W, C)."""
    if opened.deep is not None:
        require_finite(opened.deep, path)
        return opened.deep.reshape(*opened.deep.shape[:2], -1)
    image = opened.image.convert("L") if opened.image.mode == "1" else opened.image
    values = np.array(image if image.mode in {"L", "P", "RGB"} else image.convert("RGB"), np.uint8)
    if opened.image.mode == "1":
        values = values // 255
    return values.reshape(*values.shape[:2], -1)


def _levels(bands: NDArray[np.float64] | NDArray[np.uint8]) -> NDArray[np.uint8]:
    if bands.dtype == np.uint8:
        return bands.astype(np.uint8)
    scaled = [volumes.to_bytes(band[None].astype(np.float32), "percentile")[0] for band in np.moveaxis(bands, -1, 0)]
    return np.stack(scaled, -1)
