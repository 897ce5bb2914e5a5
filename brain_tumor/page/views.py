"""Draw a case as radiologists see it: one sequence in grey, through a window, in one of three planes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion

from brain_tumor.page.answers import Answer
from brain_tumor.scans import volumes
from brain_tumor.scans.cases import Slices

Value = TypeVar("Value", bound=np.generic)
_CYAN = np.array([0, 255, 255], np.float32)
_SIDES = {"axial": "RL", "coronal": "RL", "sagittal": "AP"}  # of the patient, on the left and on the right of a picture
_MARGIN = 4  # of these letters, in pixels


@dataclass(frozen=True)
class View:
    """How to draw a case.

    Attributes:
        channel: of the slices, which is shown in grey.
        window: the grey levels that become black and white, from 0 to 255.
        plane: one of `planes`.
        opacity: of the mask or heat map, from 0 to 1.
    """

    channel: int
    window: tuple[int, int] = (0, 255)
    plane: str = "axial"
    opacity: float = 0.4


def channels(slices: Slices, sequences: Sequence[str]) -> dict[str, int]:
    """Return the channels that differ, by the names of their sequences, FLAIR first.

    Args:
        slices: the case.
        sequences: that the run sees, which name the channels of pictures; () if unknown.
    """
    count = slices.images.shape[-1]
    unnamed = tuple(f"channel {channel + 1}" for channel in range(count))
    names = next((known for known in (slices.channels, tuple(sequences)) if len(set(known)) == count), unnamed)
    shown: dict[str, int] = {}
    for name, channel in sorted(zip(names, range(count), strict=True), key=lambda named: named[0] != "flair"):
        image = slices.images[..., channel]
        if not any(np.array_equal(image, slices.images[..., other]) for other in shown.values()):
            shown[name] = channel
    return shown


def planes(slices: Slices) -> tuple[str, ...]:
    """Return the planes that a case can be drawn in: slices of known distance in all three, others as they are."""
    cut = slices.grid is not None and len(slices.images) > 1 and bool(np.isfinite(slices.grid.spacing).all())
    return tuple(_SIDES) if cut else ("axial",)


def along(stack: NDArray[Value], plane: str) -> NDArray[Value]:
    """Return a stack of axial slices (n, H, W, ...) as slices of another plane: (H, n, W, ...) or (W, n, H, ...).

    Coronal slices go from front to back, sagittal ones from the patient's right to the left; the head is up.
    """
    if plane == "axial":
        return stack
    across = {"coronal": 1, "sagittal": 2}[plane]
    return np.moveaxis(stack[::-1], across, 0)


def first(answer: Answer, plane: str) -> int:
    """Return the slice of a plane to show first: with the largest mask, the highest probability, or in the middle."""
    masks = answer.prediction.masks
    if masks is not None and masks.any():
        areas = (along(masks, plane) > 0).sum((1, 2))
        return int(areas.argmax())
    if plane == "axial":
        return int(answer.prediction.chances[answer.prediction.shown].argmax())
    return len(along(answer.slices.images, plane)) // 2


def picture(answer: Answer, view: View, place: int) -> NDArray[np.uint8]:
    """Draw a slice of a plane with its mask (cyan) or heat map over it: uint8 (H', W', 3) with square pixels."""
    grey = along(answer.slices.images[..., view.channel], view.plane)[place].astype(np.float32)
    low, high = view.window
    shown = ((grey - low) / max(1, high - low)).clip(0, 1) * 255
    image = np.repeat(shown[..., None], 3, -1)
    if answer.prediction.masks is not None:
        _outline(image, along(answer.prediction.masks, view.plane)[place] > 0, view.opacity)
    elif answer.heat is not None:
        image = _heated(image, along(answer.heat, view.plane)[place], view.opacity)
    height, width = volumes.extent(image.shape[:2], _millimetres(answer.slices, view.plane))
    drawn = Image.fromarray(image.clip(0, 255).astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR)
    if answer.slices.grid is not None:
        _letter(drawn, _SIDES[view.plane])
    return np.array(drawn)


def _millimetres(slices: Slices, plane: str) -> tuple[float, float]:
    """Return height and width of a plane's pixels."""
    if plane == "axial" or slices.grid is None:
        return slices.millimetres
    through, down, across = slices.grid.spacing
    return through, across if plane == "coronal" else down


def _outline(image: NDArray[np.float32], mask: NDArray[np.bool_], opacity: float) -> None:
    """Colour a mask in an image (H, W, 3), and its edge fully."""
    image[mask] += opacity * (_CYAN - image[mask])
    if opacity:
        image[mask & ~binary_erosion(mask)] = _CYAN


def _heated(image: NDArray[np.float32], heat: NDArray[np.generic], opacity: float) -> NDArray[np.float32]:
    """Return an image (H, W, 3) under a heat map (H, W) from 0 to 1."""
    from matplotlib import colormaps

    values = np.asarray(heat, np.float32)[..., None]
    colour = np.asarray(colormaps["inferno"](values[..., 0]))[..., :3].astype(np.float32) * 255
    return image + opacity * values**0.5 * (colour - image)


def _letter(image: Image.Image, sides: str) -> None:
    """Write which side of the patient lies left and right."""
    draw = ImageDraw.Draw(image)
    middle = image.height // 2
    draw.text((_MARGIN, middle), sides[0], fill="white", anchor="lm", stroke_width=1, stroke_fill="black")
    draw.text((image.width - _MARGIN, middle), sides[1], fill="white", anchor="rm", stroke_width=1, stroke_fill="black")
