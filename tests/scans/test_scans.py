"""What is found at an input: nothing is lost without a word, no list goes on for ever, and names are unlike."""

import gzip
import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from brain_tumor.io import names, walk
from brain_tumor.scans import cases, discovery
from brain_tumor.scans.cases import Case
from brain_tumor.scans.discovery import Discovery, Source
from tests.conftest import write_image


def volume(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ones((9, 9, 2), np.uint8), np.eye(4)), path)  # type: ignore[no-untyped-call]
    return path


def found(*inputs: Path | str) -> dict[str, str]:
    """Return the cases at some inputs, each with its problem."""
    return {source.case: source.problem for source in discovery.discover([str(own) for own in inputs]).sources}


def test_nothing_of_a_folder_is_lost_without_a_word(tmp_path: Path) -> None:
    write_image(tmp_path / "in" / "a.png")
    write_image(tmp_path / "store" / "b.png")
    (tmp_path / "in" / "linked").symlink_to("../store")
    (tmp_path / "in" / "again").symlink_to("../store")
    (tmp_path / "in" / "gone.nii.gz").symlink_to("../.git/annex/x")
    (tmp_path / "in" / "gone.md").symlink_to("nowhere.md")
    (tmp_path / "in" / "loop").symlink_to("../in")
    for name in ("c.nrrd", "d.mgz", "e.mha", "f.heic", "g.gif", "h.hdr", "i.nii.bz2", "notes.md", "j.tsv.gz", "k.zip"):
        (tmp_path / "in" / name).write_bytes(b"NRRD0004\n" * 50)
    Image.new("L", (20, 20)).save(tmp_path / "in" / "l.webp")
    for folder in (".ipynb_checkpoints", "@eaDir/a.png", "__MACOSX"):
        write_image(tmp_path / "in" / folder / "a.png")
    (tmp_path / "in" / "._a.png").write_bytes(b"\0\5\x16\7")
    walk.make_results_folder(tmp_path / "in" / "predictions")
    write_image(tmp_path / "in" / "predictions" / "mask.png")

    discovered = discovery.discover([str(tmp_path / "in")])
    assert isinstance(discovered, Discovery)
    problems = {source.case: source.problem for source in discovered.sources}
    assert {name for name, problem in problems.items() if not problem} == {"a", "b"}
    assert problems["gone"] == "a link to nothing; fetch what it stands for"
    for name, text in {"c": "NRRD", "d": "FreeSurfer", "e": "MetaImage", "f": "HEIC", "g": "GIF", "l": "WebP"}.items():
        assert problems[name].startswith((text, f"a {text}")), name
        assert "is not read; " in problems[name]
    assert set(problems) == {"a", "b", "gone", *"cdefghil"}
    assert discovered.ignored == 2  # notes.md and j.tsv.gz
    reasons = {path.name: text for path, text in discovered.skipped.items()}
    assert reasons.pop("k.zip") == "an archive, which is not read; unpack it"
    assert reasons.pop("predictions") == "results of brain_tumor, which are no input"
    assert reasons.pop("gone.md").startswith("a link to nothing")
    assert all(text.startswith("the same folder as") for text in reasons.values())
    assert len(reasons) == 2


def test_a_folder_that_cannot_be_opened_has_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "in" / "a.png")
    write_image(tmp_path / "in" / "closed" / "b.png")
    closed = tmp_path / "in" / "closed"
    scandir, access = os.scandir, os.access

    def refuse(path: Path) -> Any:
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed and access(path, mode))
    assert found(tmp_path / "in") == {"a": "", "closed": "cannot be opened (Permission denied)"}


def test_what_is_named_itself_has_its_row(tmp_path: Path) -> None:
    (tmp_path / "gone.nii.gz").symlink_to("nowhere")
    (tmp_path / "self.nii").symlink_to("self.nii")
    (tmp_path / "notes.md").write_text("a note")
    write_image(tmp_path / "a.png")
    (tmp_path / "picture.png.gz").write_bytes(gzip.compress((tmp_path / "a.png").read_bytes()))
    gone = "a link to nothing; fetch what it stands for"
    assert found(tmp_path / "gone.nii.gz") == {"gone": gone}
    assert found(tmp_path / "self.nii") == {"self": gone}
    assert found(tmp_path / "notes.md") == {"notes": "neither an image nor NIfTI nor DICOM, or damaged"}
    assert found(tmp_path / "picture.png.gz") == {"picture": "a gzipped picture, which is not read; unpack it"}
    for missing in ("nowhere.png", "*.tif", "x" * 300, "[ab"):
        with pytest.raises(ValueError, match="no such file or folder"):
            found(tmp_path / missing)


