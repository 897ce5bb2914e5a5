"""Folders to train on, odd in their layouts, masks, names and leftovers; what must be counted in them is known.

A layout is a line in the table (`odd_layouts`), as a disguise is (see `tests.odd`). Both training's data and `verify`
look at it: what one refuses the other does not call sound.
"""

import contextlib
import copy
import functools
import io
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from brain_tumor import verify
from brain_tumor.config import errors, typed
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.folder import Folder
from brain_tumor.io import walk
from tests.conftest import data_of
from tests.odd import RIGHT, Array, Outcome
from tests.odd_pictures import UNDONE, deep_png, exif

Arrange = Callable[[Path], Any]
Save = Callable[[Path, Array], Any]  # of a picture, or of a mask of 0 and 1
_COUNT = 24
_Y, _X = np.mgrid[:64, :48]
LESION = ((_Y - 20) ** 2 + (_X - 30) ** 2 < 49).astype(np.uint8)
AREA = int(LESION.sum())


@dataclass(frozen=True)
class Layout:
    """A line of the table.

    Attributes:
        name: what it is called in tests.
        fault: the number of the fault that it belongs to; 0 for none.
        write: fills the folder.
        expected: what must come of it.
        counts: how many slices of each class there are.
        lesions: in how many of them a lesion is seen.
        positive: the class that means a tumour.
        area: of all masks together, in pixels; 0 without masks.
        patients: their names; nobody's by default.
        settings: of the data.
    """

    name: str
    fault: int
    write: Arrange
    expected: Outcome = RIGHT
    counts: Mapping[str, int] = field(default_factory=lambda: {"no": 12, "yes": 12})
    lesions: int = 12
    positive: str | None = "yes"
    area: int = 0
    patients: Sequence[str] = ("",)
    settings: Mapping[str, Any] = field(default_factory=dict)


def check(layout: Layout, folder: Path) -> list[str]:
    """Write a layout, let both look at it, and return what is wrong with what they say, a line each."""
    root, expected = folder / "in", layout.expected
    root.mkdir()
    settings = {"root": str(root), "cache_dir": str(folder / "cache"), "size": 64, "split": None, **layout.settings}
    with warnings.catch_warnings(action="ignore"):
        layout.write(root)
        sound, verified = _verify(settings)
        data, trained = data_of(Folder, transforms=Transforms(), **settings), ""
        try:
            data.prepare_data()
            data.setup()
        except (ValueError, OSError) as error:
            trained = f"error: {errors.one_line(error)}"
    said = bool(re.search(expected.words, f"{trained}\n{verified}"))
    if expected.kind == "refused":
        words = {"training": (not trained, trained), "verify": (sound, verified)}
        wrong = [f"{who} takes it" for who, (taken, _) in words.items() if taken]
        unsaid = {who: text for who, (_, text) in words.items() if not re.search(expected.words, text)}
        return wrong + [f"{who} does not say {expected.words!r}: {text}" for who, text in unsaid.items()]
    if expected.kind in {"right with", "warned"} and not said:
        return [f"nobody says {expected.words!r}: {trained} {verified}"]
    if expected.kind in {"right or", "warned"} and said:
        return []
    if trained:
        return [f"training refuses it: {trained}"]
    return _faults(layout, data) + [f"verify refuses it: {verified}"] * (not sound)


