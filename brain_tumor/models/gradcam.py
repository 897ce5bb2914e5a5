"""What a classifier goes by: Grad-CAM (Selvaraju et al. 2017) at the last block of its backbone."""

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
    """Yield for each slice how much each place speaks for a class: float32 (H, W) of its file, from 0 up, unscaled.

    Computed in float32, whatever the precision the model was trained in, with the class's logit as what is explained,
    and brought from the last block's grid to the file's size by bilinear interpolation.

    Args:
        model: a classifier with a ResNet as its backbone, frozen or not.
        data: set up.
        rows: (n,) of the data's table.
        target: the class.
        device: to compute on.

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
    """Return what turns transformed images (B, 3, size, size) into heat maps, float32 (B, size, size).

    Args:
        model: as for `heat_maps`, in eval mode.
        target: the class.
        size: of the images.

    Raises:
        ValueError: as for `heat_maps`.
    """
    from captum.attr import LayerAttribution, LayerGradCam

    block = backbones.last_block(model.backbone)
    if block is None:
        raise ValueError(f"explain=gradcam: {model.hparams['backbone']} has no block layer4 to look at")
    # Not the model itself: a frozen one computes its features without gradients.
    method = LayerGradCam(nn.Sequential(model.backbone, model.head), block)

    def explain(images: Tensor) -> NDArray[np.float32]:
        coarse = method.attribute(images, target=target, relu_attributions=True).detach()
        maps = LayerAttribution.interpolate(coarse, (size, size), "bilinear")[:, 0]
        values: NDArray[np.float32] = maps.float().cpu().numpy()
        return values

    return explain
