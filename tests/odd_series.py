"""The table of DICOM series (see `tests.odd_dicom` for how they are written)."""

import gzip
from collections.abc import Callable
from typing import Any

from pydicom import uid

from tests.odd import AXES, HEAD, SLICE, Array, Disguise, refused, right_or, right_with, warned
from tests.odd_dicom import (
    another_size,
    commas,
    copied,
    cut,
    dicom,
    document,
    doubling,
    floats,
    frames,
    headless,
    in_colours,
    jittering,
    long_numbers,
    mosaic,
    nodding,
    off,
    on_a_disc,
    ringed,
    together,
    without,
)

_ORDER = "InstanceNumber|place in space|position|orientation|spacing|millimet"
_GROUP = "series|belong|place of another"
_TWICE = "(?i)twice|cop(y|ies)|same"
_GAP = "evenly|gap|missing"
_PLANE = "(?i)localizer|scout|planes?|sagittal|coronal|one slice|single slice|one image"
_MOSAIC = "(?i)mosaic|montage|tiles"
_LOCALIZER = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
_CIRCLE = ringed(65535, "<u2")
_HIGHER = off((0, 0, 1), lambda _: 2.5)
_NO_POSITION = without(2, off((0, 0, 0), float))
_NO_ORIENTATION = without(2, lambda _: [1, 0, 0, 0, 1, 0])
_EVERY = {"SeriesInstanceUID": lambda place: f"1.2.392.200036.9116.1.{place + 1}"}
_ONE: dict[str, Any] = {"SeriesInstanceUID": "1.2.3"}
_NONE: dict[str, Any] = {"SeriesInstanceUID": None}
_DOUBLED: dict[str, Any] = {  # every second slice is stored doubled
    "stored": lambda pixels, place: (pixels * (1 + place % 2)).astype("<u2"),
    "RescaleSlope": lambda place: "0.5" if place % 2 else "1",
    "RescaleIntercept": 0,
}


def _brighter(factor: int) -> Callable[[Array, int], Array]:
    return lambda pixels, _: (pixels * factor).astype("<u2")


_THREE_PLANES = together(*(
    dicom(axes=axes, places=[15], name=f"{axes}.dcm", ImageType=_LOCALIZER, **_ONE) for axes in ("PIR", "LIP", "LPS")
))  # fmt: skip

