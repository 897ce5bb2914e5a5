"""Masks as DICOM SEG, read by code that nobody here wrote."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import uid

from brain_tumor.scans import dicom_seg, discovery
from brain_tumor.scans.dicom_seg import Algorithm
from brain_tumor.scans.volumes import Volume
from tests.conftest import Command
from tests.enhanced import enhanced
from tests.odd import HEAD, Given, Head, Write
from tests.odd_answers import Answer, Exact, ask
from tests.odd_dicom import dicom
from tests.odd_nifti import nifti

PERSON: dict[str, Any] = {
    "PatientID": "4711", "PatientName": "Doe^Jane", "PatientBirthDate": "19700101", "PatientSex": "F",
    "StudyInstanceUID": "1.2.3", "StudyID": "1", "StudyDate": "20200102", "StudyTime": "120000",
    "AccessionNumber": "7", "FrameOfReferenceUID": "1.2.3.4", "Manufacturer": "Maker", "ManufacturerModelName": "M",
}  # fmt: skip
SECRETS = (b"4711", b"Doe", b"19700101", b"20200102", b"1.2.3.4")
SOURCES: dict[str, Write] = {
    "classic": dicom(**PERSON),
    "compressed, sagittal": dicom(axes="PSR", syntax=uid.RLELossless, **PERSON),
    "enhanced": enhanced(**PERSON),
    "enhanced, one of two echoes": enhanced(volumes=[{"echo": 15}, {"echo": 100}], factors=(1, 0.5), **PERSON),
}


def seg_of(folder: Path, write: Write = SOURCES["classic"], head: Head = HEAD, **settings: Any) -> tuple[Answer, Path]:
    """Write a scan, let `predict` mark it, and return the answer with the scan's SEG."""
    write(folder / "in", head)
    answer = ask(Given("in", settings={"dicom_seg": True, **settings}, output="out"), folder)
    return answer, *sorted((folder / "out" / "seg").glob("*.dcm"))[:1]  # type: ignore[return-value]


