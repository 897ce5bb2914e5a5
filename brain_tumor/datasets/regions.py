"""What the values of masks mean: labels, and the regions made of them that are segmented and scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_VALUES = 256  # of a mask, uint8


@dataclass(frozen=True)
class Regions:
    """Name the labels of masks, and the regions that are made of them.

    Attributes:
        labels: the value of each label by its name, without the background's 0.
        members: the values of each region's labels by the region's name.
        written: the value that stands for each region in a written mask: regions are written in their order, and later
            ones over earlier ones.
        ignore: the value of pixels that nobody has labelled, which neither train nor score; None for none.

    Raises:
        ValueError: a value is out of range, or a region has no label.
    """

    labels: Mapping[str, int]
    members: Mapping[str, tuple[int, ...]]
    written: tuple[int, ...]
    ignore: int | None = None

    def __post_init__(self) -> None:
        for name, values in self.members.items():
            if not values or not set(values) <= set(self.labels.values()):
                known = ", ".join(f"{value} ({label})" for label, value in self.labels.items())
                raise ValueError(f"region '{name}' is made of {list(values)}; the labels are {known}")
        for name, value in {**self.labels, **({} if self.ignore is None else {"ignore": self.ignore})}.items():
            if not 0 < value < _VALUES:
                raise ValueError(f"label '{name}' has the value {value}; labels lie between 1 and {_VALUES - 1}")
        if len(self.written) != len(self.members):
            raise ValueError(f"{len(self.members)} regions, and {len(self.written)} values to write them as")

    @classmethod
    def of_labels(cls, labels: Mapping[str, int], ignore: int | None = None) -> "Regions":
        """Make each label a region of its own."""
        members = {name: (value,) for name, value in labels.items()}
        return cls(dict(labels), members, tuple(labels.values()), ignore)

    @classmethod
    def of(cls, plain: Mapping[str, Any] | None) -> "Regions":
        """Make them of the plain values of `plain`; None for the one region of a binary mask."""
        if plain is None:
            return BINARY
        members = {str(name): tuple(values) for name, values in plain["regions"].items()}
        return cls(dict(plain["values"]), members, tuple(plain["written"]), plain["ignore"])

    def plain(self) -> dict[str, Any] | None:
        """Return plain values for records; None for the one region of a binary mask, which needs no words."""
        if self == BINARY:
            return None
        regions = {name: list(values) for name, values in self.members.items()}
        return {
            "values": dict(self.labels), "regions": regions, "written": list(self.written), "ignore": self.ignore
        }  # fmt: skip

    def choose(self, asked: Mapping[str, Sequence[int | str] | int | str]) -> "Regions":
        """Return other regions of the same labels.

        Args:
            asked: labels by the region's name, each by its value or its name.

        Raises:
            ValueError: a region names no label, or regions cannot be told apart in a written mask.
        """
        members = {}
        for name, given in asked.items():
            several = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
            members[str(name)] = tuple(self._value(str(name), label) for label in several)
        # The largest first, so that smaller ones, which lie in them, are written over them.
        ordered = dict(sorted(members.items(), key=lambda item: -len(item[1])))
        return Regions(self.labels, ordered, _written(list(ordered.values())), self.ignore)

    def _value(self, region: str, label: int | str) -> int:
        value = self.labels.get(label, 0) if isinstance(label, str) else label
        if value not in self.labels.values():
            known = ", ".join(f"{value} ({name})" for name, value in self.labels.items())
            raise ValueError(f"data.regions.{region}: there is no label {label}; the labels are {known}")
        return value

    def refuse_unknown(self, values: NDArray[np.uint8], path: Path) -> None:
        """Refuse masks with values that nobody has declared.

        Raises:
            ValueError: there are some; the message names the file.
        """
        counts = np.bincount(values.ravel(), minlength=_VALUES)
        if unknown := np.flatnonzero((counts > 0) & ~self.known).tolist():
            shown = ", ".join(f"{value} ({counts[value]:,} voxels)" for value in unknown)
            declared = ", ".join(f"{value} {name}" for name, value in self.labels.items())
            raise ValueError(f"{path}: has the label {shown}; declared are {declared}")

    @property
    def names(self) -> list[str]:
        """The regions' names."""
        return list(self.members)

    @property
    def exclusive(self) -> bool:
        """Whether no pixel can be in two regions."""
        values = [value for members in self.members.values() for value in members]
        return len(values) == len(set(values))

    @property
    def depth(self) -> int:
        """How many bits a pixel's value takes."""
        return max(*self.labels.values(), self.ignore or 0, 1).bit_length()

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which values masks may have, bool (256,)."""
        known = np.zeros(_VALUES, bool)
        known[[0, *self.labels.values(), *([] if self.ignore is None else [self.ignore])]] = True
        return known

    @property
    def table(self) -> NDArray[np.bool_]:
        """Which values lie in which region, bool (256, regions)."""
        table = np.zeros((_VALUES, len(self.members)), bool)
        for place, values in enumerate(self.members.values()):
            table[list(values), place] = True
        return table

    @property
    def foreground(self) -> NDArray[np.bool_]:
        """Which values are labels, whatever regions are made of them, bool (256,)."""
        foreground = np.zeros(_VALUES, bool)
        foreground[list(self.labels.values())] = True
        return foreground

    @property
    def tumour(self) -> NDArray[np.bool_]:
        """Which values lie in any region, bool (256,)."""
        return np.asarray(self.table.any(1))

    def decide(self, maps: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Make masks of labels from the regions' probabilities, which are thresholded at .5.

        Where regions exclude each other, the most probable one wins over the background, which has the rest.

        Args:
            maps: float32 (..., regions, H, W).

        Returns:
            uint8 (..., H, W).
        """
        masks = np.zeros((*maps.shape[:-3], *maps.shape[-2:]), np.uint8)
        if self.exclusive and len(self.members) > 1:
            rest = 1 - maps.sum(-3)
            winner, most = maps.argmax(-3), maps.max(-3)
            masks[...] = np.where(most >= rest, np.array(self.written, np.uint8)[winner], 0)
            return masks
        for place, value in enumerate(self.written):
            masks[maps[..., place, :, :] >= 0.5] = value
        return masks


def _written(members: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Choose the value that stands for each region: one of its labels that is in no later region.

    Raises:
        ValueError: there is none.
    """
    written = []
    for place, values in enumerate(members):
        later = {value for others in members[place + 1 :] for value in others}
        own = [value for value in values if value not in later]
        if not own:
            raise ValueError(
                f"data.regions: the region of the labels {list(values)} has none that smaller regions lack, so that a "
                "mask of labels cannot show it"
            )
        written.append(own[0])
    return tuple(written)


BINARY = Regions.of_labels({"tumour": 1})
