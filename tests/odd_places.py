"""Where inputs lie and how they are given: names, links, lists, patterns, leftovers, and sequences of a patient."""

import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import KeyObjectSelectionDocumentStorage

from tests.odd import PICTURE, RIGHT, Array, Disguise, Given, Head, Outcome, Write, refused, right_or, right_with
from tests.odd_answers import ask
from tests.odd_dicom import dicom, document, together
from tests.odd_nifti import nifti
from tests.odd_pictures import picture

Arrange = Callable[[Path], Given | None]


def _files(*names: str | bytes, given: str | list[str] = ".", then: Arrange | None = None) -> Write:
    """Return a function that puts the picture under these names, and then arranges more beside them."""

    def write(folder: Path, head: Head) -> Given:
        picture(name="../picture.png")(folder, head)
        for name in names:
            path = folder / os.fsdecode(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder.parent / "picture.png", path)
        return (then and then(folder)) or Given(given)

    return write


def _links(**targets: str) -> Arrange:
    """Return what makes links: a name's first underscore stands for a slash, its second for a dot."""

    def arrange(folder: Path) -> None:
        for name, target in targets.items():
            path = folder / name.replace("_", "/", 1).replace("_", ".")
            path.parent.mkdir(exist_ok=True)
            path.symlink_to(target)

    return arrange


def _list(*lines: str, name: str = "list.txt", encoding: str = "utf-8", end: str = "\n") -> Arrange:
    """Return what writes a list of paths, which is then the input."""

    def arrange(folder: Path) -> Given:
        (folder / name).write_bytes("".join(line + end for line in lines).encode(encoding))
        return Given(name)

    return arrange


def _all(*steps: Arrange) -> Arrange:
    """Return what does several things; the last says what is given."""
    return lambda folder: [step(folder) for step in steps][-1]


def _asked(given: Given, then: Given) -> Arrange:
    """Return what predicts once before."""

    def arrange(folder: Path) -> Given:
        ask(given, folder)
        return then

    return arrange


def _leftovers(folder: Path) -> None:
    """Put beside a picture what systems and editors leave."""
    for name in (
        ".ipynb_checkpoints/a-checkpoint.png", "@eaDir/a.png/SYNOPHOTO_THUMB_M.png", "__MACOSX/._a.png", "._a.png",
        "$RECYCLE.BIN/b.png", "lost+found/b.png", ".Trash-1000/files/b.png", "#recycle/b.png", "deep/.hidden/b.png",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "a.png", folder / name)
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._b.png", "notes.md"):
        (folder / name).write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def _zipped(folder: Path) -> None:
    shutil.make_archive(str(folder / "b"), "zip", folder, "a.png")


def _nothing(_: Path, __: Head) -> None:
    pass


def _line(name: str, fault: int, write: Write, expected: Outcome = RIGHT, cases: int = 1) -> Disguise:
    return Disguise(name, fault, write, expected, cases, PICTURE)


