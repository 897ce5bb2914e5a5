"""Read the sequence and the subject out of the names of NIfTI files, as BIDS, BraTS and nnU-Net write them."""

import json
import re
from pathlib import Path

from brain_tumor.io import names

# Last parts of names: BraTS up to 2021 and from 2023 on, BIDS, and other words for the four.
_ENDINGS = {
    **dict.fromkeys(("flair", "t2f"), "flair"), **dict.fromkeys(("t1", "t1n", "t1w"), "t1"),
    **dict.fromkeys(("t1ce", "t1c", "t1gd"), "t1ce"), **dict.fromkeys(("t2", "t2w"), "t2"),
}  # fmt: skip
_MASKS = {"seg", "dseg", "mask", "probseg", "label"}
_CHANNEL = re.compile(r"(?P<subject>.+)_(?P<channel>[0-9]{4})")
_ABOVE = 3  # folders above a file in which its dataset.json may be
_MOST_BYTES = 2**22  # of a dataset.json


def sequence(path: Path) -> tuple[tuple[str, ...], str, str]:
    """Read a file's name.

    Returns:
        The sequence or (), the reason, and the text that its subject's files share, "" for none.
    """
    stem = names.stem(path)
    if stem.lower().startswith("sub-"):
        return _bids(stem)
    if match := _CHANNEL.fullmatch(stem):
        return _nnunet(path, match["subject"], int(match["channel"]))
    subject, _, ending = stem.rpartition("_") if re.search(r"_[^-]*$", stem) else stem.rpartition("-")
    if ending.lower() in _MASKS:
        return (), "a mask, by its name", subject
    if ending.lower() in _ENDINGS:
        return (_ENDINGS[ending.lower()],), f"its name ends in {ending}", subject
    return (), "its name says no sequence (as in BIDS, BraTS or nnU-Net)", ""


def _bids(stem: str) -> tuple[tuple[str, ...], str, str]:
    *entities, suffix = stem.split("_")
    subject = "_".join(entity for entity in entities if entity.lower().startswith(("sub-", "ses-")))
    contrast = any(entity.lower().startswith("ce-") for entity in entities)
    if suffix.lower() in _MASKS:
        return (), "a mask, by its name", subject
    found = {"flair": "flair", "t1w": "t1ce" if contrast else "t1", "t2w": "t2"}.get(suffix.lower(), "")
    if not found:
        return (), "its BIDS suffix is none of FLAIR, T1w, T2w", subject
    return (found,), f"BIDS suffix {suffix}{' with a contrast agent (ce-)' * contrast}", subject


def _nnunet(path: Path, subject: str, channel: int) -> tuple[tuple[str, ...], str, str]:
    for folder in list(path.absolute().parents)[:_ABOVE]:
        described = folder / "dataset.json"
        if described.is_file():
            name = _channel_name(described, channel)
            word = re.sub(r"[^a-z0-9]", "", name.lower())
            found = _ENDINGS.get(word)
            reason = f"channel {channel} of its dataset.json"
            return ((found,), reason, subject) if found else ((), f"{reason} is none of the four", subject)
    return (), f"nnU-Net's channel {channel}, and no dataset.json says what that is", subject


def _channel_name(described: Path, channel: int) -> str:
    """Return what a dataset.json calls a channel; "" where it does not say."""
    if described.stat().st_size > _MOST_BYTES:
        return ""
    try:
        content = json.loads(described.read_text(encoding="utf-8"))
        channels = content.get("channel_names") or content.get("modality") or {}
        return str(channels.get(str(channel), ""))
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""