def test_our_own_results_are_no_input(tmp_path: Path) -> None:
    walk.make_results_folder(tmp_path / "out")
    write_image(tmp_path / "out" / "mask.png")
    write_image(tmp_path / "a.png")
    for named in (tmp_path / "out", tmp_path / "out" / "mask.png"):
        with pytest.raises(ValueError, match="results of brain_tumor, which are no input"):
            found(named)
    discovered = discovery.discover([str(tmp_path / "**" / "*.png")])
    assert [source.case for source in discovered.sources] == ["a"]
    assert list(discovered.skipped) == [tmp_path / "out" / "mask.png"]


def test_lists_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "é"):
        write_image(tmp_path / "in" / f"{name}.png")
    write_image(tmp_path / "here" / "a.png", seed=1)
    monkeypatch.chdir(tmp_path / "here")
    text = "list.txt\r\nother.txt\r\n\r\na.png\r\né.png\r\nnot there.png\r\n../in\r\n"
    other = tmp_path / "in" / "other.txt"
    other.write_text("list.txt")
    for content in (
        text.encode(), b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16"), b"\xfe\xff" + text.encode("utf-16-be"),
    ):  # fmt: skip
        (tmp_path / "in" / "list.txt").write_bytes(content)
        discovered = discovery.discover(["../in/list.txt"])
        problems = {str(source.paths[0]): source.problem for source in discovered.sources}
        # From the working folder first, then from the list's.
        assert problems == {
            "a.png": "", "../in/a.png": "", "../in/é.png": "", "not there.png": "no such file or folder"
        }  # fmt: skip
        assert set(discovered.skipped.values()) == {"a list in a list, which is not read"}
    (tmp_path / "in" / "list.txt").write_bytes(b"a.png\n\0\1\2")
    with pytest.raises(ValueError, match="a list is a text file with a path a line"):
        discovery.discover(["../in/list.txt"])


def test_brackets_are_brackets_where_such_a_folder_is(tmp_path: Path) -> None:
    volume(tmp_path / "[T1] study" / "p1_flair.nii")
    volume(tmp_path / "T study" / "p2_flair.nii")
    assert set(found(tmp_path / "[T1] study")) == {"p1_flair"}
    assert set(found(tmp_path / "[T1] study" / "*.nii")) == {"p1_flair"}
    assert set(found(tmp_path / "[TU] study" / "*.nii")) == {"p2_flair"}
    patients = cases.find(None, {"flair": str(tmp_path / "[T1] study" / "*_flair.nii")}).cases
    assert [case.name for case in patients] == ["p1"]


