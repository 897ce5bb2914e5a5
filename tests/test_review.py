"""Masks of a person or another tool, NIfTI or SEG, scored against ours."""

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from brain_tumor.scans import discovery, given_masks
from brain_tumor.scans.volumes import Volume
from tests.odd import HEAD, Given, Head
from tests.odd_answers import ask
from tests.test_seg import SOURCES, seg_of


def _given(path: Path, mask: NDArray[np.bool_], head: Head = HEAD, axes: str = "RAS") -> None:
    path.parent.mkdir(exist_ok=True)
    turned = Head(mask.astype(np.float32), head.affine).turned(axes)
    nibabel.save(nibabel.Nifti1Image(turned.values.astype(np.uint8), turned.space), path)  # type: ignore[no-untyped-call]


def test_given_masks_are_scored(tmp_path: Path) -> None:
    _, path = seg_of(tmp_path)
    more = HEAD.lesion.copy()
    more[30:33, 20:24, 5] = True  # a second lesion, which ours misses
    more[:13] = False
    _given(tmp_path / "theirs" / f"{path.stem}_mask.nii.gz", more, axes="PIR")
    shutil.copy(path, tmp_path / "mine.dcm")
    given = {"theirs": more, "mine.dcm": HEAD.lesion, "theirs/" + f"{path.stem}_mask.nii.gz": more}
    voxel = abs(np.linalg.det(HEAD.space[:3, :3])) / 1000
    for name, mask in given.items():
        (row,) = ask(Given("in", settings={"masks": name}, output="out"), tmp_path).good.to_dict("records")
        both = (mask & HEAD.lesion).sum()
        assert float(row["masks_dice"]) == pytest.approx(2 * both / (mask.sum() + HEAD.lesion.sum()))
        assert float(row["masks_ml"]) == pytest.approx(mask.sum() * voxel)
        assert float(row["masks_difference_ml"]) == pytest.approx((int(HEAD.lesion.sum()) - int(mask.sum())) * voxel)
        lesions = 1 if mask is HEAD.lesion else 2
        counts = [row[f"masks_{key}"] for key in ("lesions", "lesions_hit", "false_components")]
        assert counts == [str(lesions), "1", "0"]


def test_a_corrected_mask_is_scored_anew(tmp_path: Path) -> None:
    SOURCES["classic"](tmp_path / "in", HEAD)
    settings = {"masks": "mask.nii.gz"}
    dice = []
    for mask in (HEAD.lesion, HEAD.lesion & (np.arange(20) > 11)):
        _given(tmp_path / "mask.nii.gz", mask)
        dice += ask(Given("in", settings=settings, output="out"), tmp_path).good["masks_dice"].tolist()
    assert float(dice[0]) == 1
    assert float(dice[1]) < 0.9


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("other grid", "masks: other.nii.gz: lies on another grid than the scan"),
        ("no seg", "masks: 000.dcm: a DICOM file, but no segmentation (SEG)"),
        ("cut", "masks: cut.dcm: not a readable SEG, or cut short"),
        ("headless", "masks: headless.dcm: not a readable SEG: the headers of its frames are missing"),
        ("nobody's", "masks=theirs: nobody.nii.gz: no case is called so; cases are dicom-"),
        ("twice", "are both masks of dicom-"),
        ("nothing", "masks=empty: holds no mask as NIfTI or DICOM SEG"),
        ("nowhere", "masks=typo: no such file or folder"),
        ("ours", "masks=out/masks: lies in output_dir=out, where our masks are written"),
    ],
)
def test_masks_that_do_not_fit_are_named(name: str, words: str, tmp_path: Path) -> None:
    SOURCES["classic"](tmp_path / "in", HEAD)
    (case,) = discovery.discover([str(tmp_path / "in")]).sources
    given = {"other grid": "other.nii.gz", "no seg": "in/000.dcm", "nothing": "empty", "nowhere": "typo"}
    given["ours"] = "out/masks"
    (tmp_path / "empty").mkdir()
    given |= {"cut": "cut.dcm", "headless": "headless.dcm"}
    if name in given and given[name].startswith(name):
        _, seg = seg_of(tmp_path / "whole")
        file = pydicom.dcmread(seg)
        if name == "cut":
            file.PixelData = file.PixelData[:100]
        else:
            del file.PerFrameFunctionalGroupsSequence
        file.save_as(tmp_path / given[name])
    _given(tmp_path / "other.nii.gz", HEAD.lesion, HEAD.nodding(0.1))
    if name == "nobody's":
        _given(tmp_path / "theirs" / "nobody.nii.gz", HEAD.lesion)
    if name == "twice":
        for ending in ("", "_seg"):
            _given(tmp_path / "theirs" / f"{case.case}{ending}.nii.gz", HEAD.lesion)
    answer = ask(Given("in", settings={"masks": given.get(name, "theirs")}, output="out"), tmp_path)
    assert words in answer.words
    assert answer.good.empty


def test_a_seg_of_another_tool_may_lack_empty_frames_and_run_otherwise(tmp_path: Path) -> None:
    import highdicom

    SOURCES["classic"](tmp_path / "in", HEAD)
    (source,) = discovery.discover([str(tmp_path / "in")]).sources
    scan = source.read()
    assert isinstance(scan, Volume)
    files = sorted(map(pydicom.dcmread, source.paths), key=lambda file: -file.ImagePositionPatient[2])
    mask = np.stack([file.pixel_array > 170 for file in files])
    description = highdicom.seg.SegmentDescription(1, "lesion", codes.SCT.Tissue, codes.SCT.Tissue, "MANUAL")
    for file in files:
        file.StudyID = file.get("StudyID", "")
    made = highdicom.seg.Segmentation(
        files, mask.astype(np.float32) * 0.7, "FRACTIONAL", [description], highdicom.UID(), 1, highdicom.UID(), 1,
        "maker", "model", "1", "1",
    )  # fmt: skip
    made.save_as(tmp_path / "theirs.dcm")
    assert made.NumberOfFrames < len(files)
    np.testing.assert_array_equal(given_masks.read(tmp_path / "theirs.dcm", scan) > 0, scan.values > 170)
