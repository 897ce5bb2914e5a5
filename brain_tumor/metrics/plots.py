"""Draw the pictures of a run, for TensorBoard and for the run's folder."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion

if TYPE_CHECKING:
    from torch import Tensor

_LINE = 2  # between the images of a batch, in pixels
_TITLE = 13  # height of a title in a contact sheet, in pixels


def batch(images: "Tensor") -> NDArray[np.float32]:
    """Tile a transformed training batch (B, 3, H, W) as the model sees it, stretched to [0, 1]: float32 (3, H', W').

    Four images stand in a row, with black lines between and around them.
    """
    values = images.detach().float().cpu().numpy()
    low, high = float(values.min()), float(values.max())
    tiles = np.pad((values - low) / max(high - low, 1e-5), ((0, 0), (0, 0), (_LINE, 0), (_LINE, 0)))
    columns = min(4, len(tiles))
    rows = -(-len(tiles) // columns)
    tiles = np.pad(tiles, ((0, rows * columns - len(tiles)), (0, 0), (0, 0), (0, 0)))
    _, channels, height, width = tiles.shape
    grid = tiles.reshape(rows, columns, channels, height, width).transpose(2, 0, 3, 1, 4)
    return np.pad(grid.reshape(channels, rows * height, columns * width), ((0, 0), (0, _LINE), (0, _LINE)))


def confusion(counts: list[list[int]], classes: list[str]) -> Figure:
    """Draw a confusion matrix of the test slices."""
    figure = Figure(figsize=(1.6 + 1.1 * len(classes), 1.2 + 1.0 * len(classes)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw_confusion(axes, counts, classes)
    axes.set_title("test slices")
    return figure


def draw_confusion(axes: Axes, counts: list[list[int]], classes: list[str]) -> None:
    """Draw a confusion matrix into axes: actual classes down, predicted across, counts and row shares in the cells."""
    matrix = np.array(counts)
    shares = matrix / matrix.sum(1, keepdims=True).clip(min=1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*matrix.shape):
        text = f"{matrix[row, column]}\n{shares[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", color="white" if shares[row, column] > 0.6 else "black")
    axes.set(xlabel="predicted", ylabel="actual")
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes, rotation=90, va="center")


def wrong(predictions: pd.DataFrame, count: int = 8) -> pd.DataFrame:
    """Choose the wrongly predicted slices with the highest confidence, the worst first.

    Args:
        predictions: a run's table of predictions, indexed by row of the data.
        count: the largest number of slices.

    Returns:
        The rows of these slices, with the columns `predicted`, `confidence` and `right` of `classification.answers`.
    """
    from brain_tumor.metrics import classification

    answers = classification.answers(predictions)
    return answers[~answers["right"]].nlargest(count, "confidence")


def overlays(
    table: pd.DataFrame,
    images: Sequence[NDArray[np.uint8]],
    truths: Sequence[NDArray[np.uint8]],
    predicted: Sequence[NDArray[np.uint8]],
) -> Figure:
    """Draw slices with the outlines of the truth (yellow) and of the prediction (cyan).

    Args:
        table: columns `case`, `slice`, `dice` and `volume` (the patient's Dice), of at least one row.
        images: the slices, uint8 (H, W, 3).
        truths: their true masks, uint8 (H, W).
        predicted: their predicted masks, uint8 (H, W).
    """
    titles = [f"Dice {line['volume']:.2f} per volume, {line['dice']:.2f} here" for line in table.to_dict("records")]
    outlines = [{"yellow": truth, "cyan": mask} for truth, mask in zip(truths, predicted, strict=True)]
    return _outlined(table, titles, images, outlines)


def heat_maps(
    table: pd.DataFrame,
    images: Sequence[NDArray[np.uint8]],
    truths: Sequence[NDArray[np.uint8]],
    maps: Sequence[NDArray[np.float32]],
) -> Figure:
    """Draw heat maps over slices with the outline of the truth.

    Args:
        table: columns `case`, `slice` and `energy`, of at least one row.
        images: the slices, uint8 (H, W, 3).
        truths: their true masks, uint8 (H, W).
        maps: their heat maps, float32 (H, W), values from 0 up.
    """
    titles = [f"{energy:.0%} inside" for energy in table["energy"]]
    figure = _outlined(table, titles, images, [{"cyan": truth} for truth in truths])
    for axes, heat in zip(figure.axes, maps, strict=False):
        axes.imshow(heat, cmap="inferno", alpha=0.5, vmin=0)
    return figure


def contact_sheet(
    images: Sequence[NDArray[np.uint8]], masks: Sequence[NDArray[np.uint8] | None], titles: Sequence[str]
) -> Image.Image:
    """Draw slices side by side, four per row, with the outlines of their masks in cyan.

    Args:
        images: the slices, uint8 (H, W, 3), all of one size.
        masks: their masks, uint8 (H, W); None for a slice without one.
        titles: their titles.
    """
    height, width = images[0].shape[:2]
    columns = min(4, len(images))
    sheet = Image.new("RGB", (columns * width, -(-len(images) // columns) * (height + _TITLE)))
    for place, (image, mask, title) in enumerate(zip(images, masks, titles, strict=True)):
        corner = (place % columns) * width, (place // columns) * (height + _TITLE)
        shown = image.copy()
        if mask is not None:
            shown[mask.astype(bool) & ~binary_erosion(mask)] = (0, 255, 255)
        sheet.paste(Image.fromarray(shown), (corner[0], corner[1] + _TITLE))
        strip = Image.new(
            "RGB", (width, _TITLE)
        )  # a picture for each title, so that a long one ends where its slice does
        ImageDraw.Draw(strip).text((2, 1), title, fill="white")
        sheet.paste(strip, corner)
    return sheet


def slices(
    table: pd.DataFrame, images: NDArray[np.uint8], masks: NDArray[np.uint8] | None, classes: list[str]
) -> Figure:
    """Draw wrongly predicted slices, each with the outline of its tumour mask.

    Args:
        table: the table of `wrong`, with at least one row.
        images: the slices, uint8 (n, H, W, 3).
        masks: their masks, uint8 (n, H, W); None for data without masks.
        classes: names of the classes.
    """
    lines = table[["predicted", "confidence"]].to_dict("records")
    titles = [f"predicted {classes[line['predicted']]}, {line['confidence']:.0%}" for line in lines]
    outlines = [{} if masks is None else {"yellow": masks[place]} for place in range(len(table))]
    return _outlined(table, titles, list(images), outlines)


def _outlined(
    table: pd.DataFrame,
    titles: Sequence[str],
    images: Sequence[NDArray[np.uint8]],
    outlines: Sequence[Mapping[str, NDArray[np.uint8]]],
) -> Figure:
    """Draw slices, each with the outlines of its masks by colour, and with its `case`, `slice` and title above."""
    figure, panels = _panels(len(table))
    names = table["case"].astype(str) + " " + table["slice"].astype(str)
    for axes, name, title, image, masks in zip(panels, names, titles, images, outlines, strict=False):
        axes.imshow(image)
        for colour, mask in masks.items():
            if mask.any():
                axes.contour(mask, [0.5], colors=colour, linewidths=0.8)
        axes.set_title(f"{name}\n{title}", fontsize="x-small")
    return figure


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Make a figure with `count` panels, four per row."""
    columns = min(4, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(2.6 * columns, 2.9 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels:
        axes.axis("off")
    return figure, panels
