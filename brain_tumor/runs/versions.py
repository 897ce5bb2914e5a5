"""The versions and the hardware that numbers may depend on."""

import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "numpy", "pillow")


def versions(device: "torch.device", arithmetic: str) -> dict[str, str]:
    """Return them as they stand in a record.

    Args:
        device: that computed.
        arithmetic: Lightning's name of the precision.
    """
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        **_software(_PACKAGES),
        "device": device.type,
        "hardware": name,
        "threads": str(torch.get_num_threads()),
        "arithmetic": arithmetic,
    }


def without_torch(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of these packages, and the machine."""
    return {**_software(packages), "device": "cpu", "hardware": _processor(), "arithmetic": "32-true"}


def _software(packages: Iterable[str]) -> dict[str, str]:
    own = {package: version(package) for package in packages}
    return {"python": platform.python_version(), **own, "platform": platform.platform()}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
