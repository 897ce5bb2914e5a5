"""The versions and the hardware that numbers may depend on."""

import platform
from importlib.metadata import version
from pathlib import Path

import torch

_PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "numpy", "pillow")


def versions(device: torch.device, arithmetic: str) -> dict[str, str]:
    """Return them as they stand in a record.

    Args:
        device: that computed.
        arithmetic: Lightning's name of the precision.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        "platform": platform.platform(),
        "device": device.type,
        "hardware": name,
        "threads": str(torch.get_num_threads()),
        "arithmetic": arithmetic,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
