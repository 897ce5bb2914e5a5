"""What comes before a classifier's head: torchvision's ResNets, and the plain network they are measured against."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torchvision import models

from brain_tumor.models import weights as weights_
from brain_tumor.models.weights import Weights

PLAIN = "cnn"


def build(name: str, weights: str) -> tuple[nn.Module, int, Weights]:
    """Build a torchvision ResNet without its classification layer, and load its weights; or the plain network.

    Args:
        name: any torchvision ResNet: resnet18, resnet34, resnet50, wide_resnet50_2, resnext50_32x4d, ...; or "cnn".
        weights: see `brain_tumor.models.weights.find`.

    Returns:
        The backbone (images (B, 3, H, W) to features (B, D), in channels-last memory), D, and where the weights
        came from.

    Raises:
        ValueError: unknown name, weights that cannot be fetched, or a file that does not fit.
    """
    if name == PLAIN:
        if weights not in {"none", "auto"}:
            raise ValueError(f"model.weights={weights}: the plain network starts at random; leave it out")
        network, width = _plain()
        return network.to(memory_format=torch.channels_last), width, Weights(weights)
    if name not in resnet_names():
        raise ValueError(
            f"model.backbone={name}: not a torchvision ResNet; choose one of {', '.join([PLAIN, *resnet_names()])}"
        )
    network = models.get_model(name, weights=None)
    width = cast("nn.Linear", network.fc).in_features
    network.fc = nn.Identity()
    source = weights_.load(network, name, weights)
    return network.to(memory_format=torch.channels_last), width, source


def divide(network: nn.Module, last: Sequence[str]) -> tuple[nn.Module, nn.Module]:
    """Divide a ResNet before the first of its `last` blocks.

    Returns:
        Images (B, 3, H, W) to feature maps (B, C, H', W'), and these to features (B, D); both share their tensors with
        the network.

    Raises:
        ValueError: these are not the last of its four blocks.
    """
    blocks = [f"layer{number}" for number in range(1, 5)]
    if not last or sorted(last) != blocks[-len(last) :]:
        raise ValueError(
            f"model.trained={', '.join(last)}: name the last blocks of {', '.join(blocks)}, such as layer4"
        )
    children = list(network.named_children())
    cut = [name for name, _ in children].index(min(last))
    end = next(place for place, (name, _) in enumerate(children) if name == "fc")
    return (
        nn.Sequential(OrderedDict(children[:cut])),
        nn.Sequential(OrderedDict([*children[cut:end], ("flatten", nn.Flatten())])),
    )


def _plain() -> tuple[nn.Module, int]:
    """Build the network of the paper's section II.B and Fig. 1: convolution and max-pooling, twice.

    The paper gives no sizes. Its two fully connected layers and the output layer are the head's three.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7), nn.Flatten()), 64 * 7 * 7


def resnet_names() -> list[str]:
    """Name torchvision's classification ResNets."""
    return sorted(models.list_models(module=models, include=["resnet*", "resnext*", "wide_resnet*"]))