def _errors(path: Path) -> list[str]:
    told = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    return [line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")]


def _by_simpleitk(path: Path) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Read a SEG of one segment by ITK's own reader: its voxels (I, J, K), and the affine, x to the right."""
    reader = pytest.importorskip("SimpleITK")
    image = reader.ReadImage(path)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1
    return reader.GetArrayFromImage(image).T > 0, affine


def _by_highdicom(path: Path) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    import highdicom

    volume = highdicom.seg.segread(path).get_volume(combine_segments=True)
    return volume.array > 0, np.diag([-1.0, -1, 1, 1]) @ volume.affine


def _onto(mask: NDArray[np.bool_], affine: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return a mask with its voxels in the order that they have on another affine's grid, which must be the same."""
    voxels = np.argwhere(np.ones_like(mask))
    places = (np.c_[voxels, np.ones(len(voxels))] @ (np.linalg.inv(other) @ affine).T)[:, :3]
    there = np.rint(places).astype(int)
    np.testing.assert_allclose(places, there, atol=0.001)
    moved = np.zeros(there.max(0) + 1, bool)
    moved[tuple(there.T)] = mask.ravel()
    return moved


@pytest.mark.parametrize("source", SOURCES)
def test_other_readers_see_the_same_mask_on_the_same_grid(source: str, tmp_path: Path) -> None:
    answer, path = seg_of(tmp_path, SOURCES[source])
    mask: Any = nibabel.load(tmp_path / "out" / "masks" / f"{path.stem}.nii.gz")
    expected = np.asarray(mask.dataobj) > 0
    assert expected.sum() == HEAD.lesion.sum()
    for read in (_by_simpleitk, _by_highdicom):
        found, affine = read(path)
        np.testing.assert_array_equal(_onto(found, affine, mask.affine), expected)  # empty frames are there, too
    written = pydicom.dcmread(path)
    assert written.FrameOfReferenceUID == PERSON["FrameOfReferenceUID"]
    (segment,) = written.SegmentSequence
    assert (segment.SegmentLabel, segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning) == ("tumour", "Neoplasm")
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("exact", "0" * 64)
    assert written.ContentLabel == "RESEARCH USE"
    assert "Research use" in written.ContentDescription
    scans = {file.SOPInstanceUID: file for file in map(pydicom.dcmread, (tmp_path / "in").rglob("*.dcm"))}
    assert {one.ReferencedSOPInstanceUID for one in written.SourceImageSequence} == set(scans)
    for frame in written.PerFrameFunctionalGroupsSequence:
        (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
        scan = scans[reference.ReferencedSOPInstanceUID]
        assert reference.ReferencedSOPClassUID == scan.SOPClassUID
        if "ReferencedFrameNumber" in reference:
            scan = scan.PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1].PlanePositionSequence[0]
        assert scan.ImagePositionPatient == frame.PlanePositionSequence[0].ImagePositionPatient
    if shutil.which("dciodvfy"):
        assert _errors(path) == []
    assert "carry the patient's identity" in answer.words


def test_only_a_seg_knows_the_patient(tmp_path: Path) -> None:
    _, path = seg_of(tmp_path, pages=True, overlays=True)
    assert b"Doe" in path.read_bytes()
    others = [file for file in (tmp_path / "out").rglob("*") if file.is_file() and file != path]
    assert {file.parent.name for file in others} >= {"out", ".cases", "masks", "pages", "overlays"}
    for file in others:
        assert not [secret for secret in SECRETS if secret in file.read_bytes()], file


def test_regions_are_segments_that_overlap(tmp_path: Path) -> None:
    SOURCES["classic"](tmp_path / "in", HEAD)
    (source,) = discovery.discover([str(tmp_path / "in")]).sources
    volume = source.read()
    assert isinstance(volume, Volume)
    labels = np.zeros(volume.values.shape, np.uint8)
    labels[10:20, 10:20, 5:9], labels[12:16, 12:16, 6:8] = 2, 4
    regions = {"whole": (2, 4), "enhancing": (4,), "vessels": (2,)}
    path = tmp_path / "seg.dcm"
    dicom_seg.write(path, source, volume, labels, regions, Algorithm("a, b", "1" * 64, {"components": "0"}))
    written = pydicom.dcmread(path)
    types = {one.SegmentLabel: one.SegmentedPropertyTypeCodeSequence[0].CodeMeaning for one in written.SegmentSequence}
    assert types == {"whole": "Neoplasm", "enhancing": "Enhancing Lesion", "vessels": "Tissue"}
    import highdicom

    found = highdicom.seg.segread(path).get_volume(combine_segments=False).array.sum((0, 1, 2))
    assert dict(zip(types, found.tolist(), strict=True)) == {
        name: int(np.isin(labels, values).sum()) for name, values in regions.items()
    }
    if shutil.which("dciodvfy"):
        assert _errors(path) == []


def test_no_tumour_is_a_seg_of_empty_frames(tmp_path: Path) -> None:
    SOURCES["classic"](tmp_path / "in", HEAD)
    (source,) = discovery.discover([str(tmp_path / "in")]).sources
    volume = source.read()
    assert isinstance(volume, Volume)
    path, empty = tmp_path / "seg.dcm", np.zeros(volume.values.shape, np.uint8)
    dicom_seg.write(path, source, volume, empty, {"tumour": (1,)}, Algorithm("a", "1" * 64, {}))
    written = pydicom.dcmread(path)
    assert written.NumberOfFrames == HEAD.values.shape[2]
    assert not written.pixel_array.any()


def test_what_gets_no_seg_is_said(tmp_path: Path) -> None:
    (tmp_path / "nifti").mkdir()
    nifti()(tmp_path / "nifti", HEAD)
    refused = ask(Given("nifti", settings={"dicom_seg": True}, output="out"), tmp_path)
    error = next(line for line in refused.words.splitlines() if line.startswith("error: "))
    assert "1 of 1 cases are no DICOM series (" in error
    assert error.endswith("masks are written as NIfTI")
    assert not (tmp_path / "out").exists()
    classifier = Exact("classification")
    SOURCES["classic"](tmp_path / "in", HEAD)
    words = ask(Given("in", settings={"dicom_seg": True}, output="out"), tmp_path, classifier).words
    assert "dicom_seg=True: run=exact makes no masks" in words
    without = {name: value for name, value in PERSON.items() if name != "FrameOfReferenceUID"}
    dicom(**without)(tmp_path / "nowhere", HEAD)
    answer = ask(Given("nowhere", settings={"dicom_seg": True}, output="out"), tmp_path)
    (row,) = answer.cases.to_dict("records")
    assert row["reason"] == "no DICOM SEG: the series does not name its FrameOfReferenceUID; leave out dicom_seg=true"
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix in {".dcm", ".gz"}]


def test_a_seg_is_added_to_finished_cases(tmp_path: Path) -> None:
    SOURCES["classic"](tmp_path / "in", HEAD)
    first = ask(Given("in", output="out"), tmp_path)
    assert not (tmp_path / "out" / "seg").exists()
    again = ask(Given("in", settings={"dicom_seg": True}, output="out"), tmp_path)
    assert len(list((tmp_path / "out" / "seg").glob("*.dcm"))) == 1
    pd.testing.assert_frame_equal(first.good, again.good)


def test_the_command_writes_a_seg(command: Command, segmenter: Path, tmp_path: Path) -> None:
    SOURCES["classic"](tmp_path / "in", HEAD)
    done = command("predict", f"run={segmenter}", "input=in", "dicom_seg=true", cwd=tmp_path)
    (path,) = (tmp_path / "predictions" / "seg").glob("*.dcm")
    (algorithm,) = pydicom.dcmread(path).SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
    assert algorithm.AlgorithmName == segmenter.name[:64]
    assert len(algorithm.AlgorithmVersion) == 64
    assert "predictions/seg: DICOM SEG files carry the patient's identity" in done.stdout
