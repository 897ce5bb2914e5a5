"""Tell which mask belongs to which image of a folder."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

_MASK = re.compile(r"_mask$", re.IGNORECASE)
_Key = tuple[str, ...]


def is_mask(path: Path) -> bool:
    """Return whether a file is called as a mask beside its image is: NAME_mask."""
    return bool(_MASK.search(path.stem))


def pair(
    images: Sequence[Path], masks: Sequence[Path], homes: tuple[Path, Path], complete: bool
) -> tuple[dict[Path, Path | None], list[str]]:
    """Pair images with the masks that are called as they are, `_mask` and the ending aside.

    Args:
        images: in the order in which they will stand.
        masks: those found.
        homes: the folders below which an image and its mask lie alike.
        complete: whether each image needs a mask even where there is none at all.

    Returns:
        Every image with its mask, and what is wrong, a line each: images or masks without the other, and what is not
        one to one.
    """
    pictured: dict[_Key, list[Path]] = defaultdict(list)
    masked: dict[_Key, list[Path]] = defaultdict(list)
    for path in images:
        pictured[_key(path, path.stem, homes[0])].append(path)
    for path in masks:
        masked[_key(path, _MASK.sub("", path.stem), homes[1])].append(path)
    problems = [
        f"{_listed(found)}: several masks for one image; keep one" for found in masked.values() if len(found) > 1
    ]
    lonely: list[Path] = []
    for key, found in pictured.items():
        if key not in masked:
            lonely += found
        elif len(found) > 1:
            problems.append(f"{_listed(found)}: images for the one mask {masked[key][0]}; call each otherwise")
    called = {_lower(_key(path, path.stem, homes[0])): path for path in lonely}
    for key in sorted(masked.keys() - pictured.keys()):
        other = called.get(_lower(key))
        hint = f"; {other} differs in upper and lower case, call both alike" if other else ""
        problems.append(f"{masked[key][0]}: mask without image{hint}")
    if masks or complete:
        problems += [f"{path}: image without mask" for path in lonely]
    pairs: dict[Path, Path | None] = dict.fromkeys(images)
    pairs |= {path: masked[key][0] for key, found in pictured.items() if key in masked for path in found}
    return pairs, problems


def _key(path: Path, name: str, home: Path) -> _Key:
    return (*path.parent.relative_to(home).parts, name)


def _lower(key: _Key) -> _Key:
    return tuple(part.casefold() for part in key)


def _listed(paths: Sequence[Path]) -> str:
    return " and ".join(map(str, paths))