NAMES = [
    _line("bytes that are no UTF-8", 16, _files("a.png", "b.png", b"caf\xe9.png"), cases=3),
    _line("two such names", 16, _files(b"\xe9.png", b"\xe8.png"), cases=2),
    _line("83 Chinese characters", 16, _files("a.png", "脑" * 83 + ".png"), cases=2),
    _line("83, but for the last", 16, _files("脑" * 82 + "甲.png", "脑" * 82 + "乙.png"), cases=2),
    _line("a long name", 16, _files("a" * 250 + ".png")),
    _line("numbers", 16, _files("001.png", "002.png", "1e5.png"), right_with(r"(?s)\b001\b.*\b1e5\b"), 3),
    _line("a number alone", 16, _files("007.png"), right_with(r"\b007\b")),
    _line("no values", 16, _files("NA.png", "null.png", "nan.png", "True.png"), right_with(r"(?s)\bNA\b.*\bnull\b"), 4),
    _line("blanks and brackets", 0, _files("my scan (1).png", "[T1] x.png", "{a,b}.png"), cases=3),
    _line("quotes and commas", 16, _files('a"b.png', "a'b.png", "a,b.png", "a;b.png", "=1+1.png"), cases=5),
    _line("lines and tabulators", 16, _files("a\nb.png", "a\tb.png"), cases=2),
    _line("alphabets", 16, _files("мозг.png", "cerveau é.png", "دماغ.png", "脳.png", "🧠.png"), cases=5),
    _line("one name, composed and not", 16, _files("\u00e9.png", "e\u0301.png"), cases=2),
    _line("upper and lower case", 16, _files("A.png", "a.png"), cases=2),
    _line("dots", 16, _files("a.b.c.png", "a.b.png", "a..png"), cases=3),
    _line("one stem", 16, _files("a.png", "a.PNG", "a.tif", "a"), cases=4),
    _line("one stem, once made plain", 16, _files("a b.png", "a_b.png", "a?b.png"), cases=3),
    _line("one name in two folders", 0, _files("x/a.png", "y/a.png"), cases=2),
    _line("devices of Windows", 16, _files("con.png", "AUX.png", "nul.png"), cases=3),
    _line("dashes", 0, _files("-a.png", "--help.png"), cases=2),
    _line("symbols alone", 16, _files("???.png", "***.png", "   .png"), cases=3),
    _line("folders called as files", 0, _files("a.png/b.png", "c.nii.gz/d.png"), cases=2),
    _line("deep", 0, _files("/".join("abcdefghij") + "/a.png")),
]  # fmt: skip

_STORE = partial(_files, "store/a.png", given="in")
_A = partial(_files, "a.png")
_AB = partial(_files, "a.png", "b.png")
_EMPTY = "nothing to predict|no such file|no path|empty"
_OWN = "results|output"
_INSIDE = Given(output="predictions")
_ITSELF = Given(output=".")

