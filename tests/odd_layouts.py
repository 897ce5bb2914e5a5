"""The table of folders to train on (see `tests.odd_folders` for how they are written)."""

from typing import Any

import numpy as np
from PIL import Image

from tests.odd import RIGHT, Outcome, refused, right_or, warned
from tests.odd_folders import (
    AREA,
    Layout,
    Save,
    also,
    changed,
    channels,
    classes,
    copied,
    deep,
    every,
    linked,
    masked,
    one_hot,
    plain,
    results,
    stack,
    turned,
)

_YES = classes("no", "yes")
_STORE = "../store"
_MASKS: dict[str, Any] = {"counts": {"no tumour": 12, "tumour": 12}, "positive": "tumour", "area": 12 * AREA}
_FOUR = ("none", "glioma", "other", "meningioma")
_PATIENT = {"patient_pattern": "^(.+)_"}
_THREE = ("NA", "null", "1e5")
_PAGES = refused("pages|frames")
_MASK = right_or("mask")
_APPLE = b"\0\5\26\7\0\2\0\0Mac OS X"
# Said of masks, but not because one of their files is the same as another.
_NO_CLASSES = right_or("(?im)^(?!.*identical).*(mask|label)")
_TRAIN, _TEST = classes("no", "yes", count=16, home="train"), classes("no", "yes", first=16, count=8, home="test")
_BY_FOUR: dict[str, Any] = {"file": lambda n: f"p{n // 4}_{n}.png"}
_BY_EIGHT: dict[str, Any] = {"file": lambda n: f"p{n // 8}_{n}.png"}


def _masks(name: str, fault: int, save_mask: Save, expected: Outcome = RIGHT, suffix: str = "png") -> Layout:
    return Layout(f"masks {name}", fault, masked(mask=f"masks/{{}}.{suffix}", save_mask=save_mask), expected, **_MASKS)


