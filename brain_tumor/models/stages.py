"""Divide timm's networks into stages, and find what Grad-CAM explains in them.

timm's networks keep a convention: their children stand in the order in which images pass them, and their stages are a
sequence, or children of their own. Whether a network does what the convention says is tried before it is relied on.
"""

import copy
import math
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from brain_tumor.models import encoders

# What timm, and layers that it builds, raise where images do not fit; anything else is a fault of ours.
MISFITS = (AssertionError, RuntimeError, ValueError)
_CONTAINERS = ("stages", "blocks", "layers")  # what networks call the sequence of their stages
_STAGE = re.compile(r"(layer|stage|s)_?\d+")  # and stages that stand alone


def divide(network: nn.Module, last: Sequence[str], images: Tensor) -> tuple[nn.Module, nn.Module]:
    """Divide a network before the first of its `last` stages; the parts share its tensors (see `backbone.divide`).

    Raises:
        ValueError: `last` does not name its last stages, or it does more than pass images from stage to stage.
    """
    name, stages = cast("dict[str, Any]", network.pretrained_cfg)["architecture"], _stages(network)
    refusal = f"model.strategy=partial: {name} cannot be divided into stages; choose freeze or finetune"
    if not stages:
        raise ValueError(refusal)
    encoders.require_last(last, stages)
    before, after = _split(network, len(stages) - len(last))
    try:
        with torch.no_grad(), evaluated(network), evaluated(before), evaluated(after):
            equal = torch.allclose(after(before(images)), network(images), atol=1e-5)
    except (*MISFITS, TypeError, AttributeError, IndexError) as error:
        raise ValueError(refusal) from error
    if not equal:
        raise ValueError(refusal)
    return before, after


def explained(network: nn.Module, images: Tensor) -> tuple[nn.Module, nn.Module] | None:
    """Return a network with a layer that gives feature maps (B, C, H, W), and that layer; None without one.

    For a network of convolutions this is its last stage. For one of tokens it is the input of its last block, brought
    into their places: after the block, only the token that is read gets a gradient.
    """
    stages = _stages(network)
    if not stages or getattr(network, "output_fmt", "NCHW") != "NCHW":
        return None
    if hasattr(network, "num_prefix_tokens"):
        try:
            before, after = divide(network, stages[-1:], images)
        except ValueError:
            return None
        maps = _Maps(cast("int", network.num_prefix_tokens))
        return nn.Sequential(before, maps, _Tokens(maps), after), maps
    last, shapes = network.get_submodule(stages[-1]), list[torch.Size]()
    hook = last.register_forward_hook(lambda *passed: shapes.append(passed[-1].shape))
    with torch.no_grad():
        network(images)
    hook.remove()
    return (network, last) if len(shapes[0]) == 4 else None


class _Maps(nn.Module):
    """Bring tokens (B, P + H W, D) into their places: maps (B, D, H, W); `prefix` keeps the P tokens without one."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count, self.prefix = count, torch.empty(0)

    def forward(self, tokens: Tensor) -> Tensor:
        self.prefix, placed = tokens[:, : self.count], tokens[:, self.count :]
        side = math.isqrt(placed.shape[1])
        return placed.transpose(1, 2).reshape(len(placed), -1, side, side)


class _Tokens(nn.Module):
    """Undo `_Maps`."""

    def __init__(self, maps: _Maps) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([self.maps.prefix, maps.flatten(2).transpose(1, 2)], 1)


def _stages(network: nn.Module) -> list[str]:
    """Name a network's stages, or a transformer's blocks, from first to last; [] where it has none."""
    for name in _CONTAINERS:
        if isinstance(sequence := getattr(network, name, None), nn.Sequential | nn.ModuleList):
            return [f"{name}.{number}" for number in range(len(sequence))]
    return [name for name, _ in network.named_children() if _STAGE.fullmatch(name)]


def _split(network: nn.Module, cut: int) -> tuple[nn.Module, nn.Module]:
    """Return the network up to the stage number `cut`, and from there on: copies whose other children do nothing."""
    names, stages = [name for name, _ in network.named_children()], _stages(network)
    container, _, inside = stages[cut].partition(".")
    place = names.index(container)
    before, after = _without(network, names[place + bool(inside) :]), _without(network, names[:place])
    if inside:
        sequence = cast("nn.Sequential", network.get_submodule(container))
        before._modules[container], after._modules[container] = sequence[:cut], sequence[cut:]
    before.forward = before.forward_features  # type: ignore[assignment]
    after._parameters, after._buffers = {}, {}  # position and class tokens, which come before the stages
    after.__dict__["_pos_embed"] = _unchanged
    return before, after


def _without(network: nn.Module, names: Collection[str]) -> nn.Module:
    """Return a copy of a network that shares its tensors, and in which some children do nothing."""
    part = copy.copy(network)
    part._modules = {name: nn.Identity() if name in names else child for name, child in network.named_children()}
    return part


def _unchanged(x: Tensor) -> Tensor:
    return x


@contextmanager
def evaluated(network: nn.Module) -> Iterator[None]:
    """Switch a network to eval mode for a while."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
