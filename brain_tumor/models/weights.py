"""Find and load a backbone's first weights: its library's, a file's, or those of a finished run."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from brain_tumor.config.errors import one_line
from brain_tumor.io import download
from brain_tumor.models import checkpoint
from brain_tumor.runs import leakage, record

RUN = "run:"
State = Mapping[str, Tensor]
REACHABLE_SECONDS = 4


class Pretrained(NamedTuple):
    """A network's pretrained weights, as its library publishes them (see `models.backbone`, `models.timm_backbone`).

    Attributes:
        network: the network's name.
        source: what records call them.
        title: the weights' name in records.
        address: where they are published.
        read: returns the state dict, from a cache if that has it; raises OSError if it cannot be had.
        by_hand: what to do with a file that was fetched by hand.
        unused: prefixes of the tensors of the classification layer, which is left out.
    """

    network: str
    source: str
    title: str
    address: str
    read: Callable[[], State]
    by_hand: str
    unused: tuple[str, ...]


@dataclass
class WeightsOrigin:
    """The origin of a backbone's first weights; it stands in the record of every run (`runs.record.Weights`).

    Attributes:
        requested: the setting: "auto", "imagenet", "none", a path, or "run:" and a run's folder.
        source: what was loaded: "imagenet" (torchvision's), "timm" (its hub's), "none", "file" or "run".
        detail: the library's name of the weights, the file's SHA-256, or the run's id; "" for a random start.
        missing: backbone tensors that the file lacks; they keep their random start.
        overlap: tested patients whom the run was trained on, where that was allowed.
        warning: what a reader of this run's scores must know; "" if there is nothing.
    """

    requested: str = "none"
    source: str = "none"
    detail: str = ""
    missing: list[str] = field(default_factory=list)
    overlap: list[str] = field(default_factory=list)
    warning: str = ""

    @property
    def folder(self) -> Path:
        """The folder of the run that the weights come from."""
        assert self.source == "run"
        return Path(self.requested.removeprefix(RUN)).expanduser()

    def refuse_leakage(self, tested: pd.DataFrame, allow: bool) -> None:
        """Refuse to test patients whom the run that gave the weights was trained on, or note them if that is allowed.

        Args:
            tested: the slices of the test part (see `brain_tumor.runs.leakage.refuse`).
            allow: note them in `overlap` and `warning` instead of refusing.

        Raises:
            ValueError: there are such patients, and that is not allowed.
        """
        if self.source != "run":
            return
        self.overlap = leakage.refuse(self.folder, tested, allow)
        if self.overlap:
            leakage_note = (
                f"{len(self.overlap)} of the patients tested were trained on in {self.folder}, which gave the weights"
            )
            self.warning = "; ".join(filter(None, [self.warning, leakage_note]))

    def note_missing(self, names: list[str]) -> None:
        """Note which of the backbone's tensors the weights lack, and warn of them."""
        self.missing = names
        if names:
            self.warning = (
                f"{self.requested} lacks {len(names)} of the backbone's tensors ({few(names)}): these keep their "
                "random start"
            )

    def record(self) -> dict[str, Any]:
        """Return the fields as plain values, for the record."""
        return asdict(self)


def load(network: nn.Module, pretrained: Pretrained, weights: str) -> WeightsOrigin:
    """Copy the weights that a setting asks for into a network without its classification layer.

    Args:
        network: its tensors are named as in the weights.
        pretrained: the weights that its library publishes.
        weights: the setting (see `find`).

    Returns:
        Where the weights came from.

    Raises:
        ValueError: the weights cannot be fetched or read, or belong to another network.
    """
    state, origin = find(pretrained, weights)
    if state is not None:
        origin.note_missing(copy_into(network, state, weights, pretrained.unused))
    return origin


def find(pretrained: Pretrained, weights: str) -> tuple[State | None, WeightsOrigin]:
    """Return the state dict that a setting asks for, and its origin; None for a random start.

    Args:
        pretrained: the weights that the network's library publishes.
        weights: "imagenet" for those, whatever timm's were trained on; "none" for a random start; "auto" for those if
            they are cached or reachable within seconds, and else for a random start with a warning; "run:" and a folder
            for the backbone of a finished run; or the path of a state dict, by torch or as safetensors.

    Raises:
        ValueError: the weights cannot be fetched, or the file or run cannot be read.
    """
    if weights == "none":
        return None, WeightsOrigin()
    if weights in {"auto", "imagenet"}:
        return _published(pretrained, weights)
    if weights.startswith(RUN):
        return _read_run(weights)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ValueError(
            f"model.weights={weights}: no such file. Give imagenet, none, auto, run:FOLDER, or the path of a state dict"
        )
    return _read_state_dict(path), WeightsOrigin(weights, "file", hashlib.sha256(path.read_bytes()).hexdigest())


