"""Where a backbone's weights come from."""

import hashlib
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from filelock import FileLock
from torch import Tensor, nn
from torchvision import models

from brain_tumor.models import checkpoint
from brain_tumor.runs import leakage, record

RUN = "run:"
_REACHABLE_SECONDS = 4


@dataclass
class Weights:
    """Where a backbone's weights came from; stands in the record of every run.

    Attributes:
        requested: what was asked for: "auto", "imagenet", "none", a path, or "run:" and a run's folder.
        source: what it became: "imagenet", "none", "file" or "run".
        detail: torchvision's name of the weights, the file's SHA-256, or the run's id; "" for a random start.
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

    def refuse_overlap(self, tested: pd.DataFrame, allow: bool) -> None:
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
            said = (
                f"{len(self.overlap)} of the patients tested were trained on in {self.folder}, which gave the weights"
            )
            self.warning = "; ".join(filter(None, [self.warning, said]))

    def record(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


State = Mapping[str, Tensor]


def load(network: nn.Module, name: str, weights: str) -> Weights:
    """Copy into a ResNet without its classification layer what `weights` asks for; return where it came from.

    Args:
        network: its tensors named as torchvision names them.
        name: a torchvision model's name.
        weights: see `find`.

    Raises:
        ValueError: weights that cannot be fetched or read, or are another network's.
    """
    state, source = find(name, weights)
    if state is not None:
        source.missing = copy_into(network, state, weights)
        if source.missing:
            source.warning = (
                f"{weights} lacks {len(source.missing)} of the backbone's tensors ({few(source.missing)}): "
                "these keep their random start"
            )
    return source


def find(name: str, weights: str) -> tuple[State | None, Weights]:
    """Return the state dict that `weights` asks for, None for a random start, and where it came from.

    Args:
        name: a torchvision model's name.
        weights: "imagenet" for torchvision's IMAGENET1K_V1 (those of the paper's time), "none" for a random start,
            "auto" for ImageNet where cached or reachable within seconds and a random start with a warning elsewhere,
            "run:" and a finished run's folder for what it has made of its backbone, or the path of a state dict.

    Raises:
        ValueError: weights that cannot be fetched, or a file or run that cannot be read.
    """
    if weights == "none":
        return None, Weights()
    if weights in {"auto", "imagenet"}:
        choice = models.get_model_weights(name)["IMAGENET1K_V1"]
        try:
            return _imagenet(choice), Weights(weights, "imagenet", str(choice))
        except OSError as error:
            if weights == "imagenet":
                raise ValueError(
                    f"model.weights=imagenet: {choice.url} is neither cached nor reachable ({error}). Put the file "
                    f"into {_hub_folder()}, give its path as model.weights, or choose none"
                ) from error
            warning = (
                f"ImageNet weights are neither cached nor reachable: {name} starts at random, which is another "
                "experiment than transfer learning"
            )
            return None, Weights(weights, warning=warning)
    if weights.startswith(RUN):
        return _of_run(weights)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ValueError(
            f"model.weights={weights}: no such file. Give imagenet, none, auto, run:FOLDER, or the path of a state dict"
        )
    return _state_dict(path), Weights(weights, "file", hashlib.sha256(path.read_bytes()).hexdigest())


def copy_into(network: nn.Module, state: State, origin: str) -> list[str]:
    """Copy `state` into `network`; return the names it lacks.

    Args:
        network: without its classification layer, whose tensors, `fc.*`, are passed over.
        state: names to tensors, as torchvision names them.
        origin: what `state` was asked for as.

    Raises:
        ValueError: the tensors are another network's.
    """
    own = network.state_dict()
    theirs = {name: value for name, value in state.items() if not name.startswith("fc.")}
    foreign = [name for name in theirs if name not in own]
    if foreign:
        raise ValueError(f"model.weights={origin}: weights of another model; unknown: {few(foreign)}")
    unlike = [
        f"{name} {tuple(value.shape)} instead of {tuple(own[name].shape)}"
        for name, value in theirs.items()
        if value.shape != own[name].shape
    ]
    if unlike:
        raise ValueError(f"model.weights={origin}: weights of another model; {few(unlike)}")
    if not theirs:
        raise ValueError(f"model.weights={origin}: holds no tensor of the backbone")
    network.load_state_dict(theirs, strict=False)
    return [name for name in own if name not in theirs and not name.endswith("num_batches_tracked")]


def few(names: list[str]) -> str:
    """Name the first three, and say how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _of_run(weights: str) -> tuple[State, Weights]:
    """Return the backbone that a run has trained, or has started from and kept frozen."""
    source = Weights(weights, "run")
    trained = record.read(source.folder)
    source.detail, source.warning = trained["id"], trained["weights"]["warning"]
    path = source.folder / "checkpoints" / f"{trained['test']['checkpoint']}.ckpt"
    found = {}
    for name, value in checkpoint.read(path)["state_dict"].items():
        for prefix in ("backbone.", "network.encoder."):  # a classifier's, a segmenter's
            if name.startswith(prefix):
                found[name.removeprefix(prefix)] = value
    return found, source


def _state_dict(path: Path) -> State:
    state = checkpoint.read_safely(path)
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"model.weights={path}: not a state dict; it must map names to tensors, as state_dict() gives")
    return state


def _hub_folder() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _imagenet(choice: models.WeightsEnum) -> State:
    """Return torchvision's weights from its cache or its server; OSError where neither answers within seconds."""
    if not (_hub_folder() / Path(choice.url).name).exists():
        # A thread, because looking up a host name heeds no time limit of its own.
        pool = ThreadPoolExecutor(1)
        probe = pool.submit(urllib.request.urlopen, choice.url, timeout=_REACHABLE_SECONDS)
        pool.shutdown(wait=False)
        probe.result(timeout=_REACHABLE_SECONDS).close()
    _hub_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(_hub_folder() / f"{Path(choice.url).name}.lock"):  # runs that start together download once
        return cast("State", choice.get_state_dict(progress=True, check_hash=True))
