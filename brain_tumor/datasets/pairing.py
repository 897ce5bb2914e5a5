"""Pair the images of a folder with their masks."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

_MASK = re.compile(r"_mask$", re.IGNORECASE)
_Key = tuple[str, ...]


def is_mask(path: Path) -> bool:
    """Return whether a file has the name of a mask that lies beside its image: NAME_mask."""
    return bool(_MASK.search(path.stem))


def pair(
    images: Sequence[Path], masks: Sequence[Path], homes: tuple[Path, Path], complete: bool
) -> tuple[dict[Path, Path | None], list[str]]:
    """Pair images with the masks of the same name, without `_mask` and the suffix.

    Args:
        images: in the order of the result.
        masks: in any order.
        homes: the folders of images and of masks; an image and its mask have the same path below them.
        complete: whether each image needs a mask even if there are no masks at all.

    Returns:
        Every image with its mask, None for none; and the problems, one line each: images or masks without the other,
        and names that are not one to one.
    """
    images_by_key = _grouped({path: _key(path, path.stem, homes[0]) for path in images})
    masks_by_key = _grouped({path: _key(path, _MASK.sub("", path.stem), homes[1]) for path in masks})
    problems = [
        f"{_listed(paths)}: several masks for one image; keep one" for paths in masks_by_key.values() if len(paths) > 1
    ]
    unmasked: list[Path] = []
    for key, paths in images_by_key.items():
        if key not in masks_by_key:
            unmasked += paths
        elif len(paths) > 1:
            mask = masks_by_key[key][0]
            problems.append(f"{_listed(paths)}: images for the one mask {mask}; give each image a name of its own")
    unmasked_by_key = {_lower(_key(path, path.stem, homes[0])): path for path in unmasked}
    for key in sorted(masks_by_key.keys() - images_by_key.keys()):
        other = unmasked_by_key.get(_lower(key))
        hint = f"; {other} differs in upper and lower case, give both one name" if other else ""
        problems.append(f"{masks_by_key[key][0]}: mask without image{hint}")
    if masks or complete:
        problems += [f"{path}: image without mask" for path in unmasked]
    pairs: dict[Path, Path | None] = dict.fromkeys(images)
    for key in images_by_key.keys() & masks_by_key.keys():
        pairs |= dict.fromkeys(images_by_key[key], masks_by_key[key][0])
    return pairs, problems


def _grouped(keys: Mapping[Path, _Key]) -> dict[_Key, list[Path]]:
    """Return the paths of each key, in order."""
    groups: dict[_Key, list[Path]] = defaultdict(list)
    for path, key in keys.items():
        groups[key].append(path)
    return groups


def _key(path: Path, name: str, home: Path) -> _Key:
    return (*path.parent.relative_to(home).parts, name)


def _lower(key: _Key) -> _Key:
    return tuple(part.casefold() for part in key)


def _listed(paths: Sequence[Path]) -> str:
    return " and ".join(map(str, paths))
