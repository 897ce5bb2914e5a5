"""Scans of one's own: every format gives the same verdict, masks lie on their scan's grid, and no bad file stops it."""

import gzip
import io
import itertools
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, MRImageStorage, RLELossless

from brain_tumor.datasets import phantom
from brain_tumor.inference import pipeline, trained
from brain_tumor.inference.output_folder import Predictions
from brain_tumor.inference.prediction import Prediction
from brain_tumor.inference.predictor import Predictor
from brain_tumor.scans import cases, dicom, discovery, nifti, series, volumes
from brain_tumor.scans.cases import Case
from brain_tumor.scans.discovery import Source
from brain_tumor.scans.volumes import Grid, Volume
from tests.conftest import Command

Pictures = NDArray[np.uint8]


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    """A phantom's slices (n, 256, 256, 3); one voxel of each channel is 255, so that scaling changes nothing."""
    drawn = np.stack([image for image, _ in phantom.draw_case(0, 1)])
    drawn[0, 0, 0] = 255
    return drawn


def write_nifti(path: Path, slices: NDArray[Any], axes: str = "RAS", oblique: float = 0.0) -> None:
    """Write slices (n, H, W), as they are looked at, as a volume whose axes run as named."""
    ras = np.ascontiguousarray(slices.transpose(2, 1, 0)[::-1, ::-1])
    affine = np.diag([0.9, 0.9, 5.0, 1])
    affine[:3, 3] = (-100, -120, -30)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(oblique), -np.sin(oblique)], [np.sin(oblique), np.cos(oblique)]]
    change = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(axes))  # type: ignore[no-untyped-call]
    moved = apply_orientation(ras, change)  # type: ignore[no-untyped-call]
    own = turn @ affine @ inv_ornt_aff(change, ras.shape)  # type: ignore[no-untyped-call]
    nibabel.save(nibabel.Nifti1Image(moved, own), path)  # type: ignore[no-untyped-call]


def _write_series(folder: Path, slices: NDArray[Any], syntax: Any = ExplicitVRLittleEndian, **changes: Any) -> None:
    """Write slices (n, H, W) as an axial 16-bit series, its files in disorder."""
    folder.mkdir(parents=True)
    series = pydicom.uid.generate_uid()
    for place, pixels in enumerate(slices):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = (
            ExplicitVRLittleEndian if syntax in {RLELossless, JPEG2000Lossless} else syntax
        )
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = MRImageStorage
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = pydicom.uid.generate_uid()
        image.PatientName, image.PatientID, image.PatientBirthDate = "Doe^Jane", "4711", "19700101"
        image.SeriesInstanceUID, image.Modality = series, "MR"
        image.Rows, image.Columns = pixels.shape
        image.ImageOrientationPatient, image.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-115, -110, -30 + 5 * place]
        image.PixelSpacing, image.SliceThickness = [0.9, 0.9], 5
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
        # A slope of each slice's own.
        image.RescaleSlope, image.RescaleIntercept = (1, 0) if place % 2 else ("0.5", 0)
        stored = pixels.astype(np.uint16) * (1 if place % 2 else 2)
        for name, value in changes.items():
            setattr(image, name, value(place) if callable(value) else value)
        image.PixelData = stored.tobytes()
        if syntax is RLELossless:
            image.compress(RLELossless)
        elif syntax is JPEG2000Lossless:
            packed = io.BytesIO()
            Image.fromarray(stored).save(packed, "JPEG2000", no_jp2=True)
            image.PixelData = encapsulate([packed.getvalue()])
            image.file_meta.TransferSyntaxUID = JPEG2000Lossless
        image.save_as(folder / f"{(place * 7) % len(slices):03d}", enforce_file_format=True)


def _look(run: Path, found: list[cases.Case]) -> tuple[cases.Slices, Prediction]:
    predictor = Predictor(trained.open_run(run), None, 0.5)
    assert len(found) == 1
    slices = predictor.read(found[0], "maximum")
    assert not isinstance(slices, str)
    return slices, predictor.predict([slices])[0]


def _sequences(**paths: Path) -> list[cases.Case]:
    return cases.find(None, {name: str(path) for name, path in paths.items()})[0]


