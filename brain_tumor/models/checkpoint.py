"""Write checkpoints completely or not at all, and load those of this program safely."""

import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO
from torch import Tensor, nn

from brain_tumor.io import atomic


class WholeCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside the last one, then rename it, so that a killed process leaves the last one intact.

    Lightning's class writes into the system's temporary folder; moving a file from there to another disk is slow.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint, complete or not at all."""
        with atomic.file(Path(path)) as temporary:
            super().save_checkpoint(checkpoint, temporary, storage_options)


def read_safely(path: Path) -> Any:
    """Read a file saved by torch that holds only tensors and plain values, or safetensors; nothing in it is executed.

    Raises:
        ValueError: the file is damaged, or holds anything else.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path}: damaged, or no checkpoint or state dict that can be loaded safely (weights_only=True)"
        ) from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged, or no safetensors file ({error})") from error


def read(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint; nothing in it is executed.

    Raises:
        ValueError: the file is missing, damaged, or no checkpoint of this program.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such checkpoint")
    content = read_safely(path)
    if not isinstance(content, dict) or not {"state_dict", "history", "hyper_parameters"} <= content.keys():
        raise ValueError(f"{path}: not a checkpoint of brain_tumor; give one from a run's checkpoints folder")
    return content


def load(model: nn.Module, path: Path) -> None:
    """Copy the weights of a checkpoint into a model.

    Raises:
        ValueError: the file cannot be read (see `read`), or belongs to another model.
    """
    content = read(path)
    given, expected = content["state_dict"], model.state_dict()
    different = [name for name in expected if name not in given or given[name].shape != expected[name].shape]
    different += [name for name in given if name not in expected]
    if different:
        trained = content["hyper_parameters"]
        raise ValueError(
            f"{path}: a checkpoint of another model ({trained.get('backbone') or trained.get('encoder')} for "
            f"{trained.get('num_classes')} classes); {len(different)} tensors differ, such as {different[0]}"
        )
    model.load_state_dict(given)
