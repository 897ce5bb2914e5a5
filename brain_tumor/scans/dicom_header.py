"""What of a DICOM file's header decides where it belongs."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from brain_tumor.scans import dicom_types
from brain_tumor.scans.dicom_file import numbers

if TYPE_CHECKING:
    from pydicom import Dataset

# Of one series, and of no two: images that differ in one of these are not put together by their places.
_FACTS = (
    "PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "FrameOfReferenceUID",
    "SeriesNumber", "SeriesDescription", "ProtocolName", "Modality", "EchoTime", "EchoNumbers", "RepetitionTime",
    "InversionTime", "FlipAngle", "SequenceName", "ContrastBolusAgent", "SliceThickness", "DiffusionBValue",
)  # fmt: skip


_PERSON = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID")


@dataclass(frozen=True)
class Header:
    """What of a file's header decides where it belongs.

    Attributes:
        path: of the file.
        series: the series' UID; "" without.
        instance: the image's UID; "" without.
        facts: a hash of the file's folder and of what images of one series share.
        person: a hash of whom it shows, and of the study.
        size: rows and columns.
        direction: of rows and columns; () without.
        place: in space; () without.
        spacing: of rows and columns, in millimetres; () without.
        problem: why an image of its kind is not read; "" for nothing.
        doubts: what is doubtful about it.
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

    @classmethod
    def of(cls, path: Path, header: "Dataset") -> "Header":
        """Take it from a file's header."""
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
    """Return by how many degrees two directions of rows and columns differ at most."""
    vectors = np.array([first, second], dtype=float).reshape(2, 2, 3)
    lengths = np.linalg.norm(vectors, axis=2, keepdims=True)
    chords = np.linalg.norm(np.diff(vectors / np.maximum(lengths, 1e-12), axis=0), axis=2)
    return float(np.degrees(2 * np.arcsin(np.clip(chords.max() / 2, 0, 1))))