def _of(*names: str, positive: str | None = None) -> dict[str, Any]:
    """Say which classes there must be, all of one size."""
    return {"counts": dict.fromkeys(names, 24 // len(names)), "positive": positive}


LAYOUTS = [
    # Classes
    Layout("two classes", 0, _YES),
    Layout("the tumour's class first", 2, classes("Healthy", "Brain Tumor"),
           **_of("Brain Tumor", "Healthy", positive="Brain Tumor")),
    Layout("two kinds", 2, classes("meningioma", "glioma"), **_of("glioma", "meningioma")),
    Layout("four classes", 2, classes(*_FOUR), **_of(*_FOUR)),
    Layout("said what is positive", 2, classes("0", "1"), **_of("0", "1", positive="1"), settings={"positive": "1"}),
    Layout("numbers", 18, classes("0", "1"), **_of("0", "1")),
    Layout("numbers that look alike", 16, classes("01", "1"), **_of("01", "1")),
    Layout("blanks and brackets", 0, classes("no [x]", "yes (1)"), **_of("no [x]", "yes (1)")),
    Layout("alphabets", 0, classes("нет", "да"), **_of("нет", "да")),
    Layout("a class that is no UTF-8", 16, classes(b"n\xe9", "yes"), right_or(r"UTF-8|n\\\w+"),
           **_of("n\udce9", "yes")),
    # Names
    Layout("files that are no UTF-8", 16, classes("no", "yes", file=lambda n: b"\xe9%d.png" % n),
           right_or(r"UTF-8|\\\w+")),
    Layout("80 Chinese characters", 16, classes("no", "yes", file="脑" * 80 + "{:02d}.png")),
    Layout("names that are no values", 16, every(_YES, also("yes/NA.png", "yes/null.png")),
           counts={"no": 12, "yes": 14}, lesions=14),
    Layout("patients in numbers", 16, classes("no", "yes", file=lambda n: f"{'00' * (n < 12)}{n % 2 + 1}_{n}.png"),
           patients=["001", "002", "1", "2"], settings=_PATIENT),
    Layout("patients without values", 16, classes("no", "yes", file=lambda n: f"{_THREE[n % 3]}_{n}.png"),
           patients=_THREE, settings=_PATIENT),
    Layout("upper-case suffixes", 0, classes("no", "yes", file="{}.PNG")),
    Layout("one stem, two suffixes", 0, every(_YES, also("yes/001.bmp")), counts={"no": 12, "yes": 13}, lesions=13),
    Layout("deeper folders", 0, classes("no", "yes", file="x/{}/a.png")),
    # Pictures
    Layout("JPEG, turned", 6, classes("no", "yes", file="{}.jpg", save=turned(6, quality=95))),
    Layout("12 bits", 0, classes("no", "yes", save=changed(lambda grey: grey.astype(np.uint16) * 16))),
    Layout("12 bits in 48", 8, classes("no", "yes", save=deep(lambda grey: np.dstack([grey * 16] * 3)))),
    Layout("12 bits and alpha", 8, classes("no", "yes", save=deep(
        lambda grey: np.dstack([grey * 16, grey * 0 + 65535])))),
    Layout("photographs of telephones", 9, classes("no", "yes", file="{}.jpg", save=stack("MPO"))),
    Layout("TIFF of three pages", 9, classes("no", "yes", file="{}.tif", save=stack("TIFF")), _PAGES),
    Layout("moving PNG", 9, classes("no", "yes", save=stack("PNG")), _PAGES),
    Layout("an unreadable picture", 1, every(_YES, also("yes/x.png", content=b"no picture")), refused(r"x\.png")),
    Layout("an empty picture", 1, every(_YES, also("yes/x.png", content=b"")), refused(r"x\.png")),
    Layout("formats that are not read", 12, every(_YES, also("yes/x.webp", "yes/y.dcm", content=b"RIFF")),
           warned(r"x\.webp")),
    Layout("a class in such a format", 12, every(_YES, also("maybe/x.webp", content=b"RIFF")), warned(r"x\.webp")),
    # What else lies there
    Layout("what systems leave", 13, every(
        _YES, also("yes/.ipynb_checkpoints/a.png", "__MACOSX/yes/b.png", "no/@eaDir/c.png", ".trash/d.png"),
        also("yes/._001.png", content=_APPLE))),
    Layout("what systems leave beside masks", 13, every(
        masked(), also("images/.ipynb_checkpoints/a.png", "masks/@eaDir/b.png"),
        also("images/._p0_0.png", "masks/._p0_0.png", content=_APPLE)), **_MASKS),
    Layout("own results inside", 5, every(_YES, results)),
    Layout("the archive twice", 14, every(_YES, classes("no", "yes", home="brain_tumor_dataset")),
           refused("identical|twice|again|same")),
    Layout("a picture in both classes", 14, every(_YES, copied("no/000.png", "yes/copy.png")), refused("identical")),
    Layout("a picture twice in a class", 0, every(_YES, copied("no/000.png", "no/copy.png")),
           counts={"no": 13, "yes": 12}),
    # Links
    Layout("linked subfolders", 12, every(
        classes("no", "yes", count=12), classes("a", "b", first=12, count=12, home=_STORE),
        linked(no_more="../../store/a", yes_more="../../store/b"))),
    Layout("linked classes", 12, every(classes("a", "b", home=_STORE), linked(no="../store/a", yes="../store/b"))),
    Layout("linked files", 12, every(
        classes("no", "yes", count=22), classes("a", "b", first=22, count=2, home=_STORE),
        linked(**{"no_022.png": "../../store/a/022.png", "yes_023.png": "../../store/b/023.png"}))),
    Layout("linked masks", 12, every(masked(mask="../store/{}.png"), linked(masks=_STORE)), **_MASKS),
    Layout("a link to nothing", 12, every(_YES, linked(**{"yes_x.png": "nowhere"})), warned("link")),
    Layout("a loop", 12, every(_YES, linked(yes_up=".", no_up="."))),
    # Parts
    Layout("train and test", 0, every(_TRAIN, _TEST)),
    Layout("Training, TESTING, Val", 0, every(*(
        classes("no", "yes", first=first, count=8, home=home)
        for home, first in {"Training": 0, "TESTING": 8, "Val": 16}.items()))),
    Layout("train alone", 0, classes("no", "yes", home="train"), refused("counterpart")),
    Layout("patients in train and test", 15, every(
        classes("no", "yes", count=16, home="train", **_BY_FOUR),
        classes("no", "yes", first=16, count=8, home="test", **_BY_EIGHT)), warned("patient"), settings=_PATIENT),
    Layout("patients in two folds", 15, every(*(
        classes("no", "yes", first=8 * fold, count=8, home=f"fold{fold}", file=lambda n: f"p{n % 4 // 2}_{n}.png")
        for fold in range(3))), warned("patient"), settings={**_PATIENT, "fold": 0}),
    Layout("a picture in train and test", 14, every(_TRAIN, _TEST, copied("train/no/000.png", "test/no/copy.png")),
           warned("identical")),
    # Masks
    Layout("images and masks", 0, masked(), **_MASKS),
    Layout("masks beside", 0, masked("{}.png", "{}_mask.png"), **_MASKS),
    Layout("masks beside, upper case", 0, masked("{}.png", "{}_MASK.PNG"), **_MASKS),
    Layout("masks beside, in another format", 0, masked("{}.jpg", "{}_mask.png"), **_MASKS),
    *(Layout(f"JPEG turned by {way} over masks", 6, masked("images/{}.jpg", save=turned(way, quality=95)), **_MASKS)
      for way in range(2, 9)),
    *(Layout(f"PNG turned by {way} over masks", 6, masked(save=turned(way)), **_MASKS) for way in (3, 6)),
    *(Layout(f"TIFF turned by {way} over masks", 6, masked("images/{}.tif", save=turned(way)), **_MASKS)
      for way in (3, 6)),
    Layout("masks turned, too", 6, masked(save=turned(8), save_mask=turned(8, 255)), **_MASKS),
    _masks("of 0 and 1", 0, plain),
    _masks("of one bit", 0, changed(lambda mask: mask > 0)),
    _masks("of 16 bits", 0, changed(lambda mask: mask.astype(np.uint16) * 65535)),
    _masks("of 16 bits, 0 and 1", 0, changed(lambda mask: mask.astype(np.uint16))),
    _masks("of floating point", 7, changed(lambda mask: mask.astype(np.float32)), suffix="tif"),
    _masks("of floating point to .5", 7, changed(lambda mask: mask.astype(np.float32) / 2), _MASK, "tif"),
    _masks("with a palette", 7, lambda path, mask: Image.fromarray(mask).convert("P").save(path)),
    _masks("in colour, white", 7, channels(255, 255, 255)),
    _masks("in colour, 0 and 1", 7, channels(1, 1, 1)),
    _masks("in red", 7, channels(255, 0, 0), _MASK),
    _masks("in blue, 0 and 1", 7, channels(0, 0, 1), _MASK),
    _masks("one-hot, 0 and 1", 7, one_hot(1), _MASK),
    _masks("one-hot, 0 and 255", 7, one_hot(255), _MASK),
    _masks("in alpha over black", 7, channels(0, 0, 0, 255), _MASK),
    _masks("in alpha over grey", 7, channels(0, 255), _MASK),
    _masks("in 48 bits, 0 and 1", 8, deep(lambda mask: np.dstack([mask] * 3)), _MASK),
    _masks("in 16 bits and alpha, 0 and 1", 8, deep(lambda mask: np.dstack([mask, mask * 0 + 65535])), _MASK),
    _masks("as JPEG", 7, changed(lambda mask: mask * 255, quality=60), refused("mask"), "jpg"),
    _masks("of three values", 7, changed(lambda mask: mask * np.arange(48, dtype=np.uint8)), refused("mask")),
    _masks("of another size", 7, changed(lambda mask: mask[::2, ::2] * 255), refused("mask")),
    _masks("of three pages", 9, stack("TIFF", 255), refused("pages|frames|mask"), "tif"),
    Layout("two masks for an image", 7, every(masked(), copied("masks/p0_0.png", "masks/p0_1.tif")), refused("p0_1")),
    Layout("two images for a mask", 7, every(masked(), copied("images/p0_0.png", "images/p0_1.bmp")), refused("p0_1")),
    Layout("two masks beside an image", 7, every(
        masked("{}.png", "{}_mask.png"), copied("p0_0_mask.png", "p0_1_MASK.png")), refused("p0_1")),
    Layout("a mask without an image", 7, every(masked(), copied("masks/p0_0.png", "masks/x.png")), refused(r"x\.png")),
    Layout("an image without a mask", 7, every(masked(), also("images/x.png")), refused(r"x\.png")),
    Layout("Images and Masks", 7, masked("Images/{}.png", "Masks/{}.png"), _NO_CLASSES, **_MASKS),
    Layout("image and mask", 7, masked("image/{}.png", "mask/{}.png"), _NO_CLASSES, **_MASKS),
    Layout("images and labels", 7, masked("images/{}.png", "labels/{}.png"), _NO_CLASSES, **_MASKS),
    Layout("kinds with masks, by class", 22, every(
        masked("glioma/{}.png", "glioma/{}_mask.png", every=1), also("meningioma/a.png"),
        copied("glioma/p0_0_mask.png", "meningioma/a_mask.png")), counts={"glioma": 24, "meningioma": 1}, lesions=25,
        positive=None, area=25 * AREA, settings={"target": "class", "split": "none"}),
]  # fmt: skip