def test_every_format_gives_the_same_verdict(segmenter: Path, pictures: Pictures, tmp_path: Path) -> None:
    predictor = Predictor(trained.open_run(segmenter), None, 0.5)
    for suffix in ("png", "tif"):
        (tmp_path / suffix).mkdir()
        for place, image in enumerate(pictures):
            Image.fromarray(image).save(tmp_path / suffix / f"{place:02d}.{suffix}")
    flat = {}
    for suffix in ("png", "tif"):
        found, *_ = cases.find(str(tmp_path / suffix), {})
        each = predictor.predict([cases.read(case, "maximum", True) for case in found])
        marked = [own.masks[0] for own in each if own.masks is not None]
        flat[suffix] = np.array([own.table["p(tumour)"][0] for own in each]), np.stack(marked)
    np.testing.assert_array_equal(flat["png"][0], flat["tif"][0])
    expected, masks = flat["png"]
    assert masks.any()

    for axes, oblique in (("RAS", 0), ("LPS", 0), ("PIR", 0), ("SLA", 0.3)):
        for channel, name in enumerate(cases.SEQUENCES):
            write_nifti(tmp_path / f"{axes}_{name}.nii.gz", pictures[..., channel], axes, oblique)
        slices, told = _look(
            segmenter, _sequences(**{name: tmp_path / f"{axes}_{name}.nii.gz" for name in cases.SEQUENCES})
        )
        np.testing.assert_array_equal(slices.images, pictures)
        np.testing.assert_array_equal(told.table["p(tumour)"], expected)
        np.testing.assert_array_equal(told.masks, masks)
        assert slices.warnings == []

    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEG2000Lossless):
        for channel, name in enumerate(cases.SEQUENCES):
            _write_series(tmp_path / syntax.name / name, pictures[..., channel], syntax)
        slices, told = _look(segmenter, _sequences(**{name: tmp_path / syntax.name / name for name in cases.SEQUENCES}))
        np.testing.assert_array_equal(slices.images, pictures)
        np.testing.assert_array_equal(told.table["p(tumour)"], expected)
        np.testing.assert_allclose(np.diff(told.table["position_mm"]), 5)


@pytest.mark.parametrize("axes", ["".join(own) for own in itertools.product("RL", "AP", "SI")] + ["SRA", "AIL", "PSR"])
def test_a_mask_comes_back_to_the_voxel(axes: str, tmp_path: Path) -> None:
    slices = np.random.default_rng(0).integers(0, 2, (5, 7, 9), dtype=np.uint8)
    write_nifti(tmp_path / "scan.nii.gz", slices, axes, 0.2)
    volume = nifti.read(tmp_path / "scan.nii.gz")
    grid = Grid.of(volume)
    np.testing.assert_array_equal(grid.slices(volume.values), slices)
    assert grid.millimetres == pytest.approx((0.9, 0.9))
    nifti.write_mask(tmp_path / "mask.nii.gz", grid.volume(slices), volume.affine, tmp_path / "scan.nii.gz")
    scan: Any = nibabel.load(tmp_path / "scan.nii.gz")
    mask: Any = nibabel.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj), np.asarray(scan.dataobj))
    np.testing.assert_array_equal(mask.affine, scan.affine)
    assert mask.get_data_dtype() == np.uint8


def test_dicom_and_nifti_agree_about_space(pictures: Pictures, tmp_path: Path) -> None:
    _write_series(tmp_path / "series", pictures[..., 1])
    (found,) = series.group(sorted((tmp_path / "series").iterdir())).series
    volume = dicom.read(found.paths)
    assert volume.millilitres == pytest.approx(0.9 * 0.9 * 5 / 1000)
    # The first column of the first row: DICOM's left and back are the affine's negative x and y.
    np.testing.assert_allclose(volume.affine @ [0, 0, 0, 1], [115, 110, -30, 1])
    np.testing.assert_allclose(volume.affine @ [1, 2, 3, 1], [115 - 0.9, 110 - 1.8, -15, 1])
    np.testing.assert_array_equal(Grid.of(volume).slices(volume.values), pictures[..., 1].astype(np.float32))


