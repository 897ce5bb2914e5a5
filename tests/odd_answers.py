"""What `predict` itself answers to a disguise, by a network that marks what is bright, and what is wrong with that."""

import contextlib
import functools
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from omegaconf import OmegaConf
from PIL import Image

from brain_tumor import predict
from brain_tumor.config import errors, typed
from brain_tumor.datasets.regions import BINARY
from brain_tumor.inference import opening
from brain_tumor.inference.base import Outputs
from brain_tumor.scans.fitted import Fitted
from tests.odd import LESION, Array, Disguise, Given, Head, nib

_DARK, _BRIGHT = 40, 180  # of 255: air is below, a lesion above
_SIZE = 64  # side of the network's pictures
_CLOSE = (0.01, 0.03, 0.03, 0.6)  # how far what is seen may be off, as `_look` has it


class Exact:
    """A trained run, as `predict` opens one, that marks what is bright; also its own network.

    Attributes:
        seen: the pictures that it was shown, (n, H, W) a batch; a volume is one.
    """

    name, dataset, sequences, skull, crop, size, batch = "exact", "folder", (), None, None, _SIZE, 64
    threshold, threshold_origin, intensities = 0.5, "default", "file"
    neighbours, neighbour_mm, components, scaling, plane, regions = 0, None, 0.0, None, "axial", BINARY

    def __init__(
        self,
        task: str = "segmentation",
        classes: Sequence[str] = ("no tumour", "tumour"),
        positive: str | None = "tumour",
    ) -> None:
        self.task, self.classes, self.positive = task, list(classes), positive
        self.temperatures: dict[str, float] = {}
        self.seen: list[Array] = []

    def digest(self) -> str:
        return "0" * 64

    def versions(self) -> dict[str, str]:
        return {}

    def network(self) -> "Exact":
        return self

    def __call__(self, fitted: Fitted) -> Outputs:
        grey = fitted.images.mean(-1)
        self.seen.append(grey)
        maps = (grey > _BRIGHT).astype(np.float32)
        chance = maps.any((1, 2)).astype(float)
        place = self.classes.index(self.positive) if self.positive else 1
        chances = np.stack([chance if place == 0 else 1 - chance, 1 - chance if place == 0 else chance], -1)
        return Outputs(chances, maps if self.task == "segmentation" else None, np.full(len(grey), np.nan))

    def explain(self, fitted: Fitted, target: int) -> NDArray[np.float32] | None:
        return None


@dataclass
class Answer:
    """What `predict` answers.

    Attributes:
        cases: its table of cases, all texts; empty after an error.
        slices: its table of slices, likewise.
        folder: where it wrote.
        seen: what the network was shown, (n, H, W).
        words: all that it said: printed, warned of, gave as reasons.
    """

    cases: pd.DataFrame
    slices: pd.DataFrame
    folder: Path
    seen: Array
    words: str

    @property
    def good(self) -> pd.DataFrame:
        """The cases that have an answer."""
        return self.cases[self.cases["status"] == "ok"]

    @property
    def brief(self) -> str:
        """The words in a line."""
        return " | ".join(line.strip() for line in self.words.splitlines() if line.strip())[:600]


def ask(given: Given, folder: Path, run: Exact | None = None) -> Answer:
    """Let `predict` answer in a folder as from the command line; what a user can mend becomes words."""
    run, output, printed = run or Exact(), folder / given.output, io.StringIO()
    config = {**_configuration(), "run": "exact", "output_dir": given.output, "overlays": False}
    if given.study:
        config |= {"study": given.study, "sequences": {**config["sequences"], **given.sequences}}
    else:
        config |= {"sequences": given.sequences} if given.sequences else {"input": given.input}
    config |= given.settings
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(warnings.catch_warnings(action="ignore"))  # of odd files, as the command has it
        stack.enter_context(patch.object(opening, "open_run", lambda *_: run))
        stack.enter_context(contextlib.redirect_stdout(printed))
        stack.enter_context(contextlib.redirect_stderr(printed))
        try:
            predict.predict(config)
        except (ValueError, OSError) as error:
            print(f"error: {errors.one_line(error)}")
    cases, slices = (_table(output / name) for name in ("cases.csv", "slices.csv"))
    words = [printed.getvalue(), *(cases[name].str.cat(sep="\n") for name in ("warnings", "reason"))]
    seen = np.concatenate([np.empty((0, run.size, run.size)), *run.seen])
    return Answer(cases, slices, output, seen, "\n".join(words))


@functools.cache
def _configuration() -> dict[str, Any]:
    """Return what the command is given by default."""
    file: Any = OmegaConf.to_container(OmegaConf.load(Path(typed.CONF) / "predict.yaml"))
    return {name: value for name, value in file.items() if name not in {"hydra", "defaults"}}


def _table(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, dtype=str, keep_default_na=False) if path.exists() else pd.DataFrame()
    columns = ["case", "status", "reason", "warnings", "source", "slices", "volume_ml", "p_max"]
    return table.reindex(columns=list(dict.fromkeys([*columns, *table])), fill_value="")


