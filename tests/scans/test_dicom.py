"""DICOM: what belongs together, what is no slice of MR, and that intensities are those of the scanner."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from brain_tumor.scans import cases, dicom_file, discovery
from brain_tumor.scans.cases import Case, Slices

COUNT = 12
SECRETS = {"PatientName": "Doe^Jane", "PatientID": "4711", "PatientBirthDate": "19700101", "SeriesDescription": "Roe"}


@pytest.fixture(scope="module")
def slices() -> NDArray[np.uint16]:
    """Twelve unlike slices of 24 x 20 pixels, the brightest 1000."""
    drawn = np.random.default_rng(0).integers(0, 900, (COUNT, 24, 20)).astype(np.uint16)
    drawn[5, 3, 3] = 1000
    return drawn


def image(pixels: NDArray[Any], place: int = 0, **changes: Any) -> Dataset:
    """Make an axial image; a change may be a value, a function of the place, or None for an element left out."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = MRImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    for name, value in SECRETS.items():
        setattr(made, name, value)
    made.SeriesInstanceUID, made.StudyInstanceUID, made.Modality, made.InstanceNumber = "1.2.3", "1.2", "MR", place + 1
    made.Rows, made.Columns = pixels.shape
    made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-10, -12, 5 * place]
    made.PixelSpacing, made.SliceThickness = [1, 1], 5
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.PixelData = pixels.astype("<i2" if changes.get("PixelRepresentation") else "<u2").tobytes()
    for name, value in changes.items():
        value = value(place) if callable(value) else value
        if value is None and name in made:
            delattr(made, name)
        elif value is not None:
            setattr(made, name, value)
    return made


