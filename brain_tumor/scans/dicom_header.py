"""Take from a DICOM file's header what decides which series it belongs to."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from brain_tumor.scans import dicom_frames, dicom_types
from brain_tumor.scans.dicom_file import numbers

if TYPE_CHECKING:
    from pydicom import Dataset

# Images of one series share these. Images that differ in one of them are never joined by their positions.
_FACTS = (
    "PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "FrameOfReferenceUID",
    "SeriesNumber", "SeriesDescription", "ProtocolName", "Modality", "EchoTime", "EchoNumbers", "RepetitionTime",
    "InversionTime", "FlipAngle", "SequenceName", "ContrastBolusAgent", "SliceThickness", "DiffusionBValue",
)  # fmt: skip
_PERSON = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID")


@dataclass(frozen=True)
class Header:
    """The facts of an image's header that decide which series it belongs to.

    Attributes:
        path: the file.
        series: UID of the series; "" for none.
        instance: UID of the image; "" for none.
        facts: a hash of the file's folder and of the elements that images of one series share.
        person: a hash of the patient and the study.
        size: numbers of rows and columns.
        direction: directions of rows and columns, six numbers; () for unknown.
        place: position in space, three numbers in millimetres; () for unknown.
        spacing: distances of rows and of columns in millimetres; () for unknown.
        problem: why an image of this type is not read; "" for nothing.
        doubts: warnings about the image.
        frame: its number in a file of several frames; None for a file of one image.
        volume: what tells the volume of a frame from others of its file (see `dicom_frames.volumes`).
    """

    path: Path
    series: str
    instance: str
    facts: str
    person: str
    size: tuple[int, int]
    direction: tuple[float, ...]
    place: tuple[float, ...]
    spacing: tuple[float, ...]
    problem: str
    doubts: tuple[str, ...]
    frame: int | None = None
    volume: tuple[tuple[str, str], ...] = ()

    @classmethod
    def every(cls, path: Path, header: "Dataset") -> "list[Header]":
        """Make one from a file's pydicom header, or one for each frame of an enhanced file that can be read.

        Raises:
            ValueError: the headers of the frames are damaged.
        """
        whole = cls.of(path, header)
        if whole.problem or not dicom_frames.is_enhanced(header):
            return [whole]
        frames = dicom_frames.split(header)
        keys = dicom_frames.volumes(header, frames)
        made = [cls.of(path, frame) for frame in frames]
        return [replace(one, frame=row, volume=key) for row, (one, key) in enumerate(zip(made, keys, strict=True))]

    @classmethod
    def of(cls, path: Path, header: "Dataset") -> "Header":
        """Make one from the pydicom header of an image."""
        direction, place = numbers(header, "ImageOrientationPatient"), numbers(header, "ImagePositionPatient")
        placed = len(direction) == 6 and len(place) == 3 and np.linalg.norm(direction) > 1
        spacing = numbers(header, "PixelSpacing")
        known = len(spacing) == 2 and bool((spacing > 0).all())
        facts = [str(path.absolute().parent), *(str(header.get(name, "")) for name in _FACTS)]
        return cls(
            path,
            str(header.get("SeriesInstanceUID") or ""),
            str(header.get("SOPInstanceUID") or ""),
            _digest(facts),
            _digest([str(header.get(name, "")) for name in _PERSON]),
            (int(header.Rows), int(header.Columns)),
            tuple(direction.tolist()) if placed else (),
            tuple(place.tolist()) if placed else (),
            tuple(spacing.tolist()) if known else (),
            dicom_types.problem(header),
            tuple(dicom_types.doubts(header)),
        )


def _digest(facts: list[str]) -> str:
    return hashlib.sha256(repr(facts).encode(errors="surrogateescape")).hexdigest()


def angle(first: ArrayLike, second: ArrayLike) -> float:
    """Return the larger angle in degrees between two images' rows, or their columns; a direction has six numbers."""
    vectors = np.array([first, second], dtype=float).reshape(2, 2, 3)
    lengths = np.linalg.norm(vectors, axis=2, keepdims=True)
    chords = np.linalg.norm(np.diff(vectors / np.maximum(lengths, 1e-12), axis=0), axis=2)
    return float(np.degrees(2 * np.arcsin(np.clip(chords.max() / 2, 0, 1))))