def check(disguise: Disguise, folder: Path) -> list[str]:
    """Write a disguise, let `predict` answer, and return what is wrong with that, a line each."""
    files = folder / "in"
    files.mkdir()
    with warnings.catch_warnings(action="ignore"):  # of what is odd about them
        given = disguise.write(files, disguise.head) or Given()
    answer = ask(given, files)
    expected, head = disguise.expected, given.head or disguise.head
    said = bool(re.search(expected.words, answer.words))
    failed = answer.cases[answer.cases["status"] != "ok"]
    wrong = [] if failed["source"].all() else ["does not name a failed case's file"]
    if expected.kind in {"right with", "warned", "refused"} and not said:
        wrong.append(f"does not say {expected.words!r}: {answer.brief}")
    if expected.kind == "refused":
        return wrong + [f"an answer: {answer.brief}"] * len(answer.good[:1])
    if expected.kind == "warned" or (expected.kind == "right or" and said):
        return wrong
    wrong += _faults(answer, head)[:3]
    if expected.kind == "right":
        wrong += [f"failed: {reason}" for reason in failed["reason"]]
        wrong += [f"doubts: {doubt}" for doubt in answer.good["warnings"] if doubt]
    if expected.kind != "right with" and len(answer.good) != disguise.cases:
        wrong.append(f"{len(answer.good)} cases for {disguise.cases}: {answer.brief}")
    return wrong


def _faults(answer: Answer, head: Head) -> list[str]:
    """Say what is wrong with the answers that were given."""
    faults: list[str] = []
    good = answer.good
    shown = np.array_split(answer.seen, len(good)) if len(good) else []
    for (_, row), images in zip(good.iterrows(), shown, strict=True):
        rows = answer.slices[answer.slices["case"] == row["case"]]
        # What an earlier call has answered is not looked at again.
        if not len(rows) == int(row["slices"]) == (len(images) or len(rows)) == len(head.slices):
            faults.append(f"{row['case']}: {row['slices']} slices for {len(head.slices)}")
            continue
        off = _look(images) - _look(head.slices, head.pixel) if len(images) else np.zeros(4)
        if not (abs(off) < _CLOSE).all():
            names = ("share of lesion", "column", "row", "slice")
            faults.append(f"{row['case']}: looks wrong, off by {dict(zip(names, off.round(2).tolist(), strict=True))}")
        if float(row["p_max"]) != 1:
            faults.append(f"{row['case']}: p(tumour) {row['p_max']}")
        path = answer.folder / "masks" / (f"{row['case']}_mask.png" if head.affine is None else f"{row['case']}.nii.gz")
        if not path.exists():
            faults.append(f"{row['case']}: has no {path.name}")
            continue
        flaws = _flat(path, head) if head.affine is None else _solid(path, row, rows, head)
        faults += [f"{row['case']}: {flaw}" for flaw in flaws]
    return faults


def _look(images: Array, pixel: tuple[float, float] = (1, 1)) -> Array:
    """Return how much of a head is lesion, how far this lies to the right and below of its middle, and in which slice.

    These are shares of the head's extent, whatever the size of a pixel.
    """
    head, lesion = images > _DARK, images > _BRIGHT
    if not lesion.any():
        return np.full(4, np.inf)
    (slice_, row, column), middle = np.argwhere(lesion).mean(0), np.argwhere(head).mean(0)
    extent = (head.sum() / len(images) * pixel[0] * pixel[1]) ** 0.5
    right, down = (column - middle[2]) * pixel[1] / extent, (row - middle[1]) * pixel[0] / extent
    return np.array([lesion.sum() / head.sum(), right, down, slice_])


def _solid(path: Path, row: "pd.Series[Any]", rows: pd.DataFrame, head: Head) -> list[str]:
    """Say what is wrong with a volume's mask, its millilitres and its place."""
    flaws = []
    if row["volume_ml"] == "" and not row["warnings"]:
        flaws.append("no millilitres, and nobody says why")
    if row["volume_ml"] and not np.isclose(float(row["volume_ml"]), head.millilitres, rtol=0.05):
        flaws.append(f"{float(row['volume_ml']):.2f} ml for {head.millilitres:.2f}")
    image = nib.load(path)
    unit = {"micron": 0.001, "meter": 1000}.get(image.header.get_xyzt_units()[0], 1)
    values = np.asarray(image.dataobj).reshape(image.shape[:3]) * float(LESION)
    mask = Head(values, np.diag([unit] * 3 + [1]) @ image.affine)
    size, right = (int(own.lesion.sum()) if row["volume_ml"] == "" else own.millilitres for own in (mask, head))
    if not np.isclose(size, right, rtol=0.05):
        flaws.append(f"a mask of {size:.2f} {'voxels' if row['volume_ml'] == '' else 'ml'} for {right:.2f}")
    elif (off := float(np.linalg.norm(mask.centre - head.centre))) > 2:
        flaws.append(f"its mask is {off:.1f} mm away")
    if (off := float(np.abs(rows["position_mm"].astype(float) - head.heights).max())) > 1:
        flaws.append(f"positions are {off:.1f} mm off")
    return flaws


def _flat(path: Path, head: Head) -> list[str]:
    """Say what is wrong with a picture's mask."""
    with Image.open(path) as image:
        mask, lesion = np.asarray(image) > 0, head.picture > _BRIGHT
    if mask.shape != lesion.shape:
        return [f"a mask of {mask.shape} for {lesion.shape}"]
    share = (mask & lesion).sum() / (mask | lesion).sum()
    return [] if share > 0.9 else [f"its mask and the lesion have {share:.0%} in common"]
