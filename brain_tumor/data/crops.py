"""Where the tumour is, as runs that localize it said: which slices have one, and what is cut out of them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

CROPS = ("none", "tumour")
Box = tuple[int, int, int, int]  # top, left, bottom and right, the last two excluded


@dataclass(frozen=True)
class Predicted:
    """What runs said of slices that they were tested on, and of whose patients they had seen nothing.

    Attributes:
        masks: run lengths of a slice's predicted mask, by path; absent where a run has no masks.
        marked: whether a slice has a tumour, by path.
        trained: names of the patients that some of these runs were trained on.
    """

    masks: dict[str, str] = field(default_factory=dict)
    marked: dict[str, bool] = field(default_factory=dict)
    trained: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Crop:
    """The tumour's surroundings: a square around its mask.

    Args:
        margin: what is added on each side, as a share of the mask's longer side.
        predicted: run lengths of masks that stand in for the true ones, by the path of the slice.
    """

    margin: float
    predicted: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What tells crops of the same files apart."""
        content = hashlib.sha256(repr(sorted(self.predicted.items())).encode()).hexdigest()[:16]
        return f"crop {self.margin} {content if self.predicted else ''}".strip()

    def cut(
        self, path: str, image: NDArray[np.uint8], mask: NDArray[np.uint8] | None
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Cut the surroundings out of an image (H, W, 3) and its mask (H, W); all of it where no tumour is marked.

        Raises:
            ValueError: neither a run nor the data says where the tumour is.
        """
        height, width = image.shape[:2]
        if path in self.predicted:
            box = box_of_run_lengths(self.predicted[path], height, width)
        elif mask is not None:
            box = box_of_mask(mask)
        else:
            raise ValueError(f"{path}: has no mask; data.crop=tumour needs data with masks, or data.masks=run:FOLDER")
        top, left, bottom, right = widen(box, self.margin, height, width) if box else (0, 0, height, width)
        return image[top:bottom, left:right], None if mask is None else mask[top:bottom, left:right]


def box_of_mask(mask: NDArray[np.uint8]) -> Box | None:
    """Return what a mask (H, W) spans; None for an empty one."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1) if len(rows) else None


def box_of_run_lengths(text: str, height: int, width: int) -> Box | None:
    """Return what a mask spans that is written as Kaggle's run lengths: from 1, column after column.

    Raises:
        ValueError: no run lengths, or of a larger mask.
    """
    try:
        numbers = np.array(text.split(), dtype=np.int64).reshape(-1, 2)
    except ValueError as error:
        raise ValueError(f"{text[:40]!r}: run lengths are pairs of a start, from 1, and a length") from error
    if not len(numbers):
        return None
    first, last = numbers[:, 0] - 1, numbers.sum(1) - 2
    if first.min() < 0 or (last < first).any() or last.max() >= height * width:
        raise ValueError(f"{text[:40]!r}: runs leave a mask of {height} x {width}")
    columns = first // height, last // height
    if (columns[0] != columns[1]).any():  # a run goes on in the next column, from its top
        return 0, int(columns[0].min()), height, int(columns[1].max()) + 1
    top, bottom = (first % height).min(), (last % height).max()
    return int(top), int(columns[0].min()), int(bottom) + 1, int(columns[1].max()) + 1


def widen(box: Box, margin: float, height: int, width: int) -> Box:
    """Make a box a square with a margin around it, as far as the picture goes."""
    top, left, bottom, right = box
    half = max(bottom - top, right - left) * (0.5 + margin)
    middle_row, middle_column = (top + bottom) / 2, (left + right) / 2
    return (
        max(0, round(middle_row - half)),
        max(0, round(middle_column - half)),
        min(height, round(middle_row + half)),
        min(width, round(middle_column + half)),
    )


def identify(masks: str | Sequence[str] | None) -> str:
    """Identify what runs said, as `read` takes them: 16 hexadecimal digits; "" for none, or where one is not there."""
    content = hashlib.sha256()
    for text in [masks] if isinstance(masks, str) else masks or []:
        path = Path(str(text).partition(":")[2]).expanduser() / "predictions.csv"
        if not path.is_file():
            return ""
        content.update(path.read_bytes())
    return content.hexdigest()[:16] if masks else ""


def read(masks: str | Sequence[str]) -> Predicted:
    """Read what runs said of the slices that they were tested on.

    Of a patient that a run was trained on, its answer does not count.

    Args:
        masks: "run:FOLDER", or several.

    Raises:
        ValueError: another form, or a folder that holds no finished run that finds tumours.
    """
    found = Predicted()
    for text in [masks] if isinstance(masks, str) else masks:
        kind, _, folder = str(text).partition(":")
        if kind != "run" or not folder:
            raise ValueError(f"data.masks={text}: write run:FOLDER, a finished run that finds tumours, or several")
        _add(found, Path(folder).expanduser())
    return found


def _add(found: Predicted, folder: Path) -> None:
    names = dict.fromkeys(("path", "case", "part", "run_lengths"), str)
    try:
        predictions, split = (
            pd.read_csv(folder / name, dtype=names, keep_default_na=False) for name in ("predictions.csv", "split.csv")
        )
    except (OSError, ValueError) as error:
        raise ValueError(f"data.masks=run:{folder}: no finished run there ({' '.join(str(error).split())})") from error
    trained = set(split["case"][split["part"].isin(["train", "val"])]) - {""}
    found.trained.update(trained)
    honest = predictions[~predictions["case"].isin(trained)]
    if "run_lengths" in honest:
        texts = dict(zip(honest["path"], honest["run_lengths"], strict=True))
        found.masks.update(texts)
        found.marked.update({path: bool(text) for path, text in texts.items()})
    elif "p(tumour)" in honest:
        found.marked.update(dict(zip(honest["path"], honest["p(tumour)"].astype(float) >= 0.5, strict=True)))
    else:
        raise ValueError(f"data.masks=run:{folder}: finds no tumours; give a localizer's run, or a detector's")


def require(predicted: Predicted, tested: pd.DataFrame) -> None:
    """Refuse runs that have not been tested on everything that is tested here.

    Args:
        predicted: what they said.
        tested: slices, with the columns `path` and `case`.

    Raises:
        ValueError: they were trained on it, or say nothing of it.
    """
    missing = tested[~tested["path"].isin(list(predicted.marked))]
    if not len(missing):
        return
    known = missing["case"].isin(predicted.trained)
    names = sorted(set(missing["case"][known] if known.any() else missing["path"]))
    what = "was trained on patients who are tested here" if known.any() else "says nothing of slices tested here"
    raise ValueError(
        f"data.masks: {what}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}. "
        "Give the runs of all folds, data.masks=[run:FOLDER0,run:FOLDER1,...], so that one has tested each"
    )
