"""Read masks of two values from image files as they are stored: a conversion could lose some of the values."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.scans.decoding import Opened, open_image, require_finite

_TRANSPARENT = (
    "the mask is transparent in places, which is neither tumour nor background. Save it as a grey image of 0 and 255"
)


def read_mask(path: Path) -> tuple[NDArray[np.uint8], str]:
    """Read a mask from an image file.

    Returns:
        The mask, uint8 (H, W) of 0 and 1, and the SHA-256 of the file's bytes, hexadecimal.

    Raises:
        ValueError: the file cannot be read (see `decoding.open_image`), or its values can be read in several ways.
    """
    opened = open_image(path)
    values = _mask_values(opened, path)
    if values.ndim == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    if values.ndim == 3:
        return _foreground(values, path), opened.digest
    # Counting bytes is twenty times as fast as sorting them.
    levels = np.flatnonzero(np.bincount(values.ravel())) if values.dtype == np.uint8 else np.unique(values)
    if len(levels) > 2 or (len(levels) == 2 and 0 not in levels):
        raise ValueError(
            f"{path}: a mask must have two values, 0 and one other; this one has {len(levels)} "
            f"from {levels[0]:g} to {levels[-1]:g}. Save it as a lossless two-valued image"
        )
    return (values != 0).astype(np.uint8), opened.digest


def _mask_values(opened: Opened, path: Path) -> NDArray[Any]:
    """Return the values of a mask's file as they are stored: (H, W), or (H, W, 3) for colours.

    Raises:
        ValueError: some pixels are transparent, or the colour mode has no plain values.
    """
    image = opened.image
    if opened.deep is not None:
        require_finite(opened.deep, path)
        if opened.opacity is not None:
            raise ValueError(f"{path}: {_TRANSPARENT}")
        return opened.deep
    if image.mode in {"1", "L"} and "transparency" not in image.info:
        return np.asarray(image, dtype=np.uint8)
    if image.mode not in {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}:
        raise ValueError(f"{path}: a mask in {image.mode} colours; save it as a lossless two-valued grey image")
    colours = np.asarray(image.convert("RGBA"))
    if (colours[..., 3] < 255).any():
        raise ValueError(f"{path}: {_TRANSPARENT}")
    if image.mode != "P":
        return colours[..., :3]
    indices = np.asarray(image)
    if ((indices != 0) != colours[..., :3].any(-1)).any():
        raise ValueError(
            f"{path}: the mask's palette shows index 0 in a colour, or another one in black, so that the "
            "background is not known. Save it as a grey image of 0 and 255"
        )
    return indices


def _foreground(colours: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Return where a coloured mask (H, W, 3) is not black: uint8 (H, W) of 0 and 1.

    Raises:
        ValueError: the mask has colours beside black and one other, as a mask of several labels has.
    """
    unique = np.unique(colours.reshape(-1, 3), axis=0)
    black = not unique.any(1).all()
    if len(unique) - black > 1:
        shown = " and ".join("({:g}, {:g}, {:g})".format(*colour) for colour in unique[:3])
        raise ValueError(
            f"{path}: a mask must have two values, black and one other colour; this one has {len(unique)} colours, "
            f"such as {shown}. Merge its labels into a lossless image of black, with white for all labels"
        )
    return np.asarray(colours.any(-1), dtype=np.uint8)