def copy_into(network: nn.Module, state: State, requested: str, unused: tuple[str, ...]) -> list[str]:
    """Copy a state dict into a network; return the names of the network's tensors that it lacks.

    Args:
        network: without its classification layer.
        state: names to tensors.
        requested: the setting that `state` comes from, for messages.
        unused: prefixes of the names in `state` that are skipped: those of the classification layer.

    Raises:
        ValueError: the tensors belong to another network.
    """
    expected = network.state_dict()
    given = {name: value for name, value in state.items() if not name.startswith(unused)}
    unknown = [name for name in given if name not in expected]
    if unknown:
        raise ValueError(f"model.weights={requested}: weights of another model; unknown: {few(unknown)}")
    misshapen = [
        f"{name} {tuple(value.shape)} instead of {tuple(expected[name].shape)}"
        for name, value in given.items()
        if value.shape != expected[name].shape
    ]
    if misshapen:
        raise ValueError(f"model.weights={requested}: weights of another model; {few(misshapen)}")
    if not given:
        raise ValueError(f"model.weights={requested}: holds no tensor of the backbone")
    network.load_state_dict(given, strict=False)
    return [name for name in expected if name not in given and not name.endswith("num_batches_tracked")]


def few(names: list[str]) -> str:
    """Return the first three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _published(pretrained: Pretrained, weights: str) -> tuple[State | None, WeightsOrigin]:
    """Return a network's pretrained weights; if they are not to be had, refuse, or for "auto" start at random."""
    try:
        return pretrained.read(), WeightsOrigin(weights, pretrained.source, pretrained.title)
    except OSError as error:
        if weights == "imagenet":
            raise ValueError(
                f"model.weights=imagenet: {pretrained.address} is neither cached nor reachable "
                f"({one_line(error)}). {pretrained.by_hand}, or choose none"
            ) from error
    kind = "ImageNet" if pretrained.source == "imagenet" else "pretrained"
    warning = (
        f"{kind} weights are neither cached nor reachable: {pretrained.network} starts at random, which is not "
        "transfer learning"
    )
    return None, WeightsOrigin(weights, warning=warning)


def fetch_for_torch(address: str, publisher: str) -> None:
    """Download a file into torch's cache, unless it has a file of that name, even one put there by hand.

    Args:
        address: of a file whose name ends in the first digits of its SHA-256.
        publisher: for messages.

    Raises:
        OSError: it cannot be reached within seconds, or has another content.
    """
    name = Path(address).name
    if (torch_home() / name).exists():
        return
    download.require_reachable(address, REACHABLE_SECONDS)
    checksum = re.search(r"-([0-9a-f]+)\.", name)
    assert checksum is not None, "weights are published under names with a checksum"
    download.file(download.Remote(address, name, publisher, "sha256", checksum[1]), torch_home())


def torch_home() -> Path:
    """Return the folder of torch's cache."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def _read_run(weights: str) -> tuple[State, WeightsOrigin]:
    """Return the backbone of a finished run, whether trained or frozen, from the checkpoint that its test scored."""
    origin = WeightsOrigin(weights, "run")
    run = record.read(origin.folder)
    origin.detail, origin.warning = run["id"], run["weights"]["warning"]
    path = origin.folder / "checkpoints" / f"{run['test']['checkpoint']}.ckpt"
    state = {}
    for name, value in checkpoint.read(path)["state_dict"].items():
        for prefix in ("backbone.", "network.encoder."):  # a classifier's, a segmenter's
            if name.startswith(prefix):
                state[name.removeprefix(prefix)] = value
    return state, origin


def _read_state_dict(path: Path) -> State:
    state = checkpoint.read_safely(path)
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"model.weights={path}: not a state dict; it must map names to tensors, as state_dict() gives")
    return state
