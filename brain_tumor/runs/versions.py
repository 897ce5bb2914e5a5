"""The versions and the hardware that numbers may depend on."""

import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_PACKAGES = (
    "torch", "torchvision", "timm", "segmentation-models-pytorch", "lightning", "torchmetrics", "hydra-core", "numpy",
    "pillow",
)  # fmt: skip


def versions(device: "torch.device", precision: str) -> dict[str, str]:
    """Return versions and hardware as a record holds them.

    Args:
        device: that computes.
        precision: Lightning's name of it.
    """
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        **_software(_PACKAGES),
        "device": device.type,
        "hardware": name,
        "threads": str(torch.get_num_threads()),
        "arithmetic": precision,
    }


def without_torch(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of these packages, and the machine."""
    return {**_software(packages), "device": "cpu", "hardware": _processor(), "arithmetic": "32-true"}


def _software(packages: Iterable[str]) -> dict[str, str]:
    installed = {package: version(package) for package in packages}
    return {"python": platform.python_version(), **installed, "platform": platform.platform()}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
