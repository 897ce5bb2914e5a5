"""Build backbones: torchvision's ResNets, timm's networks, and the plain network that the paper compares them with.

Every other module gets networks, their parts and their pretrained weights here, and knows no library. timm's own ways
stand in `timm_backbone`, which is imported for its networks alone; names in `encoders`.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torchvision import models

from brain_tumor.models import encoders, stages
from brain_tumor.models import weights as weights_
from brain_tumor.models.encoders import PLAIN as PLAIN
from brain_tumor.models.weights import Pretrained, State, WeightsOrigin

STRIDE = 32  # of a ResNet: 32 pixels along an image's side become one pixel of the last feature maps
_BLOCKS = [f"layer{number}" for number in range(1, 5)]
_HEAD = "fc"  # the classification layer


def build(
    name: str, weights: str, neighbours: int = 0, channels: int = 3, size: int = 224
) -> tuple[nn.Module, int, WeightsOrigin]:
    """Build a network without its classification layer, and load its weights.

    Args:
        name: a ResNet of torchvision's: resnet18, resnet34, resnet50, wide_resnet50_2, resnext50_32x4d, ...; any
            network of timm's, with or without the tag of its weights; or "cnn", the plain network.
        weights: see `brain_tumor.models.weights.find`.
        neighbours: how many slices on each side the images hold besides a slice (see `widen`).
        channels: of a slice.
        size: side of the images, in pixels; some networks of timm's are built for one size.

    Returns:
        The backbone (images (B, C, H, W) to features (B, D), in channels-last memory), D, and where the weights
        came from.

    Raises:
        ValueError: the name is unknown, the network takes no such images, or the weights cannot be fetched or do not
            fit.
    """
    if name == PLAIN:
        if weights not in {"none", "auto"}:
            raise ValueError(f"model.weights={weights}: the plain network starts at random; leave it out")
        network, width = _plain(channels * (2 * neighbours + 1))
        return network.to(memory_format=torch.channels_last), width, WeightsOrigin(weights)
    if encoders.is_timm(name):
        from brain_tumor.models import timm_backbone

        encoders.require_known("model.backbone", name)
        network, width, origin = timm_backbone.build(name, weights, size)
    else:
        network = models.get_model(name, weights=None)
        width = cast("nn.Linear", network.fc).in_features
        network.fc = nn.Identity()
        origin = load(network, name, weights)
    widen(network, neighbours, channels)
    return network.to(memory_format=torch.channels_last), width, origin


def load(network: nn.Module, name: str, weights: str, size: int = 224) -> WeightsOrigin:
    """Copy weights into a network that another library has built as the encoder of a decoder.

    Args:
        network: without its classification layer; a ResNet with torchvision's names of tensors.
        name: as for `build`.
        weights: see `brain_tumor.models.weights.find`.
        size: side of the images, in pixels.

    Returns:
        Where the weights came from.

    Raises:
        ValueError: the weights cannot be fetched or do not fit.
    """
    if encoders.is_timm(name):
        from brain_tumor.models import timm_backbone

        return timm_backbone.load_encoder(network, name, weights, size)
    return weights_.load(network, _pretrained(name), weights)


def widen(network: nn.Module, neighbours: int, channels: int = 3) -> None:
    """Adapt a network's first convolution to a slice's channels, and spread it over its neighbours, if it has any.

    To other channels than three it is adapted as timm does it: for one channel the weights are summed, for others they
    are repeated and scaled by 3 / channels. A slice gets the largest share of the weights, and they sum to what they
    were: neighbours that equal their slice change nothing.

    Args:
        network: takes images (B, 3, H, W); then it takes (B, C (2 neighbours + 1), H, W), from below to above.
        neighbours: how many slices on each side.
        channels: C, of a slice.

    Raises:
        ValueError: the network does not begin with one convolution of three channels.
    """
    if not neighbours and channels == 3:
        return
    if not isinstance(network, models.ResNet):
        from brain_tumor.models import timm_backbone

        first = timm_backbone.first_convolution(network)
        first.weight = nn.Parameter(_spread(first.weight.detach(), neighbours, channels))
        first.in_channels = first.weight.shape[1]
        return
    narrow = cast("nn.Conv2d", network.conv1)
    weight = _spread(narrow.weight.detach(), neighbours, channels)
    wide = nn.Conv2d(
        weight.shape[1], narrow.out_channels, cast("tuple[int, int]", narrow.kernel_size),
        cast("tuple[int, int]", narrow.stride), cast("tuple[int, int]", narrow.padding), bias=False,
    )  # fmt: skip
    with torch.no_grad():
        wide.weight.copy_(weight)
    network.conv1 = wide


def _spread(weight: Tensor, neighbours: int, channels: int) -> Tensor:
    """Return the weights of a first convolution for other channels, and neighbours (see `widen`)."""
    if channels != weight.shape[1]:
        from timm.models import adapt_input_conv  # late, since it takes a second

        weight = adapt_input_conv(channels, weight.clone())
    shares = neighbours + 1 - torch.arange(-neighbours, neighbours + 1).abs()
    return torch.cat([weight * share for share in (shares / shares.sum()).tolist()], 1)


def divide(network: nn.Module, last: Sequence[str], images: Tensor) -> tuple[nn.Module, nn.Module]:
    """Divide a network before the first of its `last` blocks or stages.

    Args:
        network: without its classification layer.
        last: names of its last blocks, in any order: layer1 to layer4 of a ResNet; for timm's, such as stages.3.
        images: float32 (1, C, H, W), any that the network takes.

    Returns:
        A network from images (B, C, H, W) to feature maps (B, C', H', W') or tokens (B, N, D), and one from these to
        features (B, D); both share their tensors with the given network.

    Raises:
        ValueError: `last` does not name its last blocks, or the network cannot be divided.
    """
    if not isinstance(network, models.ResNet):
        return stages.divide(network, last, images)
    encoders.require_last(last, _BLOCKS)
    children = list(network.named_children())
    cut = [name for name, _ in children].index(min(last))
    end = next(place for place, (name, _) in enumerate(children) if name == _HEAD)
    return (
        nn.Sequential(OrderedDict(children[:cut])),
        nn.Sequential(OrderedDict([*children[cut:end], ("flatten", nn.Flatten())])),
    )


def explained(network: nn.Module, images: Tensor) -> tuple[nn.Module, nn.Module] | None:
    """Return a network with a layer that gives its last feature maps (B, C, H, W), and that layer; None without one.

    Args:
        network: without its classification layer.
        images: as for `divide`.
    """
    if isinstance(network, models.ResNet):
        block = getattr(network, _BLOCKS[-1], None)
        return (network, block[-1]) if isinstance(block, nn.Sequential) else None
    if isinstance(network, nn.Sequential):  # the plain network
        return None
    return stages.explained(network, images)


def _pretrained(name: str) -> Pretrained:
    """Return torchvision's ImageNet weights of a ResNet: IMAGENET1K_V1, as in the paper's time."""
    choice = models.get_model_weights(name)["IMAGENET1K_V1"]

    def read() -> State:
        weights_.fetch_for_torch(choice.url, "torchvision")
        state: State = choice.get_state_dict(check_hash=True, weights_only=True)
        return state

    by_hand = f"Put the file into {weights_.torch_home()}, give its path as model.weights"
    return Pretrained(name, "imagenet", str(choice), choice.url, read, by_hand, unused=(f"{_HEAD}.",))


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
