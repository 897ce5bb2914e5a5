"""Compute a frozen backbone's output once an image, and keep it on disk for every run that needs it.

    <cache_dir>/features/<key>.npy   float32 (N, D), one file each for the images as they are and flipped

The output of a frozen backbone never changes, so training needs it only. The key is made of the backbone's tensors,
the decoded slices, normalization, precision and device; splits, seeds, heads and optimizers share one file.
"""

import hashlib
import logging

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn
from tqdm import tqdm

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.models import precision as precision_

log = logging.getLogger(__name__)
FORMAT = 1  # raised whenever the same key would hold other numbers


def cached(part: nn.Module, data: SliceDataModule, precision: str, device: torch.device) -> Tensor | None:
    """Return the features of every image and, where training flips, of every flipped image.

    Args:
        part: a task's `frozen_part`, images (B, 3, H, W) to features (B, D).
        data: set up.
        precision: Lightning's name; only "32-true" and the mixed ones can be cached.
        device: to compute on.

    Returns:
        float32 (V, N, D) on `device`; V is 1, or 2 with flipped images second. None, with a warning in the log, where
        the transforms have no finite set of variants or the precision changes the weights.
    """
    if data.transforms.warps:
        log.warning("features are not cached: rotation and scaling give no finite set of variants of an image")
        return None
    if precision not in {"32-true", *precision_.MIXED}:
        log.warning("features are not cached at precision %s", precision)
        return None
    home = data.cache_dir / "features"
    home.mkdir(parents=True, exist_ok=True)
    key = _key(part, data, precision, device)
    variants = []
    for flipped in (False, True) if data.transforms.flip else (False,):
        path = home / f"{key}{'-flipped' * flipped}.npy"
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                temporary = path.with_suffix(".tmp.npy")
                np.save(temporary, _extract(part, data, precision, device, flipped).numpy())
                temporary.replace(path)
        variants.append(torch.from_numpy(np.load(path)))
    return torch.stack(variants).to(device)


def _key(part: nn.Module, data: SliceDataModule, precision: str, device: torch.device) -> str:
    transforms = data.transforms
    normalization = (transforms.mean.tolist(), transforms.std.tolist()) if transforms.normalize else None
    # A transform of the user's own changes images, too; the flip does not, since either variant has its file.
    others = {name: value for name, value in transforms.hyperparameters.items() if name != "flip"}
    shown = (type(transforms).__module__, type(transforms).__name__, others, normalization)
    # Another GPU, thread count or library version may round otherwise; such files must not be shared.
    unit = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.get_num_threads()
    machine = (device.type, unit, torch.__version__)
    content = hashlib.sha256(repr((FORMAT, data.decoded.key, shown, precision, machine)).encode())
    for name, tensor in part.state_dict().items():
        content.update(name.encode())
        content.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()[:16]


@torch.no_grad()  # inference_mode would leave tensors moved to a GPU here unfit for training
def _extract(part: nn.Module, data: SliceDataModule, precision: str, device: torch.device, flipped: bool) -> Tensor:
    part = part.to(device).eval()
    transforms = data.transforms.to(device).eval()
    chunks = []
    title = "features of flipped images" if flipped else "features"
    for images in tqdm(
        torch.split(data.images, data.eval_batch_size(device)), title, unit=" batches", leave=False, disable=None
    ):
        inputs = transforms(images.to(device))
        with precision_.autocast(precision, device):
            chunks.append(part(inputs.flip(-1) if flipped else inputs).float().cpu())
    return torch.cat(chunks)