PLACES = [
    # Links
    _line("a link to a file", 12, _STORE(then=_links(in_a_png="../store/a.png"))),
    _line("a link to a folder", 12, _STORE(then=_links(in_more="../store"))),
    _line("a link to a link to a folder", 12, _STORE(then=_links(in_one="two", in_two="../store"))),
    _line("a linked folder given", 12, _STORE(then=_links(**{"in": "store"}))),
    _line("a link into a hidden folder", 12, _files(
        ".git/annex/a.png", given="in", then=_links(in_a_png="../.git/annex/a.png"))),
    _line("a link to nothing beside", 12, _files("in/a.png", then=_links(in_b_png="nowhere")), right_with("link")),
    _line("a link to nothing alone", 12, _files(then=_links(in_b_png="nowhere")), refused("link")),
    _line("a link to nothing given", 12, _A(given="in/b.png", then=_links(in_b_png="nowhere")),
          refused("link|no such")),
    _line("a link to itself given", 12, _A(given="b", then=_links(b="b")), refused("link|no such")),
    _line("a loop of folders", 12, _files("x/a.png", then=_links(x_up="..", x_same="."))),
    _line("a folder in three ways", 12, _files("x/a.png", then=_links(y="x", z="x"))),
    _line("a pipe beside", 12, _A(then=_pipe)),
    _line("a pipe given", 12, _A(given="pipe", then=_pipe), refused("pipe")),
    _line("a device given", 12, _A(given="/dev/null"), refused("/dev/null")),
    # Lists
    _line("a list", 0, _files("a.png", "b c.png", then=_list("a.png", "b c.png")), cases=2),
    _line("a list of Windows", 0, _AB(then=_list("a.png", "", "  b.png ", end="\r\n")), cases=2),
    _line("a list of Notepad", 12, _AB(then=_list("a.png", "b.png", encoding="utf-8-sig", end="\r\n")), cases=2),
    _line("a list of PowerShell", 12, _files(
        "a.png", "ä.png", then=_list("a.png", "ä.png", encoding="utf-16", end="\r\n")), cases=2),
    _line("a list in Latin-1", 12, _files("a.png", "ä.png", then=_list("a.png", "ä.png", encoding="latin-1")),
          right_or("no such file|list"), cases=2),
    _line("a list that names itself", 12, _A(then=_list("a.png", "list.txt")), right_or("list")),
    _line("lists that name each other", 12, _A(then=_all(_list("list.txt", name="b.txt"), _list("b.txt", "a.png"))),
          right_or("list")),
    _line("a list of lists", 0, _A(then=_all(_list("a.png", name="b.txt"), _list("b.txt"))),
          right_or("list in a list")),
    _line("a list that names nothing", 12, _A(then=_list("", "")), refused(_EMPTY)),
    _line("a list with a missing file", 12, _A(then=_list("a.png", "b.png")), right_or(r"b\.png")),
    _line("a list with a link to nothing", 12, _A(then=_all(_links(x_b="c"), _list("a.png", "x/b"))), right_or("x/b")),
    _line("a list that says it twice", 0, _A(then=_list("a.png", "./a.png", "."))),
    _line("a list of patterns and folders", 0, _files("x/a.png", "y/b.png", then=_list("x/*.png", "y")), cases=2),
    _line("prose", 12, _A(then=_list("Dear all,", "find the scans attached.", name="readme.txt")),
          refused("Dear all|no such file|list")),
    # Patterns
    _line("a pattern", 0, _files("a.png", "b.png", "c.tif", given="*.png"), cases=2),
    _line("a pattern through folders", 0, _files("x/a.png", "x/y/b.png", given="**/*.png"), cases=2),
    _line("a pattern that finds nothing", 0, _A(given="*.tif"), refused("no such file|nothing")),
    _line("a pattern below brackets", 18, _files("[T1] x/a.png", "[T1] x/b.png", given="[T1] x/*.png"), cases=2),
    _line("a file with brackets given", 18, _files("[T1].png", "T.png", given="[T1].png")),
    _line("several given", 0, _files("a.png", "x/b.png", given=["a.png", "x"]), cases=2),
    _line("one given twice", 0, _A(given=["a.png", "./a.png", "."])),
    # What else lies there
    _line("nothing", 0, _nothing, refused(_EMPTY)),
    _line("what systems leave", 13, _A(then=_leftovers)),
    _line("an archive beside", 12, _A(then=_zipped), right_with(r"\b(b\.|\.)?zip\b")),
    _line("own results inside", 5, _AB(then=_asked(_INSIDE, Given())), cases=2),
    _line("own results inside, again", 5, _AB(then=_asked(_INSIDE, _INSIDE)), cases=2),
    _line("own results given", 5, _A(then=_asked(_INSIDE, Given("predictions"))), refused(_OWN)),
    _line("own masks given", 5, _A(then=_asked(_INSIDE, Given("predictions/masks"))), refused(_OWN)),
    _line("own results in the input itself", 5, _A(then=_asked(_ITSELF, _ITSELF)), right_or(_OWN)),
]  # fmt: skip

_NAMES = ("flair", "t1", "t1ce")


def _patients(*names: str, given: Mapping[str, str], **writers: Write) -> Write:
    """Return a function that writes patients' sequences.

    Args:
        *names: of NIfTI files, with {} for the sequence's name.
        given: the patterns.
        **writers: of sequences that are written otherwise.
    """

    def write(folder: Path, head: Head) -> Given:
        for name in names:
            for sequence in _NAMES:
                path = folder / name.format(sequence, sequence)
                path.parent.mkdir(parents=True, exist_ok=True)
                writers.get(sequence, nifti(name=path.name))(path.parent, head)
        return Given(sequences=given)

    return write


def _three(pattern: str) -> dict[str, str]:
    return {sequence: pattern.format(sequence) for sequence in _NAMES}


