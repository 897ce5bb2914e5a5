"""Build timm's networks, and load their weights.

Only `models.backbone` and `models.decoders` import this, and only for such a network, since timm takes seconds.
"""

import sys
from typing import Any, cast

import timm
import torch
from torch import nn

from brain_tumor.config.errors import one_line
from brain_tumor.io import download
from brain_tumor.models import encoders, stages
from brain_tumor.models import weights as weights_
from brain_tumor.models.weights import Pretrained, State, WeightsOrigin


def build(name: str, weights: str, size: int) -> tuple[nn.Module, int, WeightsOrigin]:
    """Build a network without its classification layer, and load its weights.

    Args:
        name: of the network, with or without the tag of its weights.
        weights: see `brain_tumor.models.weights.find`.
        size: side of the images, in pixels.

    Returns:
        The network (images (B, 3, size, size) to features (B, D)), D, and where the weights came from.

    Raises:
        ValueError: the network takes no such images, or the weights cannot be fetched or do not fit.
    """
    network, width = _create(name, size)
    origin, missing = _load(network, name, weights)
    origin.note_missing(missing)
    return network, width, origin


def _create(name: str, size: int) -> tuple[nn.Module, int]:
    """Build a network with random weights; return it with the number of its features."""
    try:
        network = timm.create_model(name, num_classes=0, **size_argument(name, size))
        _require_whole_patches(network, size)
        with torch.no_grad(), stages.evaluated(network):
            features = network(torch.zeros(1, 3, size, size))
    except stages.MISFITS as error:
        own = encoders.pretrained_input(name)["size"]
        raise ValueError(
            f"data.size={size}: {name} takes no such images ({one_line(error)}); its own size is {own}"
        ) from error
    if features.ndim != 2:
        raise ValueError(f"model.backbone={name}: gives no vector of features, but {features.ndim - 1} dimensions")
    return network, features.shape[1]


def _load(network: nn.Module, name: str, weights: str) -> tuple[WeightsOrigin, list[str]]:
    """Load weights into a network; return where they came from, and the names of tensors that they lack."""
    pretrained = _pretrained(name)
    state, origin = weights_.find(pretrained, weights)
    if state is None:
        return origin, []
    state = _fitted(network, state, weights, pretrained.unused)
    return origin, weights_.copy_into(network, state, weights, pretrained.unused)


def size_argument(name: str, size: int) -> dict[str, Any]:
    """Return the argument that builds a network for images of a size, {} for one that takes any size."""
    pretrained = encoders.pretrained(name)
    return {"img_size": size} if pretrained is not None and pretrained.fixed_input_size else {}


def load_encoder(encoder: nn.Module, name: str, weights: str, size: int) -> WeightsOrigin:
    """Load weights into a network that segmentation-models-pytorch has wrapped and pruned for a decoder.

    Args:
        encoder: its encoder.
        name: as the following two, as for `build`.
        weights: see `brain_tumor.models.weights.find`.
        size: side of the images, in pixels.

    Returns:
        Where the weights came from.

    Raises:
        ValueError: as for `build`, or the decoder's library has changed the network.
    """
    if weights == "none":
        return WeightsOrigin()
    whole, _ = _create(name, size)
    origin, missing = _load(whole, name, weights)
    kept = cast("nn.Module", encoder.model)
    state = {_flat(key): value for key, value in whole.state_dict().items()}
    names = {key: _flat(key) for key in kept.state_dict()}
    if own := [key for key, flat in names.items() if flat not in state]:
        raise ValueError(
            f"model.weights={weights}: {name} as an encoder has tensors of its own ({weights_.few(own)}); choose none"
        )
    kept.load_state_dict({key: state[flat] for key, flat in names.items()})
    origin.note_missing([key for key in missing if _flat(key) in names.values()])
    return origin


def first_convolution(network: nn.Module) -> nn.Conv2d:
    """Return the convolution of three channels that a network, or a wrapped one, begins with.

    Raises:
        ValueError: it begins with something else.
    """
    kept = cast("nn.Module", getattr(network, "model", network))
    modules = {_flat(name): module for name, module in kept.named_modules()}
    config = cast("dict[str, Any]", kept.pretrained_cfg)
    first = modules.get(_flat(str(config["first_conv"])))
    if not isinstance(first, nn.Conv2d) or first.in_channels != 3 or first.groups != 1:
        raise ValueError(
            f"model.backbone={config['architecture']}: does not begin with one convolution of three channels, so it "
            "takes neither neighbours nor other channels than three; choose another"
        )
    return first


def _require_whole_patches(network: nn.Module, size: int) -> None:
    """Refuse images whose border a network of patches would not see.

    Raises:
        ValueError: the side of the images is no multiple of a patch's.
    """
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", None)
    if patch is not None and size % patch[0]:
        fitting = -(-size // patch[0]) * patch[0]
        raise ValueError(f"it sees patches of {patch[0]} pixels; choose data.size={fitting}")


def _pretrained(name: str) -> Pretrained:
    """Return the weights that timm's hub has for a network, which stand in records with their licence."""
    config = encoders.pretrained(name)
    assert config is not None, "the name is known"
    classifier = (config.classifier,) if isinstance(config.classifier, str) else tuple(config.classifier or ())
    repository, file = config.hf_hub_id, config.hf_hub_filename or "model.safetensors"

    def read() -> State:
        import huggingface_hub as hub
        from safetensors.torch import load_file

        if repository is None:
            raise OSError("timm publishes none")
        path = hub.try_to_load_from_cache(repository, file)
        if not isinstance(path, str):
            download.require_reachable(hub.constants.ENDPOINT, weights_.REACHABLE_SECONDS)
            path = hub.hf_hub_download(repository, file)
        return load_file(path)

    address = f"https://huggingface.co/{repository}/resolve/main/{file}" if repository else f"a file for {name}"
    title = f"{repository} ({config.license or 'licence unknown'})"
    by_hand = "Fetch the file, and give its path as model.weights"
    return Pretrained(name, "timm", title, address, read, by_hand, unused=tuple(f"{prefix}." for prefix in classifier))


def _fitted(network: nn.Module, state: State, requested: str, unused: tuple[str, ...]) -> State:
    """Return weights under a network's own names and for its size; timm converts those of other programs and sizes.

    Raises:
        ValueError: the weights belong to another network.
    """
    expected = network.state_dict()
    names = {_flat(name): name for name in expected}
    renamed = {names.get(_flat(name.removeprefix("model.")), name): value for name, value in state.items()}
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    kept = {name: value for name, value in renamed.items() if not name.startswith(unused)}
    if convert is None or all(name in expected and expected[name].shape == kept[name].shape for name in kept):
        return renamed
    try:
        converted: State = convert(dict(state), network)
    except (*stages.MISFITS, KeyError, IndexError) as error:
        raise ValueError(f"model.weights={requested}: weights of another model ({one_line(error)})") from error
    return converted


def _flat(name: str) -> str:
    """Return the name of a tensor or a module as it is once timm has pruned a network to its feature maps."""
    return name.replace(".", "_")
