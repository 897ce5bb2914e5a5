"""Explain a classifier by Grad-CAM (Selvaraju et al. 2017) at the last block of its backbone."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.models import backbone as backbones
from brain_tumor.models import serving
from brain_tumor.models.classifier import Classifier
from brain_tumor.scans.images import unfit


def heat_maps(
    model: Classifier, data: SliceDataModule, rows: NDArray[np.intp], target: int, device: torch.device
) -> Iterator[NDArray[np.float32]]:
    """Yield each slice's heat map, which shows how much each pixel speaks for a class.

    The class's logit is explained. Maps are computed in float32, whatever precision the model was trained in, and
    brought from the last block's grid to the file's size by bilinear interpolation.

    Args:
        model: a classifier, frozen or not; its backbone keeps feature maps, or tokens of patches.
        data: set up.
        rows: (n,), the slices' rows in the data's table.
        target: the number of the class.
        device: to compute on.

    Yields:
        float32 (H, W) at the file's size, 0 or above, not scaled to a common maximum.

    Raises:
        ValueError: the backbone has no block of feature maps.
    """
    model.to(device).eval()
    explain = explainer(model, target, data.size)
    sizes = zip(data.table["height"].iloc[rows], data.table["width"].iloc[rows], strict=True)
    for batch in serving.batches(data, rows, device, "explaining"):
        for coarse in explain(batch.inputs):
            yield unfit(coarse, *next(sizes))


def explainer(model: Classifier, target: int, size: int) -> Callable[[Tensor], NDArray[np.float32]]:
    """Return the function from transformed images float32 (B, 3, size, size) to heat maps float32 (B, size, size).

    Args:
        model: as for `heat_maps`, in eval mode.
        target: the number of the class.
        size: side of the images, in pixels.

    Raises:
        ValueError: the backbone has no block of feature maps.
    """
    from captum.attr import LayerAttribution, LayerGradCam

    explained = backbones.explained(model.backbone, model.example())
    if explained is None:
        raise ValueError(f"explain=gradcam: {model.hparams['backbone']} has no last block of feature maps to explain")
    network, block = explained
    # Not the model itself, since that computes frozen features without gradients.
    method = LayerGradCam(nn.Sequential(network, model.head), block)

    def explain(images: Tensor) -> NDArray[np.float32]:
        coarse = method.attribute(images, target=target, relu_attributions=True).detach()
        maps = LayerAttribution.interpolate(coarse, (size, size), "bilinear")[:, 0]
        values: NDArray[np.float32] = maps.float().cpu().numpy()
        return values

    return explain