@pytest.mark.parametrize(
    ("changes", "problem", "doubt"),
    [
        ({"ImagePositionPatient": lambda place: [0, 0, 5 * (place // 2)]}, "lie at the place of another", ""),
        ({"ImagePositionPatient": lambda place: [0, 0, 5 * place + 20 * (place > 3)]}, "", "not evenly spaced"),
        ({"ImagePositionPatient": lambda place: [0, 2 * place, 5 * place]}, "", "tilted"),
        ({"NumberOfFrames": 2}, "several frames in one file", ""),
    ],
)
def test_odd_series_are_named(
    changes: dict[str, Any], problem: str, doubt: str, pictures: Pictures, tmp_path: Path
) -> None:
    _write_series(tmp_path / "series", pictures[:8, :, :, 1], **changes)
    (source,) = discovery.discover([str(tmp_path)]).sources
    if problem:
        with pytest.raises(ValueError, match=problem):
            source.read()
        return
    volume = source.read()
    assert isinstance(volume, Volume)
    assert doubt in volume.warnings[0]
    assert not volume.even


def test_monochrome1_is_turned_round(pictures: Pictures, tmp_path: Path) -> None:
    _write_series(tmp_path / "series", pictures[..., 1], PhotometricInterpretation="MONOCHROME1")
    (source,) = discovery.discover([str(tmp_path)]).sources
    volume = source.read()
    assert isinstance(volume, Volume)
    np.testing.assert_array_equal(Grid.of(volume).slices(volume.values), 255.0 - pictures[..., 1])


def test_sequences_must_lie_on_one_grid(pictures: Pictures, tmp_path: Path) -> None:
    write_nifti(tmp_path / "a_flair.nii.gz", pictures[..., 1])
    write_nifti(tmp_path / "a_t1.nii.gz", pictures[1:, :, :, 0])
    with pytest.raises(ValueError, match=r"sequences.t1: lies on another grid than flair"):
        cases.read(_sequences(flair=tmp_path / "*_flair.nii.gz", t1=tmp_path / "*_t1.nii.gz")[0], "maximum", True)
    (case,) = _sequences(flair=tmp_path / "*_flair.nii.gz")
    found = cases.read(case, "maximum", True)
    assert case.name == "a"
    assert found.warnings == [f"{name} is missing and replaced by flair, as in the LGG data" for name in ("t1", "t1ce")]
    np.testing.assert_array_equal(found.images[..., 0], pictures[..., 1])
    (case,) = cases.find(str(tmp_path / "a_flair.nii.gz"), {})[0]
    assert cases.read(case, "maximum", True).warnings == ["one sequence of unknown kind stands in all three channels"]
    for inputs, sequences, message in (
        (None, {"t1": str(tmp_path / "a_t1.nii.gz")}, "sequences.flair: is needed"),
        (None, {}, "give what to predict"),
        ("x", {"flair": "y"}, "give what to predict"),
        ("nowhere", {}, "no such file or folder"),
    ):
        with pytest.raises(ValueError, match=message):
            cases.find(inputs, sequences)


def test_pixels_that_are_not_square_are_fitted_by_millimetres() -> None:
    image = np.zeros((64, 32, 3), np.uint8)
    image[16:48, 8:24] = 200
    fitted = volumes.fit(image, 64, (1.0, 2.0), None)
    assert (fitted[32, 20], fitted[32, 10]) == (pytest.approx(200), pytest.approx(0))
    back = volumes.fit_back(fitted[..., 0].astype(np.float32), (64, 32), (1.0, 2.0))
    assert back.shape == (64, 32)
    assert np.abs((back > 100) - (image[..., 0] > 100).astype(float)).mean() < 0.05


def test_bright_voxels_do_not_change_the_percentile() -> None:
    values = np.random.default_rng(0).uniform(0, 100, (20, 20, 20)).astype(np.float32)
    spoiled = values.copy()
    spoiled[0, 0, 0] = 1e6
    assert volumes.to_bytes(spoiled, "maximum").mean() < 1
    np.testing.assert_allclose(
        volumes.to_bytes(spoiled, "percentile")[1:], volumes.to_bytes(values, "percentile")[1:], atol=1
    )
    assert not volumes.to_bytes(np.zeros((2, 2, 2), np.float32), "maximum").any()


def _odd_files(folder: Path, pictures: Pictures) -> set[str]:
    """Write inputs that cannot be predicted; return the names that their cases get."""
    folder.mkdir()
    write_nifti(folder / "good.nii.gz", pictures[..., 1])
    whole = (folder / "good.nii.gz").read_bytes()
    (folder / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "flat.nii.gz").write_bytes(b"")
    # Far more than the header announces, which is all that is read of it.
    (folder / "bomb.nii.gz").write_bytes(gzip.compress(gzip.decompress(whole)[:352] + b"\0" * 500_000_000, 1))
    header: Any = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).header  # type: ignore[no-untyped-call]
    header["dim"][1:4] = 30000
    (folder / "huge.nii").write_bytes(header.binaryblock + b"\0" * 8)
    for name, values in {"nans": np.full((4, 4, 4), np.nan), "4d": np.zeros((4, 4, 4, 3))}.items():
        nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), np.eye(4)), folder / f"{name}.nii")  # type: ignore[no-untyped-call]
    header["dim"][1:4], header["sform_code"], header["srow_x"] = 2, 1, 0
    (folder / "singular.nii").write_bytes(header.binaryblock + b"\0" * 12)
    (folder / "paper.dcm").write_bytes(b"%PDF-1.7 " + b"x" * 1000)
    (folder / "text.png").write_text("no picture")
    Image.fromarray(pictures[0]).save(folder / "whole.png")
    (folder / "cut.png").write_bytes((folder / "whole.png").read_bytes()[:1000])
    (folder / "whole.png").unlink()
    (folder / "notes.md").write_text("passed over")
    return {"cut", "flat", "huge", "nans", "4d", "singular", "paper", "text"}


