"""Write checkpoints whole or not at all, and load a classifier's, and only a classifier's."""

import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from brain_tumor.models.classifier import Classifier


class WholeCheckpointIO(TorchCheckpointIO):
    """Write beside the checkpoint and rename: a process killed while it writes leaves the last one as it was.

    Lightning's own writes into the system's temporary folder, from where a move to another disk is a slow copy.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint."""
        target = Path(path)
        temporary = target.with_suffix(".tmp")
        super().save_checkpoint(checkpoint, temporary, storage_options)
        temporary.replace(target)


def load(model: Classifier, path: Path) -> None:
    """Copy the weights of a checkpoint into `model`.

    Raises:
        ValueError: the file is missing, damaged, no checkpoint of this program, or of another model.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such checkpoint")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: damaged, or no checkpoint that loads safely (weights_only=True)") from error
    if not isinstance(content, dict) or "state_dict" not in content or "history" not in content:
        raise ValueError(f"{path}: not a checkpoint of brain_tumor; give one from a run's checkpoints folder")
    theirs, own = content["state_dict"], model.state_dict()
    unlike = [name for name in own if name not in theirs or theirs[name].shape != own[name].shape]
    unlike += [name for name in theirs if name not in own]
    if unlike:
        trained = content["hyper_parameters"]
        raise ValueError(
            f"{path}: a checkpoint of another model ({trained.get('backbone')} for {trained.get('num_classes')} "
            f"classes); {len(unlike)} tensors differ, such as {unlike[0]}"
        )
    model.load_state_dict(theirs)
