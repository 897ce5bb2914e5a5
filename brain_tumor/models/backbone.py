"""ResNet backbones from torchvision, and where their weights come from."""

import hashlib
import pickle
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from filelock import FileLock
from torch import Tensor, nn
from torchvision import models

_REACHABLE_SECONDS = 4


@dataclass
class Weights:
    """Where a backbone's weights came from; stands in the record of every run.

    Attributes:
        requested: what was asked for: "auto", "imagenet", "none" or a path.
        source: what it became: "imagenet", "none" or "file".
        detail: torchvision's name of the weights, or the file's SHA-256; "" for a random start.
        missing: backbone tensors that the file lacks and that stay at their random start.
        warning: what the reader of any number from this run must know; "" where there is nothing.
    """

    requested: str
    source: str
    detail: str
    missing: list[str]
    warning: str

    def record(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def build(name: str, weights: str) -> tuple[nn.Module, int, Weights]:
    """Build a torchvision ResNet without its classification layer, and load its weights.

    Args:
        name: any torchvision ResNet: resnet18, resnet34, resnet50, wide_resnet50_2, resnext50_32x4d, ...
        weights: "imagenet" for torchvision's IMAGENET1K_V1 (those of the paper's time), "none" for a random start,
            "auto" for ImageNet where cached or reachable within seconds and a random start with a warning elsewhere,
            or the path of a state dict.

    Returns:
        The backbone (images (B, 3, H, W) to features (B, D), in channels-last memory), D, and where the weights
        came from.

    Raises:
        ValueError: unknown name, weights that cannot be fetched, or a file that does not fit.
    """
    if name not in resnet_names():
        raise ValueError(f"model.backbone={name}: not a torchvision ResNet; choose one of {', '.join(resnet_names())}")
    # Before any download: the file may be refused.
    state, source = _state(name, weights)
    network = models.get_model(name, weights=None)
    width = cast("nn.Linear", network.fc).in_features
    network.fc = nn.Identity()
    if state is not None:
        source.missing = _load(network, state, weights)
        if source.missing:
            source.warning = (
                f"{weights} lacks {len(source.missing)} of the backbone's tensors ({_few(source.missing)}): "
                "these keep their random start"
            )
    return network.to(memory_format=torch.channels_last), width, source


def resnet_names() -> list[str]:
    """Name torchvision's classification ResNets."""
    return sorted(models.list_models(module=models, include=["resnet*", "resnext*", "wide_resnet*"]))


def _state(name: str, weights: str) -> tuple[Mapping[str, Tensor] | None, Weights]:
    if weights == "none":
        return None, Weights(weights, "none", "", [], "")
    if weights in {"auto", "imagenet"}:
        choice = models.get_model_weights(name)["IMAGENET1K_V1"]
        try:
            state = _imagenet(choice)
        except OSError as error:
            if weights == "imagenet":
                raise ValueError(
                    f"model.weights=imagenet: {choice.url} is neither cached nor reachable ({error}). Put the file "
                    f"into {_hub_folder()}, give its path as model.weights, or choose none"
                ) from error
            return None, Weights(
                weights,
                "none",
                "",
                [],
                f"ImageNet weights are neither cached nor reachable: {name} starts at random, which is another "
                "experiment than transfer learning",
            )
        return state, Weights(weights, "imagenet", str(choice), [], "")
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ValueError(
            f"model.weights={weights}: no such file. Give imagenet, none, auto, or the path of a state dict"
        )
    return _read(path), Weights(weights, "file", hashlib.sha256(path.read_bytes()).hexdigest(), [], "")


def _hub_folder() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _imagenet(choice: models.WeightsEnum) -> Mapping[str, Tensor]:
    """Return torchvision's weights from its cache or its server; OSError where neither answers within seconds."""
    if not (_hub_folder() / Path(choice.url).name).exists():
        # A thread, because looking up a host name heeds no time limit of its own.
        pool = ThreadPoolExecutor(1)
        probe = pool.submit(urllib.request.urlopen, choice.url, timeout=_REACHABLE_SECONDS)
        pool.shutdown(wait=False)
        probe.result(timeout=_REACHABLE_SECONDS).close()
    _hub_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(_hub_folder() / f"{Path(choice.url).name}.lock"):  # runs that start together download once
        return cast("Mapping[str, Tensor]", choice.get_state_dict(progress=True, check_hash=True))


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"model.weights={path}: cannot be loaded safely as a state dict (weights_only=True)"
        ) from error
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"model.weights={path}: not a state dict; it must map names to tensors, as state_dict() gives")
    return state


def _load(network: nn.Module, state: Mapping[str, Tensor], origin: str) -> list[str]:
    """Copy `state` into the backbone; return the names it lacks."""
    own = network.state_dict()
    theirs = {name: value for name, value in state.items() if not name.startswith("fc.")}
    foreign = [name for name in theirs if name not in own]
    if foreign:
        raise ValueError(f"model.weights={origin}: weights of another model; unknown: {_few(foreign)}")
    unlike = [
        f"{name} {tuple(value.shape)} instead of {tuple(own[name].shape)}"
        for name, value in theirs.items()
        if value.shape != own[name].shape
    ]
    if unlike:
        raise ValueError(f"model.weights={origin}: weights of another model; {_few(unlike)}")
    if not theirs:
        raise ValueError(f"model.weights={origin}: holds no tensor of the backbone")
    network.load_state_dict(theirs, strict=False)
    return [name for name in own if name not in theirs and not name.endswith("num_batches_tracked")]


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