def test_names_are_unlike_and_fit_anywhere(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    write_image(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    for stem in (
        b"caf\xe9", "脑".encode() * 80, b"con", b"A", b"nul.x", b"dot.", b"001", "Ä".encode(), b"a b", b"x" * 120
    ):  # fmt: skip
        with open(folder + b"/" + stem + b".png", "wb") as file:  # noqa: PTH123
            file.write(content)
    made = [source.case for source in discovery.discover([str(tmp_path)]).sources]
    assert len({name.casefold() for name in made}) == len(made) == 11
    assert all(len(name.encode()) <= 160 for name in made)
    assert "001" in made
    assert "Ä" in made
    assert not {"con", "nul.x", "dot.", "a", "A"} & set(made)
    cafe = next(case for case in cases.find(str(tmp_path), {}).cases if "caf" in case.name)
    cafe.origin.encode()
    assert cafe.origin.endswith("/caf\\xe9.png")
    assert cafe.files() == "caf\\xe9.png"
    for name in ("plain", "Case_1.a-b", "x" * 100):
        assert names.safe(name) == name
    assert names.safe("").startswith("case-")


def test_a_star_is_the_patient(tmp_path: Path) -> None:
    for patient in ("00001", "00002"):
        for name in cases.SEQUENCES:
            volume(tmp_path / "brats" / f"B_{patient}" / f"B_{patient}_{name}.nii.gz")
            volume(tmp_path / "bids" / patient / f"{name}.nii.gz")
    brats = {name: str(tmp_path / "brats" / "B_*" / f"B_*_{name}.nii.gz") for name in cases.SEQUENCES}
    bids = {name: str(tmp_path / "bids" / "*" / f"{name}.nii.gz") for name in cases.SEQUENCES}
    for patterns in (brats, bids):
        made = cases.find(None, patterns).cases
        assert [case.name for case in made] == ["00001", "00002"]
        assert [path.name.split(".")[0].split("_")[-1] for path in made[1].paths] == list(cases.SEQUENCES)
        assert made[1].files().startswith("t1=")
    other = volume(tmp_path / "brats" / "B_00001" / "B_old_flair.nii.gz")
    with pytest.raises(ValueError, match=r"its \* stand for 00001 and old in .*B_old_flair"):
        cases.find(None, brats)
    other.unlink()
    volume(tmp_path / "bids" / "A" / "flair.nii.gz")
    volume(tmp_path / "bids" / "a" / "flair.nii.gz")
    made = cases.find(None, {"flair": bids["flair"]}).cases
    assert len({case.name.casefold() for case in made}) == 4
    for patterns, message in (
        ({"flair": bids["flair"], "t1": str(tmp_path / "bids" / "A" / "flair.nii.gz")}, r"sequences.t1=.*has no \*"),
        ({"flair": str(tmp_path / "**" / "flair.nii.gz")}, r"\*\* is no pattern here"),
        ({"flair": str(tmp_path / "*" / "none.nii.gz")}, "no such file"),
        ({"flair": str(tmp_path / "bids")}, r"holds 8 scans \(.*\); give one"),
    ):
        with pytest.raises(ValueError, match=message):
            cases.find(None, patterns)


@pytest.mark.parametrize(
    ("flair", "name"),
    [
        ("p1_flair.nii.gz", "p1"),
        ("p2/flair.nii.gz", "p2"),
        ("p3/anat/p3-FLAIR.nii", "p3"),
        ("p4/scan/flair.nii", "p4"),
        ("sub 5_T2F.nii", f"sub_5-{names.digest('sub 5')}"),
    ],
)
def test_a_patient_without_a_star_is_called_after_the_file(flair: str, name: str, tmp_path: Path) -> None:
    path = volume(tmp_path / flair)
    (case,) = cases.find(None, {"flair": str(path), "t1": str(volume(tmp_path / "t1.nii"))}).cases
    assert case.name == name
    assert case.files() == f"t1=t1.nii; flair={path.name}"
    assert case.origin == f"t1={tmp_path / 't1.nii'}; flair={path}"


def test_a_failure_names_the_sequence_and_the_file(tmp_path: Path) -> None:
    volume(tmp_path / "p_flair.nii")
    (tmp_path / "p_t1.nii").write_bytes(b"\0" * 400)
    given = {name: str(tmp_path / f"*_{name}.nii") for name in ("flair", "t1")}
    (case,) = cases.find(None, given).cases
    reason = cases.try_read(case, "maximum", True)
    assert str(reason).startswith("sequences.t1 (p_t1.nii): not a readable NIfTI volume")


def test_faults_of_ours_are_not_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    case = Case("a", {"": Source("a", "image", (path,))})
    for fault in (MemoryError, RecursionError):

        def fail(*_: Any, own: type[BaseException] = fault) -> None:
            raise own

        monkeypatch.setattr(discovery, "read_rgb", fail)
        with pytest.raises(fault):
            cases.try_read(case, "maximum", False)


def test_a_file_that_vanishes_has_a_stamp_of_its_own(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    (case,) = cases.find(str(tmp_path), {}).cases
    before = case.stamp()
    assert case.stamp() == before
    (tmp_path / "a.png").unlink()
    assert case.stamp() != before
    assert "cannot be read" in str(cases.try_read(case, "maximum", False))