DICOM = [
    # Names and order
    Disguise("plain", 0, dicom()),
    Disguise("names in disorder", 0, dicom(name=lambda place: f"{place * 7 % 20}.dcm")),
    Disguise("names without suffix", 0, dicom(name="IM{:d}")),
    Disguise("names of UIDs", 0, dicom(name="1.2.840.113619.2.176.{:d}")),
    Disguise(".IMA", 0, dicom(name="{:d}.IMA")),
    Disguise("a folder a slice", 0, dicom(name="{0:d}/{0:d}")),
    Disguise("instance numbers fall", 0, dicom(InstanceNumber=lambda place: 20 - place)),
    Disguise("no instance numbers", 0, dicom(InstanceNumber=None)),
    # What belongs together
    *(Disguise(f"orientation jitters by {size:g}", 4, jittering(size)) for size in (1e-6, 1e-5, 1e-4)),
    Disguise("positions jitter", 0, dicom(ImagePositionPatient=off((0, 0, 1), lambda place: 0.01 * (-1) ** place))),
    Disguise("a UID a slice", 4, dicom(**_EVERY), right_or(_GROUP)),
    Disguise("no UID of a series", 4, dicom(**_NONE), right_or(_GROUP)),
    Disguise("empty UID of a series", 4, dicom(SeriesInstanceUID=""), right_or(_GROUP)),
    Disguise("no UID at all", 4, dicom(SOPInstanceUID=None, **_NONE), right_or(_GROUP)),
    Disguise("one UID for all images", 4, dicom(SOPInstanceUID="1.2.3.4")),
    Disguise("two series in a folder", 0, together(dicom(), dicom(name="b{:d}", SeriesNumber=2)), cases=2),
    Disguise("two series, no UIDs", 4, together(dicom(**_NONE), dicom(name="b{:d}", SeriesNumber=2, **_NONE)),
             right_or(_GROUP), cases=2),
    Disguise("a copy of an image", 4, copied(10), right_with(_TWICE)),
    Disguise("copied as a whole", 4, copied(*range(20)), right_with(_TWICE)),
    Disguise("two echoes", 4, together(*(
        dicom(name=f"{n}-{{:d}}", EchoTime=20 * n, stored=_brighter(n), **_ONE) for n in (1, 2))),
        right_or("echo"), cases=2),
    Disguise("three times", 4, together(*(
        dicom(name=f"{n}-{{:d}}", TemporalPositionIdentifier=n, stored=_brighter(n), **_ONE) for n in (1, 2, 3))),
        right_or("times"), cases=3),
    Disguise("two patients under one UID", 4, together(
        dicom(PatientID="a", **_ONE), dicom(PatientID="b", name="b{:d}", ImagePositionPatient=_HIGHER, **_ONE)),
        right_or("patient|series|belong"), cases=2),
    Disguise("a slice of another size", 4, another_size, warned(f"size|{_GAP}")),
    # Places in space
    *(Disguise(f"axes {axes}", 0, dicom(axes=axes)) for axes in (
        "LPI", "RAS", "RAI", "PIR", "PIL", "ASR", "LIA", "LIP", "RSA", "PLS")),
    Disguise("oblique", 26, nodding(0.35)),
    Disguise("oblique, coronal", 26, nodding(0.2, axes="LIP")),
    Disguise("an image without a position", 4, dicom(ImagePositionPatient=_NO_POSITION), warned(_ORDER)),
    Disguise("an image without an orientation", 4, dicom(ImageOrientationPatient=_NO_ORIENTATION), warned(_ORDER)),
    Disguise("no positions", 4, dicom(ImagePositionPatient=None), right_or(_ORDER)),
    Disguise("no orientations", 4, dicom(ImageOrientationPatient=None), right_or(_ORDER)),
    Disguise("no spacing", 4, dicom(PixelSpacing=None), right_or(_ORDER)),
    Disguise("empty spacing", 4, dicom(PixelSpacing=""), right_or(_ORDER)),
    Disguise("the detector's spacing alone", 4, dicom(PixelSpacing=None, ImagerPixelSpacing=[2.5, 2.5]),
             right_or(_ORDER)),
    Disguise("no thickness", 0, dicom(SliceThickness=None)),
    Disguise("slices that overlap", 0, dicom(SliceThickness=6)),
    Disguise("slices with small gaps", 0, dicom(SliceThickness=4.5)),
    Disguise("slices with large gaps", 0, dicom(SliceThickness=1), right_with("")),
    Disguise("one slice", 0, dicom(), head=SLICE),
    Disguise("one slice, no thickness", 10, dicom(SliceThickness=None), right_with("thick"), head=SLICE),
    Disguise("one slice, empty thickness", 10, dicom(SliceThickness=""), right_with("thick"), head=SLICE),
    Disguise("one slice, thickness 0", 10, dicom(SliceThickness=0), right_with("thick"), head=SLICE),
    Disguise("wide pixels", 24, dicom(), head=HEAD.resampled(2.8, 1.4, 5)),
    Disguise("a slice is missing", 0, dicom(places=[*range(3), *range(4, 20)]), warned(_GAP)),
    Disguise("two slabs with a gap", 0, dicom(places=[*range(6), *range(9, 20)]), warned(_GAP)),
    Disguise("half as dense above", 0, dicom(places=[*range(11), *range(12, 20, 2)]), warned(_GAP)),
    Disguise("a slice turned half round", 0, dicom(ImageOrientationPatient=lambda place: [
        -1, 0, 0, 0, -1, 0] if place == 12 else [1, 0, 0, 0, 1, 0]), warned(f"orientation|turned|{_GAP}")),
    Disguise("a slice of larger pixels", 0, dicom(PixelSpacing=lambda place: [5, 5] if place == 12 else [2.5, 2.5]),
             warned(f"spacing|pixels|{_GAP}")),
    Disguise("commas for points", 0, dicom(change=commas), right_or(_ORDER)),
    Disguise("positions far too long", 0, dicom(change=long_numbers)),
    Disguise("a tilted gantry", 0, dicom(ImagePositionPatient=off((0, 1, 0), float)), warned("tilt")),
    Disguise("a sagittal localizer", 10, dicom(axes="PIR", places=[15], ImageType=_LOCALIZER), warned(_PLANE)),
    Disguise("one coronal slice", 10, dicom(axes="LIP", places=[20]), warned(_PLANE)),
    Disguise("a localizer of three planes", 10, _THREE_PLANES, warned(_PLANE)),
    # Pixels
    Disguise("padding of 65535", 10, dicom(stored=_CIRCLE, PixelPaddingValue=65535)),
    Disguise("padding in a range", 10, dicom(stored=_CIRCLE, PixelPaddingValue=65000, PixelPaddingRangeLimit=65535)),
    Disguise("padding below 0", 10, dicom(stored=ringed(-2000, "<i2"), PixelPaddingValue=-2000)),
    Disguise("padding of 0, which is air", 10, dicom(PixelPaddingValue=0)),
    Disguise("a ring of 65535, undeclared", 10, dicom(stored=_CIRCLE), right_or("padding|bright|percentile|outside")),
    Disguise("signed", 0, dicom(stored=lambda pixels, _: pixels.astype("<i2"))),
    Disguise("8 bits", 0, dicom(stored=lambda pixels, _: pixels.astype("u1"))),
    Disguise("32 bits", 0, dicom(stored=lambda pixels, _: pixels.astype("<u4"))),
    Disguise("12 bits below an overlay", 0, dicom(stored=ringed(0xF000, "<u2"), BitsStored=12, HighBit=11)),
    Disguise("floating point", 0, dicom(change=floats), right_or("decoded|float")),
    Disguise("a slope a slice", 0, dicom(**_DOUBLED)),
    Disguise("an intercept of -1000", 20, dicom(
        stored=lambda pixels, _: (pixels + 1000).astype("<u2"), RescaleSlope=1, RescaleIntercept=-1000)),
    Disguise("an intercept of 1000", 20, dicom(RescaleSlope=1, RescaleIntercept=1000),
             right_or("background|offset|dark|intensit")),
    Disguise("a slope of NaN", 0, dicom(RescaleSlope="NaN", RescaleIntercept=0), right_or("no numbers|slope")),
    Disguise("an empty slope", 0, dicom(RescaleSlope="", RescaleIntercept=""), right_or("slope")),
    Disguise("a table of values", 0, dicom(stored=lambda pixels, _: (pixels // 2).astype("<u2"), change=doubling)),
    Disguise("MONOCHROME1", 0, dicom(
        stored=lambda pixels, _: (240 - pixels).astype("<u2"), PhotometricInterpretation="MONOCHROME1")),
    Disguise("a window", 0, dicom(WindowCenter=50, WindowWidth=10)),
    Disguise("in colours", 0, in_colours, right_or("(?i)colou?r"), head=SLICE),
    # Files
    *(Disguise(syntax.name, 0, dicom(syntax=syntax)) for syntax in (
        uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian, uid.RLELossless,
        uid.JPEG2000Lossless)),
    Disguise("no preamble", 0, dicom(content=lambda content: content[132:])),
    Disguise("no preamble, implicit", 18, dicom(syntax=uid.ImplicitVRLittleEndian, content=headless)),
    Disguise("no preamble, explicit", 18, dicom(content=headless)),
    Disguise("packed", 23, dicom(name="{:d}.dcm.gz", content=gzip.compress), right_or("gzip|packed|compressed")),
    Disguise("packed without saying so", 23, dicom(content=gzip.compress), right_or("gzip|packed|compressed")),
    Disguise("cut short", 1, dicom(content=lambda content: content[:-99]), refused("cut short|decoded")),
    Disguise("one image is cut short", 1, dicom(change=cut), warned("cut short|decoded|damaged")),
    # Other things than a head's slices
    Disguise("DICOMDIR", 18, on_a_disc),
    Disguise("a key object beside", 18, together(
        dicom(), document(uid.KeyObjectSelectionDocumentStorage, "KO", "KO.dcm"))),
    Disguise("a report beside", 18, together(dicom(), document(uid.BasicTextSRStorage, "SR", "SR"))),
    Disguise("a presentation beside", 18, together(
        dicom(), document(uid.GrayscaleSoftcopyPresentationStateStorage, "PR", "PR.dcm"))),
    Disguise("a report alone", 18, document(uid.BasicTextSRStorage, "SR", "SR.dcm"),
             refused("without an image|no image|nothing to predict|report")),
    Disguise("a mosaic", 10, mosaic("ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"), refused(_MOSAIC)),
    Disguise("a derived mosaic", 23, mosaic("DERIVED", "PRIMARY", "MOSAIC"), refused(_MOSAIC)),
    Disguise("a montage", 23, mosaic("DERIVED", "SECONDARY", "MONTAGE"), right_or(_MOSAIC)),
    Disguise("frames of one image", 23, frames, refused("frames")),
    Disguise("CT", 23, dicom(Modality="CT", SOPClassUID=uid.CTImageStorage), warned(r"\bCT\b")),
    Disguise("an X-ray", 23, dicom(Modality="CR", SOPClassUID=uid.ComputedRadiographyImageStorage),
             warned(r"\bCR\b|X-ray"), head=SLICE),
    Disguise("PET", 23, dicom(Modality="PT"), warned(r"\bPT\b|\bPET\b")),
    Disguise("a segmentation", 23, dicom(Modality="SEG"), warned("SEG")),
    Disguise("no modality", 23, dicom(Modality=None), right_or("(?i)modality")),
]  # fmt: skip

# All 48 orientations, encoded and scaled in several ways.
_WAYS: dict[str, dict[str, Any]] = {
    "deflated": {"syntax": uid.DeflatedExplicitVRLittleEndian},
    "JPEG 2000, in disorder": {"syntax": uid.JPEG2000Lossless, "name": lambda place: f"{place * 7 % 64}"},
    "slopes": _DOUBLED,
}
ALL_DICOM = [
    *(Disguise(f"axes {axes}, {way}", 0, dicom(axes=axes, **_WAYS[way])) for axes in AXES for way in _WAYS),
    *(Disguise(f"axes {axes}, nodding", 26, nodding(0.3, axes=axes)) for axes in AXES),
]
