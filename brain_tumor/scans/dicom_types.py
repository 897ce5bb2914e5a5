"""Tell the type of a DICOM image by its header: MR slices are read, other types are refused by name."""

import re
from typing import TYPE_CHECKING

from brain_tumor.scans import dicom_frames
from brain_tumor.scans.dicom_file import number, numbers, words

if TYPE_CHECKING:
    from pydicom import Dataset

_OTHERS = {
    "CT": "a computed tomography", "CR": "an X-ray", "DX": "an X-ray", "RG": "an X-ray", "XA": "an X-ray",
    "RF": "an X-ray", "MG": "a mammography", "US": "ultrasound", "IVUS": "ultrasound", "PT": "PET",
    "NM": "nuclear medicine", "OT": "of another modality", "SC": "a secondary capture", "ES": "endoscopy",
    "GM": "microscopy", "SM": "microscopy", "OP": "of the eye", "OCT": "of the eye", "XC": "a photograph",
    "PX": "an X-ray", "IO": "an X-ray", "BI": "a biomagnetic image", "TG": "a thermography",
}  # fmt: skip
# Objects that are made from images and are no scans: beside a scan they are skipped.
_NO_SCANS = {
    "SEG": "a segmentation", "RTDOSE": "a dose", "RTSTRUCT": "a plan's structures", "RTPLAN": "a plan",
    "RTIMAGE": "a plan's image", "RTRECORD": "a treatment's record", "REG": "a registration", "SR": "a report",
    "PR": "a presentation", "KO": "a selection", "DOC": "a document", "ECG": "an ECG", "FID": "marks",
    "PLAN": "a plan",
}  # fmt: skip
_NOT_SLICES = {
    **dict.fromkeys(("MOSAIC", "MONTAGE", "VFRAME"), "a mosaic, many slices as tiles of one image"),
    "LOCALIZER": "a localizer, a few slices to plan a scan by",
    **dict.fromkeys(
        ("PROJECTION IMAGE", "MIP", "MIN IP", "MINIP", "MNIP", "CSA MIP", "MAXIP"),
        "a projection, many slices seen through",
    ),
    **dict.fromkeys(
        ("SCREEN SAVE", "SCREENSAVE", "SCREENSHOT", "SCREEN CAPTURE", "CSA REPORT", "CSA AVECTOR", "CSA BLACK IMAGE"),
        "a screenshot",
    ),
}  # fmt: skip
COMPUTED = {
    **dict.fromkeys(("P", "PHASE", "PHASE MAP"), "shows phases, not magnitudes"),
    **dict.fromkeys(("R", "REAL", "I", "IMAGINARY"), "shows a part of complex values, not magnitudes"),
    **dict.fromkeys(("ADC", "FA", "TRACEW", "TENSOR", "DIFFUSION"), "is a diffusion image, unlike all training data"),
    **dict.fromkeys(("SUB", "SUBTRACTION", "SUBTRACT"), "is a difference of two images"),
    "T1 MAP": "is a map computed from images", "T2 MAP": "is a map computed from images",
}  # fmt: skip
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # secondary captures; also the start of their newer classes
_ENHANCED = ("1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.3", "1.2.840.10008.5.1.4.1.1.4.4")
_WIDEST = 700.0  # millimetres; no scanner's field of view is wider
_TILES = 5  # times the acquired matrix: a wider image is tiled; interpolation makes images two to four times as wide
# Private elements that hold how many slices an image shows as tiles, with their makers.
_COUNTS = ((0x0019, 0x0A, "SIEMENS MR HEADER"), (0x0065, 0x50, "IMAGE PRIVATE HEADER"))
_TYPE_TEXT = (0x0021, 0x75, "SIEMENS MR SDI 02")
_CSA = (0x0029, 0x10, "SIEMENS CSA HEADER")
_BLOCKS = range(0x10, 0x18)  # which makers reserve for themselves
_CSA_COUNT = b"NumberOfImagesInMosaic\0"


def not_a_scan(header: "Dataset") -> str:
    """Return what an object is that was made from images and is no scan; "" for a scan."""
    name = _modality(header)
    return f"is {_NO_SCANS[name]} ({name}), not a scan" if name in _NO_SCANS else ""


