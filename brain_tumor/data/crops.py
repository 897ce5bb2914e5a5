"""Crop slices to the tumour, by the true masks or by those of finished runs that localize it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.io import run_lengths, tables
from brain_tumor.runs import leakage

CROPS = ("none", "tumour")
Box = tuple[int, int, int, int]  # top, left, bottom and right, the last two excluded


@dataclass(frozen=True)
class Predicted:
    """What runs predict for the slices that they were tested on, of patients whom they were not trained on.

    Attributes:
        masks: run lengths of a slice's predicted mask, by path; a run without masks adds none.
        flagged: whether a run calls a slice positive, by path.
        trained: names of the patients whom any of these runs was trained on.
    """

    masks: dict[str, str] = field(default_factory=dict)
    flagged: dict[str, bool] = field(default_factory=dict)
    trained: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Crop:
    """Cut out the tumour's surroundings: a square around its mask.

    Args:
        margin: width added on each side, as a share of the mask's longer side.
        predicted: run lengths of masks that replace the true ones, by the path of the slice.
    """

    margin: float
    predicted: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Identifies the crop: two crops of the same files with one key are equal."""
        content = hashlib.sha256(repr(sorted(self.predicted.items())).encode()).hexdigest()[:16]
        return f"crop {self.margin} {content if self.predicted else ''}".strip()

    def cut(
        self, path: str, image: NDArray[np.uint8], mask: NDArray[np.uint8] | None
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Crop an image (H, W, 3) and its mask (H, W); return both whole where the deciding mask is empty.

        Raises:
            ValueError: there is neither a predicted nor a true mask.
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


def around(margin: float, masks: str | Sequence[str] | None, predicted: Predicted, paths: Iterable[str]) -> Crop:
    """Return the crop around the tumours of slices, by predicted masks where there are any.

    Args:
        margin: as for `Crop`.
        masks: the setting that `predicted` was read from; None for the true masks everywhere.
        predicted: what the runs in `masks` predict.
        paths: the slices; predictions for others are left out.

    Raises:
        ValueError: the runs predict no masks.
    """
    if masks is not None and not predicted.masks:
        raise ValueError(f"data.masks={masks}: predicts no masks; data.crop=tumour needs a localizer's run")
    return Crop(margin, {path: predicted.masks[path] for path in paths if path in predicted.masks})


def box_of_mask(mask: NDArray[np.uint8]) -> Box | None:
    """Return the bounding box of a mask (H, W); None for an empty one."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1) if len(rows) else None


def box_of_run_lengths(text: str, height: int, width: int) -> Box | None:
    """Return the bounding box of a mask in run lengths (see `run_lengths.from_kaggle`); None for an empty one.

    Raises:
        ValueError: the text holds no run lengths, or those of a larger mask.
    """
    return box_of_mask(run_lengths.from_kaggle(text, height, width))


def widen(box: Box, margin: float, height: int, width: int) -> Box:
    """Make a box a square with a margin around it, cut off at the image's border.

    Args:
        box: in pixels.
        margin: width added on each side, as a share of the longer side.
        height: of the image, in pixels.
        width: likewise.
    """
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
    """Return 16 hexadecimal digits that identify the predictions of runs; "" without runs, or if one is missing.

    Args:
        masks: as for `read_runs`; None for no runs.
    """
    content = hashlib.sha256()
    for text in [masks] if isinstance(masks, str) else masks or []:
        path = Path(str(text).partition(":")[2]).expanduser() / "predictions.csv"
        if not path.is_file():
            return ""
        content.update(path.read_bytes())
    return content.hexdigest()[:16] if masks else ""


def read_runs(masks: str | Sequence[str]) -> Predicted:
    """Read what runs predict for the slices that they were tested on.

    Predictions for a patient whom the run, or one it started from, was trained on do not count.

    Args:
        masks: "run:FOLDER", or several.

    Raises:
        ValueError: the text has another form, or a folder holds no finished run that finds tumours.
    """
    predicted = Predicted()
    for text in [masks] if isinstance(masks, str) else masks:
        prefix, _, folder = str(text).partition(":")
        if prefix != "run" or not folder:
            raise ValueError(f"data.masks={text}: write run:FOLDER, a finished run that finds tumours, or several")
        _add_run(predicted, Path(folder).expanduser())
    return predicted


def _add_run(predicted: Predicted, folder: Path) -> None:
    try:
        predictions, seen = tables.read_csv(folder / "predictions.csv"), leakage.trained_on(folder)
    except ValueError as error:
        raise ValueError(f"data.masks=run:{folder}: no finished run there ({' '.join(str(error).split())})") from error
    trained = set(seen["case"]) - {""}
    predicted.trained.update(trained)
    honest = predictions[~predictions["case"].isin(trained)]
    if "run_lengths" in honest:
        texts = dict(zip(honest["path"], honest["run_lengths"], strict=True))
        predicted.masks.update(texts)
        predicted.flagged.update({path: bool(text) for path, text in texts.items()})
    elif "p(tumour)" in honest:
        predicted.flagged.update(dict(zip(honest["path"], honest["p(tumour)"] >= 0.5, strict=True)))
    else:
        raise ValueError(f"data.masks=run:{folder}: finds no tumours; give a localizer's run, or a detector's")


def require_tested(predicted: Predicted, tested: pd.DataFrame) -> None:
    """Refuse runs that were not tested on every slice that is tested here.

    Args:
        predicted: what the runs predict.
        tested: slices, with the columns `path` and `case`.

    Raises:
        ValueError: the runs were trained on one of these slices, or have no prediction for it.
    """
    missing = tested[~tested["path"].isin(list(predicted.flagged))]
    if not len(missing):
        return
    known = missing["case"].isin(predicted.trained)
    names = sorted(set(missing["case"][known] if known.any() else missing["path"]))
    what = "was trained on patients who are tested here" if known.any() else "predicts nothing for slices tested here"
    raise ValueError(
        f"data.masks: {what}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}. "
        "Give the runs of all folds, data.masks=[run:FOLDER0,run:FOLDER1,...], so that one has tested each"
    )