def _verify(settings: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether the command calls a folder sound, and its notes, problems or error."""
    config, printed, sound = copy.deepcopy(_configuration()), io.StringIO(), False
    for name, value in settings.items():
        OmegaConf.update(config, f"data.{name}", value)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            verify.main.__wrapped__(config)  # without Hydra, which takes its time
            sound = True
        except SystemExit:
            pass
        except (ValueError, OSError) as error:
            print(f"error: {errors.one_line(error)}")
    lines = printed.getvalue().splitlines()
    return sound, "\n".join(line for line in lines if line.startswith(("note", "problem", "error")))


@functools.cache
def _configuration() -> DictConfig:
    with initialize_config_dir(typed.CONF, version_base="1.3"):
        return compose("verify", ["data=folder", "data.root=.", "cache_dir=."])


def _faults(layout: Layout, data: SliceDataModule) -> list[str]:
    """Say what is wrong with data that is set up."""
    images, masks, facts = data.decoded.images, data.decoded.masks, data.decoded.facts
    rows = np.flatnonzero(facts["mask_digest"] != "")
    bright = images.mean(-1) > 180
    missed = 0 if masks is None else int(((masks > 0) & ~bright).sum())
    pairs = {
        "slices": (dict(Counter(data.classes[label] for label in data.table["label"])), dict(layout.counts)),
        "lesions": (int((bright.sum((1, 2)) > 50).sum()), layout.lesions),
        "positive": (data.positive, layout.positive),
        "area": (sum(int(data.decoded.original_mask(int(row)).sum()) for row in rows), layout.area),
        "patients": (sorted(set(data.table["case"])), sorted(layout.patients)),
    }
    wrong = [f"{title}: {value} for {right}" for title, (value, right) in pairs.items() if value != right]
    return wrong + [f"{missed} pixels of masks are not on their lesions"] * (missed > 0.1 * layout.area)


def draw(number: int, tumour: bool) -> Array:
    """Return a picture that no other is like, with a lesion or without: uint8 (64, 48)."""
    coarse = np.random.default_rng(number).integers(0, 90, (8, 6), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((48, 64), Image.Resampling.BICUBIC))
    image = np.where((_Y - 32) ** 2 / 900 + (_X - 24) ** 2 / 480 < 1, smooth + 30, 0).astype(np.uint8)
    image[(LESION & tumour) > 0] = 240
    image[0, 0] = 240  # whatever is scaled by its maximum is scaled alike
    return image


def plain(path: Path, pixels: Array) -> None:
    """Save pixels as they are."""
    Image.fromarray(pixels).save(path)


def white(path: Path, pixels: Array) -> None:
    """Save a mask of 0 and 255."""
    Image.fromarray(pixels * 255).save(path)


def changed(change: Callable[[Array], Array], **options: Any) -> Save:
    """Return what saves pixels after a change."""
    return lambda path, pixels: Image.fromarray(change(pixels)).save(path, **options)


def turned(orientation: int, factor: int = 1, **options: Any) -> Save:
    """Return what saves pixels so that a viewer turns them upright."""
    undone = UNDONE[orientation]
    return changed(lambda pixels: np.ascontiguousarray(undone(pixels)) * factor, exif=exif(orientation), **options)


def channels(*factors: int) -> Save:
    """Return what saves pixels times a factor in each channel."""
    return changed(lambda pixels: np.dstack([pixels * factor for factor in factors]).astype(np.uint8))


def one_hot(value: int) -> Save:
    """Return what saves a mask's left half in red, its right half in green."""
    left = _X < 30
    return changed(lambda mask: np.dstack([mask * left, mask * ~left, mask * 0]).astype(np.uint8) * value)


def deep(change: Callable[[Array], Array]) -> Save:
    """Return what saves a PNG of 16 bits a channel."""
    return lambda path, pixels: path.write_bytes(deep_png(change)(pixels))


def stack(kind: str, factor: int = 1) -> Save:
    """Return what saves three pages."""

    def save(path: Path, pixels: Array) -> None:
        pages = [Image.fromarray(pixels * factor // part).convert("RGB") for part in (1, 2, 3)]
        pages[0].save(path, kind, save_all=True, append_images=pages[1:])

    return save


def classes(
    *names: str | bytes,
    file: str | Callable[[int], str | bytes] = "{:03d}.png",
    save: Save = plain,
    first: int = 0,
    count: int = _COUNT,
    home: str = ".",
) -> Arrange:
    """Return what fills folders of classes in turn; the second and fourth have lesions."""

    def write(root: Path) -> None:
        for number in range(first, first + count):
            place = number % len(names)
            name = file(number) if callable(file) else file.format(number)
            path = root / home / _text(names[place]) / _text(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            save(path, draw(number, bool(place % 2)))

    return write


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")


def masked(
    image: str = "images/{}.png",
    mask: str = "masks/{}.png",
    save: Save = plain,
    save_mask: Save = white,
    every: int = 2,
) -> Arrange:
    """Return what writes pictures of patients and masks; every so many have a lesion."""

    def write(root: Path) -> None:
        for number in range(_COUNT):
            tumour = number % every == every - 1
            for pattern, put, pixels in ((image, save, draw(number, tumour)), (mask, save_mask, LESION * tumour)):
                path = root / pattern.format(f"p{number // 4}_{number}")
                path.parent.mkdir(parents=True, exist_ok=True)
                put(path, pixels)

    return write


def also(*names: str, content: bytes | None = None) -> Arrange:
    """Return what puts other pictures with lesions beside, or other content."""

    def write(root: Path) -> None:
        for number, name in enumerate(names):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw(100 + number, tumour=True)).save(root / name, "PNG")
            if content is not None:
                (root / name).write_bytes(content)

    return write


def copied(source: str, name: str) -> Arrange:
    """Return what copies a file."""
    return lambda root: (root / name).write_bytes((root / source).read_bytes())


def linked(**targets: str) -> Arrange:
    """Return what makes links; an underscore in a name stands for a slash."""

    def write(root: Path) -> None:
        for name, target in targets.items():
            (root / name.replace("_", "/")).symlink_to(target)

    return write


def results(root: Path) -> None:
    """Put results of ours into the folder."""
    walk.make_results_folder(root / "outputs")
    also("outputs/one/heat_map.png", "outputs/two.png")(root)


def every(*parts: Arrange) -> Arrange:
    """Return what does all of these."""
    return lambda root: [part(root) for part in parts]
