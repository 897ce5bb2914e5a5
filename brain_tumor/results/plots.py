"""The pictures a run shows in TensorBoard."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.utils import make_grid


def batch(images: Tensor) -> Tensor:
    """Tile a transformed training batch (B, 3, H, W) as the model sees it, stretched to [0, 1]: float (3, H', W')."""
    grid: Tensor = make_grid(images.detach().float().cpu(), nrow=4, normalize=True)
    return grid


def confusion(counts: list[list[int]], classes: list[str]) -> Figure:
    """Draw a confusion matrix: actual classes down, predicted across, counts and row shares in the cells."""
    matrix = np.array(counts)
    shares = matrix / matrix.sum(1, keepdims=True).clip(min=1)
    figure = Figure(figsize=(1.6 + 1.1 * len(classes), 1.2 + 1.0 * len(classes)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*matrix.shape):
        text = f"{matrix[row, column]}\n{shares[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", color="white" if shares[row, column] > 0.6 else "black")
    axes.set(xlabel="predicted", ylabel="actual", title="test slices")
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    return figure
