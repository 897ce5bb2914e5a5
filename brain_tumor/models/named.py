"""Pretrained models by name: where their files are, and what is known of them.

`models.csv` lists them. A file counts only with the SHA-256 that stands there.
"""

import csv
import hashlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from brain_tumor.io import download

TABLE = Path(__file__).with_name("models.csv")
FOLDER = Path(__file__).with_name("pretrained")
FOLDERS, MIRROR, CACHE = "BRAIN_TUMOR_MODELS", "BRAIN_TUMOR_MIRROR", "BRAIN_TUMOR_CACHE"
# What predicts where no run is given (docs/pretrained.md): roles as in `predict`, and its key `keep_from`.
# .935 is .99 before calibration (docs/recipe.md, "Whom to believe").
CHAIN = {"run": "lgg-localizer", "detector": "lgg-detector", "keep_from": 0.935}
TYPES = "cheng-types"  # also, where T1 after contrast is given


class NamedModel(NamedTuple):
    """A line of `models.csv`.

    Attributes:
        name: what `run=` calls it.
        task: "segmentation" or "classification".
        data: the data set that it was trained on, and how many patients.
        channels: the sequences that it sees.
        file: the name of its file, an ONNX file of `export`; the card lies beside it, as .md.
        bytes: of the file.
        sha256: of the file, hexadecimal.
        licence: of the model, which is that of the data.
        expected: how good models like it were on patients whom they had not seen.
        start: the weights that its training started from.
    """

    name: str
    task: str
    data: str
    channels: str
    file: str
    bytes: int
    sha256: str
    licence: str
    expected: str
    start: str


@cache
def models() -> Mapping[str, NamedModel]:
    """Return the models by name."""
    with TABLE.open(newline="", encoding="utf-8") as lines:
        rows = [{**row, "bytes": int(row["bytes"])} for row in csv.DictReader(lines)]
    return {model.name: model for model in (NamedModel(**row) for row in rows)}  # type: ignore[arg-type]


def places(model: NamedModel) -> list[Path]:
    """Return where a model's file may be, in the order of preference: $BRAIN_TUMOR_MODELS, the package, the cache."""
    given = os.environ.get(FOLDERS)
    cache = Path(os.environ.get(CACHE) or "~/.cache/brain_tumor").expanduser() / "models"
    return [folder / model.file for folder in (*([Path(given).expanduser()] if given else []), FOLDER, cache)]


def find(name: str) -> Path:
    """Return the file of a model; download it into the cache if it is nowhere here.

    Raises:
        ValueError: there is no such model, its file is damaged, or it cannot be downloaded.
    """
    model = models()[name]
    candidates = places(model)
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        path = _download(model, candidates[-1].parent)
    _require_content(model, path)
    return path


def _download(model: NamedModel, folder: Path) -> Path:
    """Download a model's file from the mirror.

    Raises:
        ValueError: there is no mirror, it cannot be reached, or the folder cannot be written.
    """
    by_hand = f"put {model.file} into {folder}, or name its folder by {FOLDERS}"
    mirror = os.environ.get(MIRROR)
    if not mirror:
        raise ValueError(
            f"{model.name}: {model.file} did not come with this installation, and {MIRROR} names no server; {by_hand}"
        )
    remote = download.Remote(
        f"{mirror.rstrip('/')}/{model.file}", model.file, "models.csv", "sha256", model.sha256, model.bytes
    )
    try:
        return download.file(remote, folder)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{model.name}: cannot be downloaded ({reason}); {by_hand}") from error


def _require_content(model: NamedModel, path: Path) -> None:
    """Refuse a file that is not the listed one.

    Raises:
        ValueError: it has another size or SHA-256, or cannot be read.
    """
    try:
        size = path.stat().st_size
        if size != model.bytes:
            raise ValueError(f"{path}: has {size} bytes, {model.name} has {model.bytes}; delete it to get it again")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    if digest != model.sha256:
        raise ValueError(f"{path}: is not {model.name}, its SHA-256 is {digest}; delete it to get it again")
