"""Compute the output of a network's frozen part once per image, and store it on disk for all runs that need it.

    <cache_dir>/features/<key>.npy           float32 (N, D), or maps (N, H, W, D)
    <cache_dir>/features/<key>-flipped.npy   the same for flipped images

The output of a frozen part never changes, so training needs no images. The key is a hash of the backbone's tensors, the
decoded slices, normalization, precision and device; splits, seeds, heads and optimizers share one file.
"""

import hashlib
import logging
import math
import shutil
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.io import atomic
from brain_tumor.models import precision as precision_

log = logging.getLogger(__name__)
_MUCH = 10**9  # bytes; larger files are mentioned in the log
_LEFT_OUT = {"flip", "missing", "strip", "elastic", "gamma", "contrast", "brightness", "normalized_by"}
FORMAT = 1  # raised whenever the same key would hold other numbers


def cached(part: nn.Module, data: SliceDataModule, precision: str, device: torch.device) -> list[Tensor] | None:
    """Return the features of every image and, if training flips, of every flipped image.

    Args:
        part: a task's `frozen_part`, from images (B, 3, H, W) to features (B, D) or maps (B, D, H, W).
        data: set up.
        precision: Lightning's name; only "32-true" and the mixed ones can be cached.
        device: to compute on.

    Returns:
        float32 (N, D) or (N, H, W, D), of the images and perhaps of the flipped ones; on `device` if that has room,
        else memory-mapped. None, with a warning in the log, if the transforms do more than flip or the precision
        changes the weights.

    Raises:
        ValueError: the disk has no room for the features.
    """
    if not data.transforms.only_flips:
        log.warning(
            "features are not cached: with rotation, scaling or missing sequences an image has too many variants"
        )
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
                _extract(part, data, precision, device, flipped, path)
        # Copy-on-write: torch wants writable memory, and the file stays as it is.
        variants.append(torch.from_numpy(np.load(path, mmap_mode="c")))
    size = sum(variant.nbytes for variant in variants)
    fits = device.type == "cuda" and size < torch.cuda.mem_get_info(device)[0] / 2
    return [variant.to(device) for variant in variants] if fits else variants


def _key(part: nn.Module, data: SliceDataModule, precision: str, device: torch.device) -> str:
    transforms = data.transforms
    normalization = (transforms.mean.tolist(), transforms.std.tolist()) if transforms.normalize else None
    # A user's transform class may change images, too. The flip is left out, since both variants have files, and so is
    # what cannot be cached.
    others = {name: value for name, value in transforms.hyperparameters.items() if name not in _LEFT_OUT}
    shown = (type(transforms).__module__, type(transforms).__name__, others, normalization)
    # Another GPU, thread count or library version may round differently, so these must not share a file.
    unit = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.get_num_threads()
    machine = (device.type, unit, torch.__version__)
    content = hashlib.sha256(repr((FORMAT, data.decoded.key, shown, precision, machine)).encode())
    if data.store.neighbours is not None:
        content.update(data.store.neighbours.numpy().tobytes())
    standards = data.store.statistics_of(torch.arange(len(data.store.images)))
    if standards is not None:
        content.update(standards.numpy().tobytes())
    for name, tensor in part.state_dict().items():
        content.update(name.encode())
        content.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()[:16]


@torch.no_grad()  # with inference_mode, tensors moved to a GPU here could not be used in training
def _extract(
    part: nn.Module, data: SliceDataModule, precision: str, device: torch.device, flipped: bool, path: Path
) -> None:
    part = part.to(device).eval()
    transforms = data.transforms.to(device).eval()
    title = "features of flipped images" if flipped else "features"
    batches = torch.split(torch.arange(len(data.store.images)), data.eval_batch_size(device))
    features: NDArray[np.float32] | None = None
    with atomic.file(path) as temporary:
        done = 0
        for rows in tqdm(batches, title, unit=" batches", leave=False, disable=None):
            images, statistics = data.store.raw(rows)
            inputs = transforms(images.to(device), None if statistics is None else statistics.to(device))
            with precision_.autocast(precision, device):
                output = part(inputs.flip(-1) if flipped else inputs).float().cpu()
            # Maps are stored channels last, as convolutions want them.
            stored = (output.permute(0, 2, 3, 1) if output.ndim == 4 else output).numpy()
            if features is None:
                shape = (len(data.store.images), *stored.shape[1:])
                follows = bool(data.transforms.flip) and not flipped  # the file of flipped images needs as much again
                _require_room(path.parent, 4 * math.prod(shape) * (1 + follows))
                features = open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
            features[done : done + len(stored)] = stored
            done += len(stored)
        assert isinstance(features, np.memmap), "there are images"
        features.flush()
        del features  # Windows cannot rename a mapped file


def _require_room(folder: Path, needed: int) -> None:
    """Refuse what does not fit on the disk, and log the size of large files.

    Args:
        folder: where the features will be stored.
        needed: bytes.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"cache_dir={folder.parent}: the features take {needed / 1e9:.1f} GB, and {free / 1e9:.1f} are free there. "
            "Make room, choose another cache_dir, or train without stored features by cache_features=false"
        )
    if needed > _MUCH:
        log.info("features: %.1f GB are stored in %s", needed / 1e9, folder)