def problem(header: "Dataset") -> str:
    """Return why an image of this type is not read; "" for one that is.

    The text quotes known words only, so that nothing private leaves the header.
    """
    name = _modality(header)
    if name and name != "MR":
        what = f"{_OTHERS[name]} ({name})" if name in _OTHERS else "of a modality that is not known"
        return f"is {what}, not MR; the runs have seen MR only"
    if not name and (other := _other_class(header)):
        return f"is no image of MR ({other}); the runs have seen MR only"
    enhanced = dicom_frames.is_enhanced(header)
    if not enhanced and ((number(header, "NumberOfFrames") or 1) != 1 or str(header.get("SOPClassUID")) in _ENHANCED):
        return (
            "several frames in one file that is no whole enhanced MR image, so that nobody knows where each lies; "
            "convert it to NIfTI"
        )
    for word in words(header, "ImageType"):
        if word in _NOT_SLICES:
            return f"is {_NOT_SLICES[word]}, which is not read"
    if _tiles(header) > 1:
        return f"is {_NOT_SLICES['MOSAIC']}, which is not read"
    coloured = words(header, "PhotometricInterpretation") == ["PALETTE COLOR"]
    if coloured or (number(header, "SamplesPerPixel") or 1) != 1:
        return "is in colour (a screenshot, or a map computed from images), not intensities"
    if is_capture(header) and not len(numbers(header, "ImagePositionPatient")):
        return "is a secondary capture (a screenshot, or a scanned film), which is not read"
    spacing = numbers(header, "PixelSpacing")
    if len(spacing) == 2 and max(spacing[0] * header.Rows, spacing[1] * header.Columns) > _WIDEST:
        side = max(spacing[0] * header.Rows, spacing[1] * header.Columns)
        return f"would be {side:.0f} mm wide, wider than any field of view: a sheet of tiles, or a wrong PixelSpacing"
    return ""


def doubts(header: "Dataset") -> list[str]:
    """Return warnings about an image that is read."""
    notes = [] if _modality(header) else ["does not say its modality; the runs have seen MR only"]
    if is_capture(header):
        notes.append("is called a secondary capture; its intensities may have been changed")
    kinds = [*words(header, "ImageType")[2:], *words(header, "ComplexImageComponent")]
    notes += [COMPUTED[word] for word in kinds if word in COMPUTED]
    if words(header, "LossyImageCompression") == ["01"]:
        notes.append("was compressed with loss")
    if words(header, "BurnedInAnnotation") == ["YES"]:
        notes.append("has text burnt into its images")
    return list(dict.fromkeys(notes))


def _modality(header: "Dataset") -> str:
    return next(iter(words(header, "Modality")), "")


def _other_class(header: "Dataset") -> str:
    """Return the name of an image class other than MR's; "" for MR, captures and unknown classes."""
    from pydicom.uid import UID

    name = UID(str(header.get("SOPClassUID", ""))).name
    known = "Image Storage" in name and not is_capture(header)
    return name if known and "MR Image" not in name else ""


def is_capture(header: "Dataset") -> bool:
    """Return whether an image is a secondary capture: a screenshot, a scanned film, or made by some program."""
    name = str(header.get("SOPClassUID", ""))
    return name == _CAPTURE or name.startswith(f"{_CAPTURE}.")


def _tiles(header: "Dataset") -> int:
    """Return how many slices an image shows side by side, by private elements or by the acquired matrix."""
    for mark in _COUNTS:
        count = _private(header, *mark)
        if isinstance(count, bytes):
            count = int.from_bytes(count[:2], "little")
        if isinstance(count, int | float) and count > 1:
            return int(count)
    if "MOSAIC" in re.split(r"[\W_]+", str(_private(header, *_TYPE_TEXT)).upper()):
        return 2
    content = _private(header, *_CSA)
    if isinstance(content, bytes) and (tiles := _csa_tiles(content)) > 1:
        return tiles
    matrix = numbers(header, "AcquisitionMatrix")
    widest = max(matrix, default=0)
    if widest and header.Rows == header.Columns and header.Rows >= _TILES * widest and header.Rows % widest == 0:
        return int(header.Rows // widest) ** 2
    return 1


def _private(header: "Dataset", group: int, element: int, creator: str) -> object:
    """Return a private element's value from the block that its maker has reserved; None where there is none."""
    for block in _BLOCKS:
        place, reserved = (group, block << 8 | element), (group, block)
        if place in header and reserved in header and str(header[reserved].value).strip().upper() == creator:
            return header[place].value
    return None


def _csa_tiles(content: bytes) -> int:
    """Return the number of tiles in Siemens' CSA header: 84 bytes of an entry, 16 of its first item, then a text."""
    start = content.find(_CSA_COUNT)
    if start < 0:
        return 1
    text = content[start + 100 : start + 112].split(b"\0")[0].strip()
    return int(text) if text.isdigit() else 1
