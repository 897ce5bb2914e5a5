"""Read the frames of an enhanced MR file as the images that an older scanner would have written."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brain_tumor.scans.dicom_file import TAGS, number, numbers

if TYPE_CHECKING:
    from pydicom import Dataset

    Key = tuple[tuple[str, str], ...]

_CLASSES = ("1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")  # enhanced, and converted from older files
_MOST_FRAMES = 2**16  # of one file: the headers of all frames are kept in memory
_SHARED, _OWN = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_MACROS = (
    "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence", "PixelValueTransformationSequence",
    "FrameContentSequence", "MREchoSequence", "MRTimingAndRelatedParametersSequence", "MRModifierSequence",
    "MRDiffusionSequence", "MRImageFrameTypeSequence", "UnassignedSharedConvertedAttributesSequence",
    "UnassignedPerFrameConvertedAttributesSequence",
)  # fmt: skip
_OLDER_CLASS = "1.2.840.10008.5.1.4.1.1.4"  # MR Image Storage
_OLDER_TIMES = {"EffectiveEchoTime": "EchoTime", "InversionTimes": "InversionTime"}  # in milliseconds
# Frames that differ in one of these are of different volumes, wherever they lie.
_FACTS = {
    "StackID": "stack", "EchoTime": "echo time", "InversionTime": "inversion time", "DiffusionBValue": "b-value",
    "TemporalPositionIndex": "time", "ImageType": "type", "ComplexImageComponent": "component",
}  # fmt: skip
_PLACES = {"StackID", "InStackPositionNumber", "ImagePositionPatient", "ImageOrientationPatient"}
_SAME = 1e-3  # millimetres: frames that are closer lie at one place


def is_enhanced(header: "Dataset") -> bool:
    """Return whether a file is an enhanced MR image whose header describes each of its frames."""
    known = str(header.get("SOPClassUID", "")) in _CLASSES
    return known and len(header.get(_OWN) or ()) == (number(header, "NumberOfFrames") or 1)


def split(header: "Dataset") -> "list[Dataset]":
    """Make the header of each frame of an enhanced file, with the names of elements that older files have.

    Raises:
        ValueError: there are too many frames, or their headers are damaged.
    """
    if len(header[_OWN].value) > _MOST_FRAMES:
        raise ValueError(f"has {len(header[_OWN].value):,} frames, more than {_MOST_FRAMES:,}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about values that break the standard, which are read anyway
            shared = next(iter(header.get(_SHARED) or ()), None)
            common = {tag: element for tag, element in header.items() if tag not in _heavy()}
            return [_frame(header, common, shared, own) for own in header[_OWN].value]
    except MemoryError:
        raise
    except Exception as error:
        # Damaged sequences raise errors of any type, whose texts may quote the header.
        raise ValueError(f"the headers of its frames are damaged ({type(error).__name__})") from error


def _heavy() -> set[int]:
    from pydicom.tag import Tag

    return {int(Tag(name)) for name in (_SHARED, _OWN, "PixelData", "FloatPixelData", "DoubleFloatPixelData")}


def _frame(whole: "Dataset", common: dict[Any, Any], shared: "Dataset | None", own: "Dataset") -> "Dataset":
    """Put what the file, all frames and one frame say into one header; what is nearest to the frame counts."""
    from pydicom import Dataset

    frame = Dataset(dict(common))
    frame.file_meta = whole.file_meta
    for group in (shared, own):
        for name in _MACROS:
            for item in (group.get(name) or ())[:1] if group is not None else ():
                frame.update(item)
    # New elements, since frames share the old ones.
    frame.add_new("SOPClassUID", "UI", _OLDER_CLASS)
    frame.add_new("NumberOfFrames", "IS", 1)
    for name, older in _OLDER_TIMES.items():
        if len(values := numbers(frame, name)):
            frame.add_new(older, "DS", f"{values[0]:.10g}")
    if types := frame.get("FrameType"):
        frame.add_new("ImageType", "CS", types)
    for name in (*TAGS, *_FACTS):
        frame.get(name)  # pydicom parses a value at its first use, and a damaged one has to fail here
    return frame


def volumes(header: "Dataset", frames: "Sequence[Dataset]") -> "list[Key]":
    """Return for each frame what tells its volume from the others of its file: names and values.

    Frames of one volume share their stack, echo, time, b-value and type. Where several of them lie at one place, they
    also share the indices of every dimension (DimensionIndexValues) that does not itself follow the place.
    """
    keys = [_facts(frame) for frame in frames]
    places = [_place(frame) for frame in frames]
    if len(set(zip(keys, places, strict=True))) < len(frames):
        dimensions = _dimensions(header, frames)
        told = {name: values for name, values in dimensions.items() if not _follows(values, places)}
        keys = [
            (*key, *((name, values[row]) for name, values in told.items() if len(set(values)) > 1))
            for row, key in enumerate(keys)
        ]
    return keys


def said(key: "Key", others: "Sequence[Key]") -> str:
    """Return in words what tells a volume from the others, such as "echo time 80"."""
    differing = [name for name, value in key if any((name, value) not in other for other in others)]
    return ", ".join(f"{name} {value}" for name, value in key if name in differing)


def _facts(frame: "Dataset") -> "Key":
    found = []
    for name, text in _FACTS.items():
        value = frame.get(name)
        if value is not None and value != "":
            several = hasattr(value, "__iter__") and not isinstance(value, str)
            exact = number(frame, name)
            shown = "/".join(map(str, value)) if several else str(value) if exact is None else f"{exact:.6g}"
            found.append((text, shown))
    return tuple(found)


def _place(frame: "Dataset") -> tuple[int, ...]:
    """Return a frame's place and direction in whole units, which can be compared."""
    place, direction = numbers(frame, "ImagePositionPatient"), numbers(frame, "ImageOrientationPatient")
    return tuple(int(value) for value in np.rint(np.concatenate([place / _SAME, direction * 100])))


def _dimensions(header: "Dataset", frames: "Sequence[Dataset]") -> dict[str, list[str]]:
    """Return each dimension's index in each frame, without the dimensions of space."""
    from pydicom.datadict import keyword_for_tag

    found = {}
    for place, item in enumerate(header.get("DimensionIndexSequence") or ()):
        pointer = item.get("DimensionIndexPointer")
        if pointer is None or keyword_for_tag(pointer) in _PLACES:
            continue
        indices = [np.atleast_1d(frame.get("DimensionIndexValues") or []).tolist() for frame in frames]
        name = f"{keyword_for_tag(pointer) or 'private dimension'} {place + 1}, index"
        found[name] = [str(values[place]) if place < len(values) else "" for values in indices]
    return found


def _follows(values: Sequence[str], places: Sequence[tuple[int, ...]]) -> bool:
    """Return whether every index of a dimension stands at one place only, as that of an acquisition time may."""
    return len(set(zip(values, places, strict=True))) == len(set(values)) and len(set(places)) > 1
