"""Where a backbone's weights come from."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from brain_tumor.io import download
from brain_tumor.models import checkpoint
from brain_tumor.runs import leakage, record

RUN = "run:"
State = Mapping[str, Tensor]
_REACHABLE_SECONDS = 4


class Pretrained(NamedTuple):
    """A network's ImageNet weights, as the library has them that the network is from (see `models.backbone`).

    Attributes:
        network: the network's name.
        title: what records call the weights.
        address: of their file, whose name ends in the first digits of its SHA-256.
        publisher: the library.
        read: returns them from torch's cache.
        unused: prefix of the tensors that belong to the classification layer, which is left out.
    """

    network: str
    title: str
    address: str
    publisher: str
    read: Callable[[], State]
    unused: str


@dataclass
class Weights:
    """Where a backbone's weights came from; stands in the record of every run.

    Attributes:
        requested: what was asked for: "auto", "imagenet", "none", a path, or "run:" and a run's folder.
        source: what it became: "imagenet", "none", "file" or "run".
        detail: the library's name of the ImageNet weights, the file's SHA-256, or the run's id; "" for a random start.
        missing: backbone tensors that the file lacks and that stay at their random start.
        overlap: patients of our test part whom the run was trained on, where that was allowed.
        warning: what the reader of any number from this run must know; "" where there is nothing.
    """

    requested: str = "none"
    source: str = "none"
    detail: str = ""
    missing: list[str] = field(default_factory=list)
    overlap: list[str] = field(default_factory=list)
    warning: str = ""

    @property
    def folder(self) -> Path:
        """The folder of the run that they come from."""
        assert self.source == "run"
        return Path(self.requested.removeprefix(RUN)).expanduser()

    def refuse_leakage(self, tested: pd.DataFrame, allow: bool) -> None:
        """Refuse to test whom the run that gave the weights was trained on, or where that is allowed note it.

        Args:
            tested: the slices of the test part (see `brain_tumor.runs.leakage.refuse`).
            allow: note it instead of refusing.

        Raises:
            ValueError: somebody stands on both sides, and that is not allowed.
        """
        if self.source != "run":
            return
        self.overlap = leakage.refuse(self.folder, tested, allow)
        if self.overlap:
            leak = (
                f"{len(self.overlap)} of the patients tested were trained on in {self.folder}, which gave the weights"
            )
            self.warning = "; ".join(filter(None, [self.warning, leak]))

    def record(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def load(network: nn.Module, pretrained: Pretrained, weights: str) -> Weights:
    """Copy into a network without its classification layer what `weights` asks for; return where it came from.

    Args:
        network: its tensors are named as in the weights.
        pretrained: its ImageNet weights.
        weights: see `find`.

    Raises:
        ValueError: weights that cannot be fetched or read, or are another network's.
    """
    state, source = find(pretrained, weights)
    if state is not None:
        source.missing = copy_into(network, state, weights, pretrained.unused)
        if source.missing:
            source.warning = (
                f"{weights} lacks {len(source.missing)} of the backbone's tensors ({few(source.missing)}): "
                "these keep their random start"
            )
    return source


def find(pretrained: Pretrained, weights: str) -> tuple[State | None, Weights]:
    """Return the state dict that `weights` asks for, None for a random start, and where it came from.

    Args:
        pretrained: the network's ImageNet weights.
        weights: "imagenet" for those, "none" for a random start, "auto" for ImageNet where cached or reachable within
            seconds and a random start with a warning elsewhere, "run:" and a finished run's folder for what it has
            made of its backbone, or the path of a state dict.

    Raises:
        ValueError: weights that cannot be fetched, or a file or run that cannot be read.
    """
    if weights == "none":
        return None, Weights()
    if weights in {"auto", "imagenet"}:
        return _imagenet(pretrained, weights)
    if weights.startswith(RUN):
        return _of_run(weights)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ValueError(
            f"model.weights={weights}: no such file. Give imagenet, none, auto, run:FOLDER, or the path of a state dict"
        )
    return _state_dict(path), Weights(weights, "file", hashlib.sha256(path.read_bytes()).hexdigest())


def copy_into(network: nn.Module, state: State, origin: str, unused: str) -> list[str]:
    """Copy `state` into `network`; return the names it lacks.

    Args:
        network: without its classification layer.
        state: names to tensors.
        origin: what `state` was asked for as.
        unused: prefix of the names in `state` that are skipped: its classification layer's.

    Raises:
        ValueError: the tensors are another network's.
    """
    expected = network.state_dict()
    given = {name: value for name, value in state.items() if not name.startswith(unused)}
    foreign = [name for name in given if name not in expected]
    if foreign:
        raise ValueError(f"model.weights={origin}: weights of another model; unknown: {few(foreign)}")
    unlike = [
        f"{name} {tuple(value.shape)} instead of {tuple(expected[name].shape)}"
        for name, value in given.items()
        if value.shape != expected[name].shape
    ]
    if unlike:
        raise ValueError(f"model.weights={origin}: weights of another model; {few(unlike)}")
    if not given:
        raise ValueError(f"model.weights={origin}: holds no tensor of the backbone")
    network.load_state_dict(given, strict=False)
    return [name for name in expected if name not in given and not name.endswith("num_batches_tracked")]


def few(names: list[str]) -> str:
    """Name the first three, and say how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _imagenet(pretrained: Pretrained, weights: str) -> tuple[State | None, Weights]:
    """Return a network's ImageNet weights; where they cannot be had, refuse, or start at random for "auto"."""
    try:
        _fetch(pretrained)
        return pretrained.read(), Weights(weights, "imagenet", pretrained.title)
    except OSError as error:
        if weights == "imagenet":
            raise ValueError(
                f"model.weights=imagenet: {pretrained.address} is neither cached nor reachable ({error}). Put the file "
                f"into {_hub_folder()}, give its path as model.weights, or choose none"
            ) from error
    warning = (
        f"ImageNet weights are neither cached nor reachable: {pretrained.network} starts at random, which is another "
        "experiment than transfer learning"
    )
    return None, Weights(weights, warning=warning)


def _fetch(pretrained: Pretrained) -> None:
    """Download ImageNet weights into torch's cache, unless a file of that name is there, whoever has put it there."""
    name = Path(pretrained.address).name
    if (_hub_folder() / name).exists():
        return
    download.require_reachable(pretrained.address, _REACHABLE_SECONDS)
    checksum = re.search(r"-([0-9a-f]+)\.", name)
    assert checksum is not None, "weights are published under names with a checksum"
    remote = download.Remote(pretrained.address, name, pretrained.publisher, "sha256", checksum[1])
    download.file(remote, _hub_folder())


def _hub_folder() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _of_run(weights: str) -> tuple[State, Weights]:
    """Return the backbone that a run has trained, or has started from and kept frozen."""
    source = Weights(weights, "run")
    trained = record.read(source.folder)
    source.detail, source.warning = trained["id"], trained["weights"]["warning"]
    path = source.folder / "checkpoints" / f"{trained['test']['checkpoint']}.ckpt"
    state = {}
    for name, value in checkpoint.read(path)["state_dict"].items():
        for prefix in ("backbone.", "network.encoder."):  # a classifier's, a segmenter's
            if name.startswith(prefix):
                state[name.removeprefix(prefix)] = value
    return state, source


def _state_dict(path: Path) -> State:
    state = checkpoint.read_safely(path)
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"model.weights={path}: not a state dict; it must map names to tensors, as state_dict() gives")
    return state
