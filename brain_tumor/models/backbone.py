"""ResNet backbones from torchvision."""

from typing import cast

import torch
from torch import nn
from torchvision import models

from brain_tumor.models import weights as weights_
from brain_tumor.models.weights import Weights


def build(name: str, weights: str) -> tuple[nn.Module, int, Weights]:
    """Build a torchvision ResNet without its classification layer, and load its weights.

    Args:
        name: any torchvision ResNet: resnet18, resnet34, resnet50, wide_resnet50_2, resnext50_32x4d, ...
        weights: see `brain_tumor.models.weights.find`.

    Returns:
        The backbone (images (B, 3, H, W) to features (B, D), in channels-last memory), D, and where the weights
        came from.

    Raises:
        ValueError: unknown name, weights that cannot be fetched, or a file that does not fit.
    """
    if name not in resnet_names():
        raise ValueError(f"model.backbone={name}: not a torchvision ResNet; choose one of {', '.join(resnet_names())}")
    network = models.get_model(name, weights=None)
    width = cast("nn.Linear", network.fc).in_features
    network.fc = nn.Identity()
    source = weights_.load(network, name, weights)
    return network.to(memory_format=torch.channels_last), width, source


def resnet_names() -> list[str]:
    """Name torchvision's classification ResNets."""
    return sorted(models.list_models(module=models, include=["resnet*", "resnext*", "wide_resnet*"]))
