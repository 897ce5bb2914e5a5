"""What comes before a head or a decoder: torchvision's ResNets, and the plain network they are measured against.

Every other module asks here for networks, their names, their parts and their ImageNet weights, and knows no library.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torchvision import models

from brain_tumor.models import weights as weights_
from brain_tumor.models.weights import Pretrained, State, Weights

PLAIN = "cnn"
STRIDE = 32  # of a ResNet: so many pixels of an image's side become one of its last feature maps
_BLOCKS = [f"layer{number}" for number in range(1, 5)]
_HEAD = "fc"  # the classification layer


def names() -> list[str]:
    """Name the networks that have ImageNet weights: torchvision's classification ResNets."""
    return sorted(models.list_models(module=models, include=["resnet*", "resnext*", "wide_resnet*"]))


def build(name: str, weights: str) -> tuple[nn.Module, int, Weights]:
    """Build a ResNet without its classification layer, and load its weights; or the plain network.

    Args:
        name: one of `names`: resnet18, resnet34, resnet50, wide_resnet50_2, resnext50_32x4d, ...; or "cnn".
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
    if name not in names():
        raise ValueError(
            f"model.backbone={name}: not a torchvision ResNet; choose one of {', '.join([PLAIN, *names()])}"
        )
    network = models.get_model(name, weights=None)
    width = cast("nn.Linear", network.fc).in_features
    network.fc = nn.Identity()
    source = load(network, name, weights)
    return network.to(memory_format=torch.channels_last), width, source


def load(network: nn.Module, name: str, weights: str) -> Weights:
    """Copy weights into a ResNet that was built elsewhere, such as in a decoder's library.

    Args:
        network: without its classification layer, its tensors named as here.
        name: one of `names`.
        weights: see `brain_tumor.models.weights.find`.

    Returns:
        Where the weights came from.

    Raises:
        ValueError: weights that cannot be fetched, or a file that does not fit.
    """
    return weights_.load(network, _pretrained(name), weights)


def divide(network: nn.Module, last: Sequence[str]) -> tuple[nn.Module, nn.Module]:
    """Divide a ResNet before the first of its `last` blocks.

    Returns:
        Images (B, 3, H, W) to feature maps (B, C, H', W'), and these to features (B, D); both share their tensors with
        the network.

    Raises:
        ValueError: these are not the last of its four blocks.
    """
    if not last or sorted(last) != _BLOCKS[-len(last) :]:
        raise ValueError(
            f"model.trained={', '.join(last)}: name the last blocks of {', '.join(_BLOCKS)}, such as {_BLOCKS[-1]}"
        )
    children = list(network.named_children())
    cut = [name for name, _ in children].index(min(last))
    end = next(place for place, (name, _) in enumerate(children) if name == _HEAD)
    return (
        nn.Sequential(OrderedDict(children[:cut])),
        nn.Sequential(OrderedDict([*children[cut:end], ("flatten", nn.Flatten())])),
    )


def last_block(network: nn.Module) -> nn.Module | None:
    """Return what gives a ResNet's last feature maps, (B, C, H', W'); None for a network that has no such block."""
    block = getattr(network, _BLOCKS[-1], None)
    return block[-1] if isinstance(block, nn.Sequential) else None


def _pretrained(name: str) -> Pretrained:
    """Return torchvision's ImageNet weights of a ResNet: IMAGENET1K_V1, those of the paper's time."""
    choice = models.get_model_weights(name)["IMAGENET1K_V1"]

    def read() -> State:
        state: State = choice.get_state_dict(check_hash=True, weights_only=True)
        return state

    return Pretrained(name, str(choice), choice.url, "torchvision", read, unused=f"{_HEAD}.")


def _plain() -> tuple[nn.Module, int]:
    """Build the network of the paper's section II.B and Fig. 1: convolution and max-pooling, twice.

    The paper gives no sizes. Its two fully connected layers and the output layer are the head's three.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7), nn.Flatten()), 64 * 7 * 7
