"""Read dataset.json as nnU-Net's versions 1 and 2 and the Medical Segmentation Decathlon (MSD) write it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brain_tumor.datasets.regions import Regions
from brain_tumor.io import tables
from brain_tumor.scans.nifti import MOST_CHANNELS

# Our names of sequences by common ones.
_SEQUENCES = {
    "t1": "t1", "t1w": "t1", "t1n": "t1", "t1gd": "t1ce", "t1c": "t1ce", "t1ce": "t1ce", "t1wce": "t1ce",
    "t1-gd": "t1ce", "t1post": "t1ce", "t2": "t2", "t2w": "t2", "flair": "flair", "t2f": "flair", "t2-flair": "flair",
    "t2flair": "flair",
}  # fmt: skip
_IGNORE = "ignore"
_ANY = Regions.of_labels({f"label {value}": value for value in range(1, 256)})


@dataclass(frozen=True)
class Description:
    """What dataset.json declares.

    Attributes:
        sequences: what the channels show, in their order.
        regions: what the labels mean.
        ending: of all its files, such as ".nii.gz".
        numbered: whether it is of version 2, where each channel has a file of its own: CASE_0000, CASE_0001, ...
        count: how many training cases it names; None for none.
        files: the images and the label of each case, where it lists them; {} for none.
        problems: what is wrong in it, one line each.
    """

    sequences: tuple[str, ...]
    regions: Regions
    ending: str
    numbered: bool
    count: int | None
    files: Mapping[str, tuple[tuple[Path, ...], Path]]
    problems: list[str]


def read(path: Path) -> Description:
    """Read a dataset.json.

    Raises:
        ValueError: it is missing, damaged, or lacks what nothing can be read without.
    """
    if not path.is_file():
        raise ValueError(f"data.root={path.parent}: has no dataset.json. Give the folder that holds it")
    content = tables.read_json(path)
    channels = content.get("channel_names", content.get("modality"))
    if not isinstance(channels, Mapping) or not channels:
        raise ValueError(f"{path}: names no channels (channel_names, or modality)")
    problems: list[str] = []
    wanted = [str(place) for place in range(len(channels))]
    if sorted(map(str, channels)) != sorted(wanted):
        problems.append(f"{path}: its channels are numbered {', '.join(map(str, channels))}, not {', '.join(wanted)}")
    if len(channels) > MOST_CHANNELS:
        raise ValueError(f"{path}: has {len(channels)} channels, more than {MOST_CHANNELS}")
    names = [str(name) for _, name in sorted(channels.items(), key=lambda item: str(item[0]).zfill(4))]
    sequences = [sequence(name) for name in names]
    if len(set(sequences)) < len(sequences):
        problems.append(f"{path}: two channels have one name: {', '.join(names)}")
    regions = _ANY  # of a description without labels, none can be said to be wrong
    try:
        regions = _regions(content.get("labels"), content.get("regions_class_order"))
    except ValueError as error:
        problems.append(f"{path}: {error}")
    count = content.get("numTraining")
    return Description(
        tuple(sequences),
        regions,
        str(content.get("file_ending", ".nii.gz")),
        "channel_names" in content,
        count if isinstance(count, int) else None,
        _files(path.parent, content.get("dataset")),
        problems,
    )


def sequence(name: str) -> str:
    """Return our name of a channel: "flair" for "T2-FLAIR", "t1ce" for "t1gd", others in lower case."""
    plain = name.strip().lower()
    return _SEQUENCES.get(plain.replace(" ", "").replace("_", ""), plain.replace(" ", "_"))


def _regions(labels: Any, order: Any) -> Regions:
    """Make the regions of `labels`, either value by name or, as MSD has them, name by value.

    Raises:
        ValueError: a value is missing, no number, or means two things.
    """
    if not isinstance(labels, Mapping) or not labels:
        raise ValueError("names no labels")
    if all(str(key).isdigit() for key in labels):  # MSD
        labels = {str(name): int(key) for key, name in labels.items()}
    values: dict[str, list[int]] = {}
    for name, given in labels.items():
        several = given if isinstance(given, list) else [given]
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in several):
            raise ValueError(f"label '{name}' has the value {given}, which is no whole number")
        values[str(name)] = several
    background = [name for name, several in values.items() if several == [0]]
    if len(background) != 1:
        raise ValueError("needs one label of the value 0, the background")
    ignore = values.pop(_IGNORE, [None])[0]
    del values[background[0]]
    if not values:
        raise ValueError("names no label but the background")
    members = {name: tuple(several) for name, several in values.items()}
    every = sorted({value for several in members.values() for value in several})
    if all(len(several) == 1 for several in members.values()) and order is None:
        if len(every) < len(members):
            raise ValueError("two labels have one value")
        return Regions.of_labels({name: value for name, (value,) in members.items()}, ignore)
    if not isinstance(order, list) or len(order) != len(members):
        raise ValueError(f"has regions, which need a regions_class_order of {len(members)} values; it has {order}")
    named = {str(several[0]): name for name, several in members.items() if len(several) == 1}
    return Regions({named.get(str(value), f"label {value}"): value for value in every}, members, tuple(order), ignore)


def _files(root: Path, listed: Any) -> dict[str, tuple[tuple[Path, ...], Path]]:
    """Return the files that a `dataset` entry names, relative to its folder."""
    if not isinstance(listed, Mapping):
        return {}
    return {
        str(name): (tuple(root / image for image in entry["images"]), root / entry["label"])
        for name, entry in listed.items()
    }