def write(folder: Path, drawn: NDArray[Any], name: str = "{:03d}.dcm", **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for place, pixels in enumerate(drawn):
        image(pixels, place, **changes).save_as(folder / name.format(place), enforce_file_format=True)
    return folder


def look(folder: Path) -> list[tuple[Case, Slices | str]]:
    found = [(case, cases.try_read(case, "maximum", False)) for case in cases.find(str(folder), {}).cases]
    for case, read in found:
        said = [case.name, case.files(), *([read] if isinstance(read, str) else read.warnings)]
        assert not any(secret in text for text in said for secret in ("Doe", "Jane", "4711", "1970", "Roe")), said
    return found


def one(folder: Path) -> Slices:
    """Read the only case in a folder."""
    ((_, read),) = look(folder)
    assert isinstance(read, Slices), read
    return read


def reason(folder: Path) -> str:
    """Return why the only case in a folder cannot be read."""
    ((_, read),) = look(folder)
    assert isinstance(read, str)
    return read


def scaled(slices: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale as the volume's maximum asks for."""
    levels: NDArray[np.uint8] = (slices.astype(np.float32) * (255 / np.float32(slices.max()))).round().astype(np.uint8)
    return levels


def jitter(place: int) -> list[float]:
    """Turn by hundredths of a degree about an angle whose cosine is where rounding to three decimals decides."""
    angle = np.arccos(0.9995) + np.radians([0, 1e-4, -0.03, 0.02][place % 4])
    return [np.cos(angle), np.sin(angle), 0, -np.sin(angle), np.cos(angle), 0]


UNSCALED = "11 of its 12 images have no RescaleSlope; 1 is taken"
PUT_TOGETHER = "12 images without a common series UID were put together by their geometry"


@pytest.mark.parametrize(
    ("changes", "warnings"),
    [
        ({}, []),
        ({"ImageOrientationPatient": jitter}, []),
        ({"ImageOrientationPatient": lambda place: [1, 5e-4 * (place % 2), 0, -5e-4 * (place % 2), 1, 0]}, []),
        ({"SeriesInstanceUID": lambda place: f"1.2.3.{place + 1}"}, [PUT_TOGETHER]),
        ({"SeriesInstanceUID": None}, [PUT_TOGETHER]),
        ({"SOPInstanceUID": "1.2.3"}, []),
        ({"SOPInstanceUID": None, "SeriesInstanceUID": None, "InstanceNumber": None}, [PUT_TOGETHER]),
        (
            {"PixelSpacing": lambda place: None if place == 4 else [1, 1]},
            ["1 image without PixelSpacing (004.dcm); that of the others is taken"],
        ),
        ({"Modality": None}, ["does not say its modality; the runs have seen MR only"]),
        ({"EchoTime": lambda place: 20 + place % 2}, ["its images have several echo times"]),
        ({"RescaleSlope": lambda place: None if place else 1}, [UNSCALED]),
        ({"RescaleSlope": "", "RescaleIntercept": ""}, []),
        ({"RescaleSlope": "2"}, []),
        ({"PatientID": str}, ["its images name several patients or studies"]),
        ({"LossyImageCompression": "01"}, ["was compressed with loss"]),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P"]}, ["shows phases, not magnitudes"]),
    ],
)  # fmt: skip
def test_what_belongs_together_is_one_volume(
    changes: dict[str, Any], warnings: list[str], slices: NDArray[np.uint16], tmp_path: Path
) -> None:
    if callable(changes.get("RescaleSlope")):
        changes = {**changes, "RescaleIntercept": 0}
    found = one(write(tmp_path, slices, **changes))
    np.testing.assert_array_equal(found.images[..., 0], scaled(slices))
    assert found.warnings == warnings
    assert found.volume is not None
    assert found.volume.even
    assert found.volume.millilitres == pytest.approx(0.005, rel=1e-3)


def test_a_copied_file_counts_once(slices: NDArray[np.uint16], tmp_path: Path) -> None:
    write(tmp_path, slices)
    for name in ("004", "007"):
        (tmp_path / f"{name} (1).dcm").write_bytes((tmp_path / f"{name}.dcm").read_bytes())
    found = one(tmp_path)
    np.testing.assert_array_equal(found.images[..., 0], scaled(slices))
    assert found.warnings == ["2 of its 14 files are copies of others"]
    image(slices[4] // 2, 4).save_as(tmp_path / "echo.dcm", enforce_file_format=True)
    assert "1 image lies at the place of another (several echoes" in reason(tmp_path)


def test_a_slice_without_a_place_is_missed(slices: NDArray[np.uint16], tmp_path: Path) -> None:
    write(tmp_path / "one", slices, ImagePositionPatient=lambda place: None if place == 11 else [0, 0, 5 * place])
    found = one(tmp_path / "one")
    assert found.warnings == ["1 image without a place in space left out (011.dcm); no volume is given"]
    assert found.volume is not None
    assert not found.volume.even
    np.testing.assert_array_equal(found.images[..., 0], scaled(slices)[:11])
    write(tmp_path / "half", slices, ImagePositionPatient=lambda place: None if place % 2 else [0, 0, 5 * place])
    assert "6 of 12 images of one series have no place in space" in reason(tmp_path / "half")


def test_what_is_not_known_in_millimetres_is_not_told(slices: NDArray[np.uint16], tmp_path: Path) -> None:
    unknown: dict[str, dict[str, Any]] = {
        "spacing": {"PixelSpacing": None},
        "places": {"ImagePositionPatient": None, "InstanceNumber": lambda place: COUNT - place},
    }
    for name, changes in unknown.items():
        found = one(write(tmp_path / name, slices, **changes))
        expected = scaled(slices) if name == "spacing" else scaled(slices)[::-1]
        np.testing.assert_array_equal(found.images[..., 0], expected)
        assert "no millimetres" in found.warnings[0]
        assert found.volume is not None
        assert found.grid is not None
        assert not found.volume.even
        assert np.isnan(found.millimetres).all()
        assert np.isnan(found.grid.positions).all()
    found = one(write(tmp_path / "thickness", slices[:1], SliceThickness=None))
    assert found.warnings == ["does not say how thick its only slice is: no volume is given"]
    assert found.volume is not None
    assert not found.volume.even
    assert found.millimetres == (1, 1)


def test_unlike_images_of_one_uid_are_cases_of_their_own(slices: NDArray[np.uint16], tmp_path: Path) -> None:
    write(tmp_path / "sizes", slices[:6])
    write(tmp_path / "sizes", slices[6:, :16], "small{:03d}.dcm")
    write(tmp_path / "spacing", slices, PixelSpacing=lambda place: [1 + place // 6, 1 + place // 6])
    write(tmp_path / "reversed", slices, ImageOrientationPatient=lambda place: [1, 0, 0, 0, 1 - 2 * (place // 6), 0])
    write(tmp_path / "patients", slices, PatientID=lambda place: f"471{place // 6}")
    for name in ("sizes", "spacing", "reversed", "patients"):
        found = look(tmp_path / name)
        assert len({case.name for case, _ in found}) == 2
        for _, read in found:
            assert isinstance(read, Slices)
            assert len(read.images) == 6
            words = "2 patients or studies" if name == "patients" else "2 sizes, spacings or directions; each is a case"
            assert words in read.warnings[0]


def test_images_that_may_belong_together_say_so(slices: NDArray[np.uint16], tmp_path: Path) -> None:
    uids: Callable[[int], str] = lambda place: f"1.2.3.{place + 1}"  # noqa: E731
    apart = [0, 5, 13, 19, 36, 37.5, 50, 61, 70, 71, 79, 93]
    write(tmp_path / "apart", slices, SeriesInstanceUID=uids, ImagePositionPatient=lambda place: [0, 0, apart[place]])
    write(tmp_path / "facts", slices, SeriesInstanceUID=uids, StudyInstanceUID=uids)
    for name in ("apart", "facts"):
        found = look(tmp_path / name)
        assert len(found) == COUNT
        for _, read in found:
            assert isinstance(read, Slices)
            assert read.warnings == ["one image by itself, though 11 others of its folder may belong to it"]
    write(tmp_path / "two", slices, SeriesInstanceUID=None)
    write(tmp_path / "two", slices[::-1], "b{:03d}.dcm", SeriesInstanceUID=None)
    assert "24 images without a series UID lie at 12 places" in reason(tmp_path / "two")


CSA = b"SV10" + b"\0" * 12 + b"NumberOfImagesInMosaic".ljust(64, b"\0") + b"\1\0\0\0US\0\0\0\0\0\0\6\0\0\0M\0\0\0"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]}, "is a mosaic"),
        ({"AcquisitionMatrix": [0, 4, 4, 0], "Rows": 20}, "is a mosaic"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "is a localizer"),
        ({"ImageType": ["DERIVED", "SECONDARY", "PROJECTION IMAGE"]}, "is a projection"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "is a screenshot"),
        ({"SOPClassUID": SecondaryCaptureImageStorage, "ImagePositionPatient": None}, "is a secondary capture"),
        ({"Modality": "CT", "SOPClassUID": CTImageStorage}, r"is a computed tomography \(CT\), not MR"),
        ({"Modality": None, "SOPClassUID": CTImageStorage}, r"is no image of MR \(CT Image Storage\)"),
        ({"Modality": "DX"}, r"is an X-ray \(DX\), not MR"),
        ({"Modality": "US"}, r"is ultrasound \(US\), not MR"),
        ({"Modality": "PT"}, r"is PET \(PT\), not MR"),
        ({"Modality": "DOE"}, "is of a modality that is not known, not MR"),
        ({"NumberOfFrames": 2}, "several frames in one file"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "is in colour"),
        ({"PixelSpacing": [30, 30]}, "would be 720 mm wide"),
        (
            {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
            "slices are 20 x 1 pixels, as of a sagittal scan of 1",
        ),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "slices are 1 x 20 pixels, as of a coronal scan of 1"),
        ({"ImageOrientationPatient": [1, 0, 0, 0.5, 1, 0]}, "no right angle"),
    ],
)
def test_other_images_are_refused_by_name(
    changes: dict[str, Any], said: str, slices: NDArray[np.uint16], tmp_path: Path
) -> None:
    rows = changes.get("Rows", 24)
    write(tmp_path, slices[:1, :rows], **changes)
    text = reason(tmp_path)
    assert text.startswith("000.dcm: ") or "axial" in text
    with pytest.raises(ValueError, match=said):
        raise ValueError(text)


def test_mosaics_are_known_by_siemens_own_elements(slices: NDArray[np.uint16], tmp_path: Path) -> None:
    item = b"\6\0\0\0\6\0\0\0\6\0\0\0\6\0\0\0"
    for name, group, creator, element, value in (
        ("count", 0x19, "SIEMENS MR HEADER", (0x0A, "US"), 20),
        ("csa", 0x29, "SIEMENS CSA HEADER", (0x10, "OB"), CSA + item + b"20\0\0\0\0" + b"\0" * 20),
        ("none", 0x29, "SIEMENS CSA HEADER", (0x10, "OB"), CSA + b"\0" * 40),
    ):
        made = image(slices[0])
        made.private_block(group, creator, create=True).add_new(element[0], element[1], value)
        (tmp_path / name).mkdir()
        made.save_as(tmp_path / name / "a.dcm", enforce_file_format=True)
    assert "is a mosaic" in reason(tmp_path / "count")
    assert "is a mosaic" in reason(tmp_path / "csa")
    assert len(one(tmp_path / "none").images) == 1


def test_padding_is_background(slices: NDArray[np.uint16], tmp_path: Path) -> None:
    ring = np.zeros(slices.shape, bool)
    ring[:, :2] = ring[:, :, :2] = True
    expected = np.where(ring, 0, slices)
    for name, value, changes in (
        ("value", 65535, {"PixelPaddingValue": 65535}),
        ("range", 64000, {"PixelPaddingValue": 63990, "PixelPaddingRangeLimit": 65000}),
        ("inverse", 65535, {"PixelPaddingValue": 65535, "PhotometricInterpretation": "MONOCHROME1"}),
        ("shape", 65535, {"PixelPaddingValue": 65535, "PresentationLUTShape": "INVERSE"}),
        ("implicit", 65535, {"PixelPaddingValue": 65535}),
    ):
        folder = write(tmp_path / name, np.where(ring, value, slices), **changes)
        if name == "implicit":
            for path in folder.iterdir():
                _implicit(path)
        known = slices[~ring].astype(int)
        turned = (
            np.where(ring, 0, known.max() + known.min() - slices.astype(int))
            if name in {"inverse", "shape"}
            else expected
        )
        np.testing.assert_array_equal(one(folder).images[..., 0], scaled(turned))
    # Signed pixels whose padding is written as if they were not, with values below 0 beside it.
    low = np.where(ring, -2000, slices.astype(int) - 100)
    signed = write(tmp_path / "signed", low, PixelRepresentation=1, PixelPaddingValue=-2000)
    found = one(signed)
    np.testing.assert_array_equal(found.images[..., 0][ring], 0)
    np.testing.assert_allclose(found.images[..., 0][~ring], scaled(slices)[~ring], atol=1)
    assert "negative intensities" in found.warnings[0]


def _implicit(path: Path) -> None:
    made = pydicom.dcmread(path)
    made.decode()
    made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    made.save_as(path, enforce_file_format=True)


def test_negative_values_are_shifted_with_a_word(slices: NDArray[np.uint16], tmp_path: Path) -> None:
    write(tmp_path / "signed", slices.astype(int) - 500, PixelRepresentation=1)
    write(tmp_path / "slope", slices, RescaleSlope="2", RescaleIntercept="-1000")
    for name in ("signed", "slope"):
        found = one(tmp_path / name)
        np.testing.assert_allclose(found.images[..., 0], scaled(slices), atol=1)
        assert "has negative intensities" in found.warnings[0]


def test_mixed_photometric_interpretations_are_refused(slices: NDArray[np.uint16], tmp_path: Path) -> None:
    write(tmp_path, slices, PhotometricInterpretation=lambda place: f"MONOCHROME{1 + place % 2}")
    assert "some of its images are MONOCHROME1 and some are not" in reason(tmp_path)


def test_objects_without_an_image_are_left_out_of_folders(slices: NDArray[np.uint16], tmp_path: Path) -> None:
    write(tmp_path, slices)
    selection = Dataset()
    selection.file_meta = FileMetaDataset()
    selection.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    selection.SOPClassUID = selection.file_meta.MediaStorageSOPClassUID = KeyObjectSelectionDocumentStorage
    selection.SOPInstanceUID = selection.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    selection.Modality, selection.PatientName = "KO", "Doe^Jane"
    selection.save_as(tmp_path / "KO.dcm", enforce_file_format=True)
    image(slices[0], Modality="SEG").save_as(tmp_path / "SEG.dcm", enforce_file_format=True)
    found = discovery.discover([str(tmp_path)])
    assert len(found.sources) == 1
    assert found.skipped == {
        tmp_path / "KO.dcm": "a DICOM file that holds no image (Key Object Selection Document Storage)",
        tmp_path / "SEG.dcm": "is a segmentation (SEG), not a scan",
    }
    (alone,) = discovery.discover([str(tmp_path / "KO.dcm")]).sources
    assert "holds no image" in alone.problem
    (tmp_path / "only").mkdir()
    (tmp_path / "KO.dcm").rename(tmp_path / "only" / "KO.dcm")
    with pytest.raises(ValueError, match=r"holds nothing to predict; KO.dcm: a DICOM file that holds no image"):
        cases.find(str(tmp_path / "only"), {})


def test_files_are_read_whatever_they_are_written_in(slices: NDArray[np.uint16], tmp_path: Path) -> None:
    """Gzipped, without preamble, without any first part, implicit, big-endian: all are one series."""
    (tmp_path / "in").mkdir()
    for place, pixels in enumerate(slices):
        made = image(pixels, place)
        if place % 4 == 1:
            made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        elif place % 4 == 2:
            made.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
            made.PixelData = pixels.astype(">u2").tobytes()
        whole = io.BytesIO()
        made.save_as(whole, enforce_file_format=True)
        content = whole.getvalue()
        if place < 4:  # the bare data set, which begins with group 8
            start = content.index((b"\0\x08\0\x16" if place == 2 else b"\x08\0\x16\0"), 300)
            content = content[start:]
        elif place < 8:
            content = gzip.compress(content)
        else:
            content = content[132:]
        (tmp_path / "in" / (f"{place:03d}" + (".dcm.gz" if place == 5 else ""))).write_bytes(content)
    found = one(tmp_path / "in")
    np.testing.assert_array_equal(found.images[..., 0], scaled(slices))
    assert found.warnings == []


def test_gzipped_bombs_are_refused(slices: NDArray[np.uint16], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_file, "_MOST_INFLATED", 2**20)
    content = io.BytesIO()
    image(slices[0]).save_as(content, enforce_file_format=True)
    (tmp_path / "bomb.dcm.gz").write_bytes(gzip.compress(content.getvalue() + b"\0" * 2**21))
    assert "unpacks to more than 1,048,576 bytes" in reason(tmp_path)


def test_the_stored_bits_count(slices: NDArray[np.uint16], tmp_path: Path) -> None:
    """Twelve bits of sixteen, with an overlay in the others."""
    marked = slices | np.uint16(0xF000) * (np.arange(20) % 2).astype(np.uint16)
    found = one(write(tmp_path / "overlay", marked, BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(found.images[..., 0], scaled(slices))
    assert "stand in the upper 12 of 16 bits" in reason(write(tmp_path / "left", slices << 4, BitsStored=12))


def test_slices_far_apart_have_no_volume(slices: NDArray[np.uint16], tmp_path: Path) -> None:
    far = one(write(tmp_path, slices, ImagePositionPatient=lambda place: [0, 0, 12 * place]))
    assert far.warnings == ["slices are 12 mm apart and 5 mm thick; nobody sees what lies between: no volume is given"]
    assert far.volume is not None
    assert not far.volume.even


def test_a_sagittal_volume_is_coarse_from_above(slices: NDArray[np.uint16], tmp_path: Path) -> None:
    write(
        tmp_path, slices,
        ImageOrientationPatient=[0, 1, 0, 0, 0, -1],
        ImagePositionPatient=lambda place: [5 * place, 0, 0],
    )  # fmt: skip
    found = one(tmp_path)
    assert found.images.shape == (24, 20, COUNT, 3)
    assert found.warnings == ["its axial slices have pixels of 1.0 x 5.0 mm, coarser than the runs have seen"]


def test_a_position_is_that_of_the_slices_centre(slices: NDArray[np.uint16], tmp_path: Path) -> None:
    tilt = np.radians(20)
    down = [0, np.cos(tilt), -np.sin(tilt)]
    write(tmp_path, slices, ImageOrientationPatient=[1, 0, 0, *down])
    found = one(tmp_path)
    assert found.grid is not None
    assert found.grid.positions[0] == pytest.approx(-11.5 * np.sin(tilt))