def _t1(**options: Any) -> Write:
    """Return a function that writes a patient whose T1 is odd."""
    return _patients("p1_{}.nii", given=_three("p1_{}.nii"), t1=nifti(name="p1_t1.nii", **options))


def _moved(shift: float) -> Callable[[Array], Array]:
    """Return what moves an affine to the right, by millimetres."""
    move = np.eye(4)
    move[0, 3] = shift
    return lambda affine: move @ affine


def _then(write: Write, change: Callable[[Path], Any]) -> Write:
    """Return a function that writes, and then changes the folder."""

    def changed(folder: Path, head: Head) -> Given | None:
        given = write(folder, head)
        change(folder)
        return given

    return changed


_TWO = _patients("p1_{}.nii", "p2_{}.nii", given=_three("*_{}.nii"))
_MIRROR = np.diag([-1, 1, 1, 1])
_SERIES = {sequence: dicom(name=f"{sequence}/{{:d}}") for sequence in _NAMES}
_DOCUMENTED = {
    sequence: together(series, document(KeyObjectSelectionDocumentStorage, "KO", f"{sequence}/KO.dcm"))
    for sequence, series in _SERIES.items()
}
_DRAWN = {sequence: picture(name=f"{sequence}.png") for sequence in _NAMES}

SEQUENCES = [
    Disguise("three sequences", 0, _t1()),
    Disguise("patients by a star", 0, _TWO, cases=2),
    Disguise("patients by a folder", 0, _patients("p1/{}.nii", "p2/{}.nii", given=_three("*/{}.nii")), cases=2),
    Disguise("BraTS", 21, _patients("B_1/B_1_{}.nii.gz", "B_2/B_2_{}.nii.gz", given=_three("B_*/B_*_{}.nii.gz")),
             cases=2),
    Disguise("a case is called after its file", 21, _t1(), right_with(r"\bp1")),
    Disguise("brackets", 18, _patients("[T1] x/p1_{}.nii", "[T1] x/p2_{}.nii", given=_three("[T1] x/*_{}.nii")),
             cases=2),
    Disguise("brackets, no star", 18, _patients("[T1] x/p1_{}.nii", given=_three("[T1] x/p1_{}.nii"))),
    Disguise("series", 0, _patients("{}", given=_three("{}"), **_SERIES)),
    Disguise("series and documents", 18, _patients("{}", given=_three("{}"), **_DOCUMENTED)),
    Disguise("stored to other sides", 25, _t1(axes="LPS")),
    Disguise("stored coronal", 25, _t1(axes="RSA")),
    Disguise("of DICOM", 25, _patients("{}.nii", given=_three("{}.nii") | {"flair": "flair"}, flair=_SERIES["flair"])),
    Disguise("in microns", 11, _t1(units="micron", affine=lambda a: np.diag([1000, 1000, 1000, 1]) @ a)),
    Disguise("a hair away", 25, _t1(affine=_moved(0.0005))),
    Disguise("a voxel away", 0, _t1(affine=_moved(2.5)), refused("grid")),
    Disguise("mirrored in its header", 0, _t1(affine=lambda a: _MIRROR @ a), refused("grid")),
    Disguise("one slice less", 0, _t1(values=lambda v: v[..., :19]), refused("grid")),
    Disguise("FLAIR alone", 0, _patients("p1_{}.nii", given={"flair": "p1_flair.nii"}), right_with("t1 is missing")),
    Disguise("T1 alone", 0, _patients("p1_{}.nii", given={"t1": "p1_t1.nii"}), refused("flair")),
    Disguise("a patient lacks FLAIR", 0, _then(_TWO, lambda folder: (folder / "p2_flair.nii").unlink()),
             right_with("p2.*no flair")),
    Disguise("hidden files beside", 13, _then(_TWO, lambda folder: (folder / "._p1_t1.nii").write_bytes(b"\0\5")),
             cases=2),
    Disguise("pictures", 0, _patients("{}.png", given=_three("{}.png"), **_DRAWN), refused("picture")),
]  # fmt: skip
