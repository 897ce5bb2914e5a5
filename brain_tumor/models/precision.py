"""Choose the precision that is fastest on the hardware, and compute in it."""

import torch

MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def use(precision: str) -> None:
    """Let a GPU's float32 convolutions round to TF32 with a mixed precision only, so that "32-true" stays exact."""
    torch.backends.cudnn.allow_tf32 = precision != "32-true"


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context that Lightning's trainer uses at this precision, for a loop without a trainer."""
    return torch.autocast(device.type, dtype=MIXED.get(precision), enabled=precision in MIXED)


def resolve(precision: str, accelerator: str) -> str:
    """Return a precision, for "auto" the fastest one that trains as well as float32.

    That is "bf16-mixed" if the hardware multiplies bfloat16 (AMX, AVX512-BF16, NVIDIA Ampere and later), and
    "32-true" otherwise.

    Args:
        precision: Lightning's name of a precision, or "auto".
        accelerator: Lightning's name of an accelerator, or "auto".
    """
    if precision != "auto":
        return precision
    if accelerator in {"auto", "gpu", "cuda"} and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.get_device_capability() >= (8, 0) else "32-true"
    if accelerator == "cpu" or not torch.backends.mps.is_available():
        # The public torch.cpu.get_capabilities() is newer than the oldest torch that is supported.
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return "bf16-mixed" if fast else "32-true"
    return "32-true"
