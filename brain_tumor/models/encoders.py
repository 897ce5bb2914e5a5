"""Name the networks that features come from, and say what images each was pretrained on.

Importing this module is cheap, since the configuration asks it; timm is imported for its own networks alone.
"""

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

PLAIN = "cnn"  # the network that the paper compares the others with
# torchvision's, with IMAGENET1K_V1 weights, as in the paper's time; every other name is one of timm's.
RESNETS = (
    "resnet101", "resnet152", "resnet18", "resnet34", "resnet50", "resnext101_32x8d", "resnext101_64x4d",
    "resnext50_32x4d", "wide_resnet101_2", "wide_resnet50_2",
)  # fmt: skip


def is_timm(name: str) -> bool:
    """Return whether a name is none of torchvision's ResNets, nor the plain network."""
    return name != PLAIN and name not in RESNETS


def pretrained(name: str) -> "PretrainedCfg | None":
    """Return timm's configuration of the weights that a name such as "convnext_tiny.fb_in22k" means; None for none.

    Without a tag, the name means timm's default weights.
    """
    import timm

    try:
        return timm.get_pretrained_cfg(name) if timm.is_model(name.partition(".")[0]) else None
    except RuntimeError:  # the tag is unknown
        return None


def require_known(key: str, name: str) -> None:
    """Refuse a name that no library knows.

    Args:
        key: of the configuration, for the message.
        name: of a network.

    Raises:
        ValueError: the name is unknown; the message has those like it.
    """
    if not is_timm(name) or pretrained(name) is not None:
        return
    import timm

    known = {PLAIN, *RESNETS, *timm.list_models()} | ({*timm.list_pretrained()} if "." in name else set())
    near = ", ".join(difflib.get_close_matches(name, sorted(known), 4, cutoff=0.5))
    remedy = f"similar names: {near}" if near else "python -c 'import timm; print(timm.list_models())' lists timm's"
    raise ValueError(f"{key}={name}: neither torchvision nor timm has such a network; {remedy}")


def pretrained_input(name: str) -> dict[str, Any]:
    """Return what images one of timm's networks was pretrained on: `size` in pixels, `mean` and `std` per channel.

    Returns:
        {} for other networks, whose input is the paper's, and for unknown ones.
    """
    found = pretrained(name) if is_timm(name) else None
    if found is None:
        return {}
    return {"size": found.input_size[-1], "mean": list(found.mean), "std": list(found.std)}


def require_last(last: Sequence[str], blocks: Sequence[str]) -> None:
    """Refuse names that are not those of a network's last blocks, in any order.

    Raises:
        ValueError: they are not.
    """
    if not last or sorted(last) != sorted(blocks[-len(last) :]):
        known = ", ".join(blocks) if len(blocks) < 8 else f"{blocks[0]}, {blocks[1]}, ... {blocks[-1]}"
        raise ValueError(f"model.trained={', '.join(last)}: name the last blocks of {known}, such as {blocks[-1]}")
