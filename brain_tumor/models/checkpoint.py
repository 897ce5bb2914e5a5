"""Write checkpoints whole or not at all, and load a task's, and only a task's."""

import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO
from torch import nn

from brain_tumor.io import atomic


class WholeCheckpointIO(TorchCheckpointIO):
    """Write beside the checkpoint and rename: a process killed while it writes leaves the last one as it was.

    Lightning's own writes into the system's temporary folder, from where a move to another disk is a slow copy.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint."""
        with atomic.file(Path(path)) as temporary:
            super().save_checkpoint(checkpoint, temporary, storage_options)


def read_safely(path: Path) -> Any:
    """Read a file that torch has saved, tensors and plain values only: nothing in it is executed.

    Raises:
        ValueError: the file is damaged, or holds anything else.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path}: damaged, or no checkpoint or state dict that can be loaded safely (weights_only=True)"
        ) from error


def read(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content; nothing in it is executed.

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
    """Copy the weights of a checkpoint into `model`.

    Raises:
        ValueError: the file cannot be read (see `read`), or is of another model.
    """
    content = read(path)
    given, expected = content["state_dict"], model.state_dict()
    unlike = [name for name in expected if name not in given or given[name].shape != expected[name].shape]
    unlike += [name for name in given if name not in expected]
    if unlike:
        trained = content["hyper_parameters"]
        raise ValueError(
            f"{path}: a checkpoint of another model ({trained.get('backbone') or trained.get('encoder')} for "
            f"{trained.get('num_classes')} classes); {len(unlike)} tensors differ, such as {unlike[0]}"
        )
    model.load_state_dict(given)
