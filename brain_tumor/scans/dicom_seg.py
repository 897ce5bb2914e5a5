"""Write masks of a DICOM series as a DICOM segmentation object (SEG), with highdicom.

A SEG belongs to the study of its source images: it has the patient's name and numbers, as they do.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.io import atomic
from brain_tumor.scans import dicom, dicom_file, dicom_frames
from brain_tumor.scans.dicom_file import number, numbers
from brain_tumor.scans.discovery import Source
from brain_tumor.scans.volumes import Volume

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from pydicom import Dataset

    Origin = tuple[str, str, int | None]  # of a slice: class and UID of its file, and its frame from 1

LABEL = "RESEARCH USE"
DESCRIPTION = "Research use only, not a medical device: masks by brain_tumor"
_PROGRAM = "brain_tumor"
_LONGEST = 64  # letters of a short text
_SERIES = 1000  # is added to the number of the source's series
_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
# What a header may lack although an image has a place for it; it is written empty.
_EMPTY = {
    "PatientID": "LO", "PatientName": "PN", "PatientBirthDate": "DA", "PatientSex": "CS", "AccessionNumber": "SH",
    "StudyID": "SH", "StudyDate": "DA", "StudyTime": "TM",
}  # fmt: skip
_PIXELS = 0x7FE0  # the group of pixels
_ABNORMAL = ("SCT", "MorphologicallyAbnormalStructure")
# What segments are by the first word of a region's name: a category and a type of pydicom's code dictionary.
_TYPES = {
    **dict.fromkeys(("tumour", "tumor", "whole", "core"), (_ABNORMAL, ("SCT", "Neoplasm"))),
    **dict.fromkeys(("enhancing",), (_ABNORMAL, ("NCIt", "EnhancingLesion"))),
    **dict.fromkeys(("necrosis", "necrotic"), (_ABNORMAL, ("SCT", "Necrosis"))),
    **dict.fromkeys(("oedema", "edema"), (_ABNORMAL, ("SCT", "Edema"))),
}
_UNKNOWN = (("SCT", "Tissue"), ("SCT", "Tissue"))


@dataclass(frozen=True)
class Algorithm:
    """The model that made masks.

    Attributes:
        name: its name.
        version: the SHA-256 of its weights, hexadecimal.
        parameters: what else decides about its masks, by name.
    """

    name: str
    version: str
    parameters: Mapping[str, str]


def require() -> None:
    """Refuse to go on without highdicom.

    Raises:
        ValueError: it is not installed.
    """
    if not importlib.util.find_spec("highdicom"):
        raise ValueError("dicom_seg=true: needs highdicom: pip install 'brain-tumor[seg]'")


def write(
    path: Path,
    source: Source,
    volume: Volume,
    mask: NDArray[np.uint8],
    segments: Mapping[str, Sequence[int]],
    algorithm: Algorithm,
) -> None:
    """Write a binary SEG of all slices, empty ones too, so that every reader sees the source's grid.

    Args:
        path: the file.
        source: the DICOM series.
        volume: that was read from it.
        mask: uint8 (I, J, K) of labels on the volume's grid.
        segments: the labels of each segment, by its name; segments may overlap.
        algorithm: made the mask.

    Raises:
        ValueError: the source's header lacks what a SEG needs; the message quotes nothing of it.
    """
    images, origins = _images(source, volume)
    if len(images) != mask.shape[2]:
        raise ValueError("no DICOM SEG: the series has changed while it was looked at")
    frames = np.stack([np.isin(mask, list(labels)) for labels in segments.values()], -1).astype(np.uint8)
    descriptions = _descriptions(list(segments), algorithm)
    try:
        made = _make(images, np.ascontiguousarray(frames.transpose(2, 1, 0, 3)), descriptions, algorithm)
    except (ValueError, TypeError, AttributeError) as error:
        # Their texts may quote the header.
        raise ValueError(
            f"no DICOM SEG: highdicom refuses the header of its images ({type(error).__name__})"
        ) from error
    _refer(made, origins)
    with atomic.file(path) as temporary:
        made.save_as(temporary)


def _images(source: Source, volume: Volume) -> "tuple[list[Dataset], dict[str, Origin]]":
    """Return the headers of a series' slices in the order of a volume, and what is behind each by its UID.

    Frames of enhanced files become headers of their own, and highdicom infers the grid from both alike.

    Raises:
        ValueError: they lack what a SEG needs.
    """
    headers = []
    for path, own in zip(source.paths, source.frames or [()] * len(source.paths), strict=True):
        file = dicom_file.read(path, header_only=True)
        parts = dicom_frames.split(file) if own else [file]
        headers += [(file, parts[place], place + 1 if own else None) for place in own or (0,)]
    missing = [name for name in _NEEDED if not headers[0][0].get(name)]
    missing += [] if all(file.get("SOPInstanceUID") for file, *_ in headers) else ["SOPInstanceUID"]
    if missing or not volume.measured:
        lacks = f"does not name its {' and '.join(missing)}" if missing else "has no place in space"
        raise ValueError(f"no DICOM SEG: the series {lacks}; leave out dicom_seg=true")
    order = dicom.in_order([image for _, image, _ in headers])
    images: list[Dataset] = []
    origins: dict[str, Origin] = {}
    for place, (file, image, frame) in enumerate(headers[row] for row in order):
        uid = f"2.25.{place + 1}"  # of this slice, until `_refer` puts the file's in its place
        origins[uid] = (str(file.SOPClassUID), str(file.SOPInstanceUID), frame)
        images.append(_completed(image, images[0] if images else image, uid, volume))
    return images, origins


def _completed(image: "Dataset", first: "Dataset", uid: str, volume: Volume) -> "Dataset":
    """Return a header with what highdicom needs of it."""
    from pydicom import Dataset

    columns, rows, step = (float(f"{length:.9g}") for length in np.linalg.norm(volume.affine[:3, :3], axis=0))
    values: dict[str, tuple[str, Any]] = {name: (kind, "") for name, kind in _EMPTY.items() if name not in image}
    values["SOPInstanceUID"] = "UI", uid
    values["ImageOrientationPatient"] = "DS", first.ImageOrientationPatient  # those of a volume differ by little
    # Scanners write this in several senses, and readers take it for the distance between slices.
    values["SpacingBetweenSlices"] = "DS", step if volume.even else None
    if not (number(image, "SliceThickness") or 0) > 0:
        values["SliceThickness"] = "DS", step
    if len(numbers(image, "PixelSpacing")) != 2:
        values["PixelSpacing"] = "DS", [rows, columns]
    made = Dataset({tag: element for tag, element in image.items() if tag.group < _PIXELS})
    for name, (kind, value) in values.items():
        made.add_new(name, kind, value)  # a new element, since frames share the old ones
    return made


def _descriptions(names: Sequence[str], algorithm: Algorithm) -> "list[SegmentDescription]":
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    def code(place: tuple[str, str]) -> Any:
        return getattr(getattr(codes, place[0]), place[1])

    identification = AlgorithmIdentificationSequence(
        name=algorithm.name[:_LONGEST],
        family=codes.DCM.ArtificialIntelligence,
        version=algorithm.version,
        source=_PROGRAM,
        parameters=dict(algorithm.parameters),
    )
    described = []
    for place, name in enumerate(names):
        category, type_ = _TYPES.get(name.lower().split()[0] if name.strip() else "", _UNKNOWN)
        described.append(
            SegmentDescription(
                segment_number=place + 1,
                segment_label=name[:_LONGEST] or f"region {place + 1}",
                segmented_property_category=code(category),
                segmented_property_type=code(type_),
                algorithm_type="AUTOMATIC",
                algorithm_identification=identification,
                anatomic_regions=[codes.SCT.Brain],
            )
        )
    return described


def _make(
    images: "list[Dataset]",
    frames: NDArray[np.uint8],
    descriptions: "list[SegmentDescription]",
    algorithm: Algorithm,
) -> "Dataset":
    """Make the SEG of frames uint8 (slices, rows, columns, segments)."""
    from highdicom import UID
    from highdicom.seg import Segmentation

    made: Dataset = Segmentation(
        source_images=images,
        pixel_array=frames,
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        series_instance_uid=UID(),
        series_number=_SERIES + int(number(images[0], "SeriesNumber") or 0),
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=_PROGRAM,
        manufacturer_model_name=_PROGRAM,
        software_versions=algorithm.version,
        device_serial_number=algorithm.version[:16],
        content_label=LABEL,
        content_description=DESCRIPTION,
        series_description=DESCRIPTION,
        omit_empty_frames=False,
    )
    return made


def _refer(made: "Dataset", origins: "Mapping[str, Origin]") -> None:
    """Let a SEG refer to files and their frames instead of the headers that it was made of."""
    from pydicom import Dataset

    def reference(class_: str, uid: str) -> Dataset:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = class_, uid
        return item

    files = dict.fromkeys((class_, uid) for class_, uid, _ in origins.values())
    made.SourceImageSequence = [reference(*file) for file in files]
    (series,) = made.ReferencedSeriesSequence
    series.ReferencedInstanceSequence = [reference(*file) for file in files]
    groups = (group.DerivationImageSequence for group in made.PerFrameFunctionalGroupsSequence)
    items = [item for group in groups for derivation in group for item in derivation.SourceImageSequence]
    for item in {id(item): item for item in items}.values():  # frames of several segments share them
        class_, uid, frame = origins[str(item.ReferencedSOPInstanceUID)]
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = class_, uid
        if frame is not None:
            item.ReferencedFrameNumber = frame
