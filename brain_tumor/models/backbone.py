"""Build backbones: torchvision's ResNets, and the plain network that the paper compares them with.

Every other module gets networks, their names, their parts and their ImageNet weights here, and knows no library.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torchvision import models

from brain_tumor.models import weights as weights_
from brain_tumor.models.weights import Pretrained, State, WeightsOrigin

PLAIN = "cnn"
STRIDE = 32  # of a ResNet: 32 pixels along an image's side become one pixel of the last feature maps
_BLOCKS = [f"layer{number}" for number in range(1, 5)]
_HEAD = "fc"  # the classification layer


def names() -> list[str]:
    """Name the networks that have ImageNet weights: torchvision's classification ResNets."""
    return sorted(models.list_models(module=models, include=["resnet*", "resnext*", "wide_resnet*"]))


def build(name: str, weights: str, neighbours: int = 0, channels: int = 3) -> tuple[nn.Module, int, WeightsOrigin]:
    """Build a ResNet without its classification layer, and load its weights; or the plain network.

    Args:
        name: one of `names`: resnet18, resnet34, resnet50, wide_resnet50_2, resnext50_32x4d, ...; or "cnn".
        weights: see `brain_tumor.models.weights.find`.
        neighbours: how many slices on each side the images hold besides a slice (see `widen`).
        channels: of a slice.

    Returns:
        The backbone (images (B, C, H, W) to features (B, D), in channels-last memory), D, and where the weights
        came from.

    Raises:
        ValueError: the name is unknown, or the weights cannot be fetched or do not fit.
    """
    if name == PLAIN:
        if weights not in {"none", "auto"}:
            raise ValueError(f"model.weights={weights}: the plain network starts at random; leave it out")
        network, width = _plain(channels * (2 * neighbours + 1))
        return network.to(memory_format=torch.channels_last), width, WeightsOrigin(weights)
    if name not in names():
        raise ValueError(
            f"model.backbone={name}: not a torchvision ResNet; choose one of {', '.join([PLAIN, *names()])}"
        )
    network = models.get_model(name, weights=None)
    width = cast("nn.Linear", network.fc).in_features
    network.fc = nn.Identity()
    origin = load(network, name, weights)
    widen(network, neighbours, channels)
    return network.to(memory_format=torch.channels_last), width, origin


def load(network: nn.Module, name: str, weights: str) -> WeightsOrigin:
    """Copy weights into a ResNet that another library has built, such as a decoder's.

    Args:
        network: without its classification layer, with torchvision's names of tensors.
        name: one of `names`.
        weights: see `brain_tumor.models.weights.find`.

    Returns:
        Where the weights came from.

    Raises:
        ValueError: the weights cannot be fetched or do not fit.
    """
    return weights_.load(network, _pretrained(name), weights)


def widen(network: nn.Module, neighbours: int, channels: int = 3) -> None:
    """Adapt a ResNet's first convolution to a slice's channels, and spread it over its neighbours, if it has any.

    To other channels than three it is adapted as timm does it: for one channel the weights are summed, for others they
    are repeated and scaled by 3 / channels. A slice gets the largest share of the weights, and they sum to what they
    were: neighbours that equal their slice change nothing.

    Args:
        network: takes images (B, 3, H, W); then it takes (B, C (2 neighbours + 1), H, W), from below to above.
        neighbours: how many slices on each side.
        channels: C, of a slice.
    """
    narrow = cast("nn.Conv2d", network.conv1)
    if not neighbours and channels == narrow.in_channels:
        return
    weight = narrow.weight
    if channels != narrow.in_channels:
        from timm.models import adapt_input_conv  # late, since it takes a second

        weight = adapt_input_conv(channels, weight.detach().clone())
    shares = neighbours + 1 - torch.arange(-neighbours, neighbours + 1).abs()
    wide = nn.Conv2d(
        len(shares) * channels, narrow.out_channels, cast("tuple[int, int]", narrow.kernel_size),
        cast("tuple[int, int]", narrow.stride), cast("tuple[int, int]", narrow.padding), bias=False,
    )  # fmt: skip
    with torch.no_grad():
        wide.weight.copy_(torch.cat([weight * share for share in (shares / shares.sum()).tolist()], 1))
    network.conv1 = wide


def divide(network: nn.Module, last: Sequence[str]) -> tuple[nn.Module, nn.Module]:
    """Divide a ResNet before the first of its `last` blocks.

    Args:
        network: a ResNet without its classification layer.
        last: names of its last blocks, in any order.

    Returns:
        A network from images (B, 3, H, W) to feature maps (B, C, H', W'), and one from these to features (B, D); both
        share their tensors with the given network.

    Raises:
        ValueError: `last` does not name the last of the four blocks.
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
    """Return the layer that gives a ResNet's last feature maps (B, C, H', W'); None for another network."""
    block = getattr(network, _BLOCKS[-1], None)
    return block[-1] if isinstance(block, nn.Sequential) else None


def _pretrained(name: str) -> Pretrained:
    """Return torchvision's ImageNet weights of a ResNet: IMAGENET1K_V1, as in the paper's time."""
    choice = models.get_model_weights(name)["IMAGENET1K_V1"]

    def read() -> State:
        state: State = choice.get_state_dict(check_hash=True, weights_only=True)
        return state

    return Pretrained(name, str(choice), choice.url, "torchvision", read, unused=f"{_HEAD}.")


def _plain(channels: int) -> tuple[nn.Module, int]:
    """Build the network of the paper's section II.B and Fig. 1: convolution and max-pooling, twice.

    The paper gives no sizes. Its two fully connected layers and its output layer are the three layers of the head.

    Args:
        channels: of the images.

    Returns:
        The network (images (B, channels, H, W) to features (B, D)), and D.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in ((channels, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7), nn.Flatten()), 64 * 7 * 7