def test_no_bad_file_stops_the_others(
    segmenter: Path, detector: Path, pictures: Pictures, tmp_path: Path, command: Command
) -> None:
    bad = _odd_files(tmp_path / "in", pictures)
    arguments = [f"run={segmenter}", f"detector={detector}", "input=in", "output_dir=out"]
    finished = command("predict", *arguments, cwd=tmp_path, check=False)
    assert finished.returncode == 1
    assert "Traceback" not in finished.stderr
    table = pd.read_csv(tmp_path / "out" / "cases.csv", index_col="case")
    assert {name.rpartition("-")[0] or name for name in table.index[table["status"] == "failed"]} == bad
    assert len(table) == len(bad) + 3  # good, bomb, and cut.png beside cut.nii.gz
    assert table["reason"][table["status"] == "failed"].str.len().min() > 10
    assert str(tmp_path) not in " ".join(table["reason"].dropna())
    slices = pd.read_csv(tmp_path / "out" / "slices.csv")
    assert set(slices["case"]) == set(table.index)
    assert (slices["case"] == "good").sum() == len(pictures)
    assert table.loc["good", "volume_ml"] == pytest.approx(slices["area_mm2"].sum() * 5 / 1000)
    mask: Any = nibabel.load(tmp_path / "out" / "masks" / "good.nii.gz")
    assert np.asarray(mask.dataobj).sum() == slices["area_px"].sum()
    with Image.open(tmp_path / "out" / "overlays" / "good.png") as sheet:
        assert sheet.size == (4 * 256, 3 * (256 + 13))
    assert json.loads((tmp_path / "out" / "predict.json").read_text())["passed over"] == 1


def test_it_goes_on_and_shares_work(detector: Path, pictures: Pictures, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for place, image in enumerate(pictures[:10]):
        Image.fromarray(image).save(tmp_path / "in" / f"{place}.png")
    predictor = Predictor(trained.open_run(detector), None, 0.5)
    found, *_ = cases.find(str(tmp_path / "in"), {})
    written = Predictions(tmp_path / "out", {"preset": "maximum"})
    parts = [pipeline.part(found, f"{number}/3") for number in (1, 2, 3)]
    assert sorted(case.name for own in parts for case in own) == sorted(case.name for case in found)
    for own in parts:
        pipeline.run(predictor, own, written, "maximum", overlays=False)
    assert written.finish([case.name for case in found], {}) == []
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / ".cases").iterdir()}
    Image.fromarray(pictures[11]).save(tmp_path / "in" / "3.png")
    pipeline.run(predictor, found, written, "maximum", overlays=False)
    again = {path.name for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert again == {"3.json"}
    # What other models have made of cases that are not done again yet is no result of these.
    other = Predictions(tmp_path / "out", {"preset": "percentile"})
    pipeline.run(predictor, parts[0], other, "percentile", overlays=False)
    other.finish([case.name for case in found], {})
    table = pd.read_csv(tmp_path / "out" / "cases.csv", dtype={"case": str})
    assert sorted(table["case"]) == sorted(case.name for case in parts[0])
    with pytest.raises(ValueError, match="part=4/3: write 1/4"):
        pipeline.part(found, "4/3")


def test_nothing_of_a_patient_leaves_a_header(
    detector: Path, pictures: Pictures, tmp_path: Path, command: Command
) -> None:
    _write_series(tmp_path / "in", pictures[:4, :, :, 1])
    finished = command("predict", f"run={detector}", "input=in", "output_dir=out", "pages=true", cwd=tmp_path)
    written = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    for text in [finished.stdout.encode(), finished.stderr.encode(), *written]:
        assert not any(secret in text for secret in (b"Doe", b"Jane", b"4711", b"19700101"))
    table = pd.read_csv(tmp_path / "out" / "cases.csv")
    assert table["case"][0].startswith("dicom-")
    # A classifier marks nothing, and leaves no empty folder for masks.
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {".cases", "cases.csv", "overlays", "pages", "predict.json", "slices.csv"}
    assert f"{table['p_max'][0]:.3f}" in finished.stdout.split()


@pytest.mark.filterwarnings("ignore")  # of what is odd about these files
def test_files_that_nobody_wrote_for_this() -> None:
    folders = [Path(pydicom.__file__).parent / "data" / "test_files", Path(nibabel.__file__).parent / "tests" / "data"]
    found, _, skipped = cases.find([str(folder) for folder in folders], {})
    names = {case.name: cases.try_read(case, "maximum", True) for case in found}
    files = {path.name: names[case.name] for case in found for path in case.paths}
    good = [own for own in names.values() if not isinstance(own, str)]
    assert all(own.images.dtype == np.uint8 and own.images.shape[3] == 3 for own in good)
    assert all(len(own) < 400 for own in names.values() if isinstance(own, str))
    assert len(names) > 100
    # Single axial slices of MR.
    slices = {name for name, own in files.items() if not isinstance(own, str) and not name.endswith(".nii")}
    assert slices == {"4981", "6273", "examples_overlay.dcm"}
    for name, said in {
        "CT_small.dcm": "is a computed tomography", "6154": "is an X-ray", "examples_palette.dcm": "is ultrasound",
        "0.dcm": "is a mosaic", "4467": "is a projection", "SC_rgb_jls_lossy_line.dcm": "is in colour",
        "JPEGLSNearLossless_08.dcm": "is a secondary capture",
        "15820": "as of a sagittal scan of 1 slice", "test.mgz": "a FreeSurfer volume", "tiny.mnc": "MINC",
        "nifti1.hdr": "nifti1.img is not beside it", "analyze.hdr": "an Analyze volume",
    }.items():  # fmt: skip
        assert said in str(files[name]), (name, files[name])
    # One slice in seven encodings, gzipped and big-endian among them; an eighth file is cut short.
    assert "MR_truncated.dcm: its pixels cannot be decoded" in str(files["MR_small.dcm"])
    (copies,) = (case for case in found if len(case.paths) == 10)
    whole = tuple(path for path in copies.paths if path.name != "MR_truncated.dcm")
    slice_ = cases.read(Case("copies", {"": Source("copies", "dicom", whole)}), "maximum", False)
    assert slice_.images.shape == (1, 64, 64, 3)
    assert slice_.warnings == ["8 of its 9 files are copies of others"]
    unread = {path.name for path in skipped}
    assert unread >= {"DICOMDIR", "rtplan.dcm", "rtstruct.dcm", "test-SR.dcm", "liver_1frame.dcm", "reportsi.dcm"}
    anatomical = names["anatomical"]
    assert not isinstance(anatomical, str)
    assert anatomical.grid is not None
    assert anatomical.grid.shape == (33, 41, 25)


@pytest.mark.filterwarnings("ignore")  # of what is odd about these files
def test_dicom_that_other_makers_wrote() -> None:
    """Siemens' mosaics, Philips' enhanced files and private scales, and names in many scripts; highdicom has none."""
    folders = [Path(nibabel.__file__).parent / "nicom" / "tests" / "data"]
    folders += [Path(pydicom.__file__).parent / "data" / "charset_files"]
    found = cases.find([str(folder) for folder in folders], {}).cases
    read = {path.name: one for case in found for one in [cases.try_read(case, "maximum", True)] for path in case.paths}
    images = {name: one for name, one in read.items() if not isinstance(one, str)}
    assert {name: one.images.shape for name, one in images.items()} == {
        "philips_mprage.dcm.gz": (256, 256, 176, 3), "decimal_rescale.dcm": (1, 96, 128, 3)
    }  # fmt: skip
    assert "shows a part of complex values, not magnitudes" in images["decimal_rescale.dcm"].warnings
    for name, said in {
        "0.dcm": "is a mosaic", "siemens_dwi_1000.dcm.gz": "is a mosaic", "csa_slice_norm.dcm": "is a mosaic",
        "slicethickness_empty_string.dcm": "is a projection", "chrSQEncoding.dcm": "without its image",
        "chrJapMulti.dcm": "is an X-ray", "chrArab.dcm": "is of another modality (OT)",
    }.items():  # fmt: skip
        assert said in str(read[name]), (name, read[name])
