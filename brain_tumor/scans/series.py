"""Group DICOM images into series: by UID, size, spacing and direction, or by their positions in space."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from brain_tumor.scans import dicom_file, dicom_frames, dicom_types
from brain_tumor.scans.dicom_file import ImagelessError
from brain_tumor.scans.dicom_header import Header
from brain_tumor.scans.series_parts import Series, by_direction, by_spacing, counted, group_by, hashed, series_of
from brain_tumor.scans.series_places import by_places


class Grouped(NamedTuple):
    """DICOM files, sorted.

    Attributes:
        series: the images that belong together.
        failed: files that cannot be read, each with the reason.
        imageless: valid files that are no scans, each with what it is.
    """

    series: list[Series]
    failed: dict[Path, str]
    imageless: dict[Path, str]


def group(paths: Sequence[Path]) -> Grouped:
    """Group files into series of one size, spacing and direction (within half a degree).

    Images without a series UID, or with one that no other image has, form a series where they lie in one folder, share
    the elements that images of a series share, and lie evenly on parallel planes.
    """
    headers: list[Header] = []
    failed: dict[Path, str] = {}
    imageless: dict[Path, str] = {}
    for path in paths:
        try:
            header = dicom_file.read(path, header_only=True)
            if reason := dicom_types.not_a_scan(header):
                imageless[path] = reason
            else:
                headers += Header.every(path, header)
        except ImagelessError as error:
            imageless[path] = str(error)
        except (ValueError, TypeError) as error:
            failed[path] = str(error)
        except (MemoryError, RecursionError):
            raise  # a fault of the machine or of this program, not of the file
        except Exception as error:
            # A damaged header raises errors of any type, and one file must not hide the others.
            failed[path] = f"its header cannot be read ({type(error).__name__})"
    several, loose = _by_uid(headers)
    series = [part for images in several for part in _divide(images)] + by_places(loose)
    return Grouped(_with_distinct_names(series), failed, imageless)


def _with_distinct_names(series: Sequence[Series]) -> list[Series]:
    """Rename series that have one name, by the paths of their files."""
    counts = Counter(one.name for one in series)
    return [
        replace(one, name=hashed((one.name, str(one.paths[0].absolute())))) if counts[one.name] > 1 else one
        for one in series
    ]


def _by_uid(headers: Sequence[Header]) -> tuple[list[list[Header]], list[list[Header]]]:
    """Return the images of each series UID that several share, and the other images, each with its copies."""

    def identity(header: Header) -> tuple[object, ...]:
        # Some programs write one UID into all images.
        return header.instance or header.path, header.place, header.frame

    several: list[list[Header]] = []
    loose: list[list[Header]] = []

    def together(header: Header) -> object:
        return header.series or (identity(header) if header.frame is None else header.path)

    for images in group_by(headers, together):
        copies = len({identity(header) for header in images}) == 1
        (loose if copies else several).append(images)
    return several, loose


def _divide(images: list[Header]) -> list[Series]:
    """Divide the images of one UID into series of one problem, patient, size, spacing and direction."""
    by_problem = group_by(images, lambda image: image.problem)
    if len(by_problem) > 1 or images[0].problem:
        readable = [image for image in images if not image.problem]
        refused = [part for part in by_problem if part[0].problem]
        names = [part[0].problem if len(by_problem) > 1 else "" for part in refused]
        series = [series_of(part, name, part[0].problem) for part, name in zip(refused, names, strict=True)]
        return series + (_divide(readable) if readable else [])
    persons = group_by(images, lambda image: image.person)
    if len(persons) > 1 and min(map(len, persons)) > 1:
        note = f"its series has images of {len(persons)} patients or studies"
        divided = [one for person in persons for one in _divide(person)]
        return [replace(one, doubts=(note, *one.doubts)) for one in divided]
    # A person with a single image is more likely a header that varies within the series than another patient.
    mixed = ["its images name several patients or studies"] if len(persons) > 1 else []
    return _divide_by_volume(images, mixed)


def _divide_by_volume(images: list[Header], doubts: list[str]) -> list[Series]:
    """Divide the frames of enhanced files into volumes of one echo, time and type; other images are one volume."""
    volumes = group_by(images, lambda image: image.volume)
    if len(volumes) == 1:
        return _divide_by_geometry(images, doubts)
    keys = [volume[0].volume for volume in volumes]
    notes = [f"one of {len(volumes)} volumes in its series ({dicom_frames.said(key, keys)})" for key in keys]
    return [
        one for note, volume in zip(notes, volumes, strict=True) for one in _divide_by_geometry(volume, [note, *doubts])
    ]


def _divide_by_geometry(images: list[Header], doubts: list[str]) -> list[Series]:
    """Divide images into series of one size, spacing and direction."""
    parts = [
        part
        for size in group_by(images, lambda image: image.size)
        for spacing in by_spacing(size)
        for part in by_direction(spacing)
    ]
    if len(parts) == 1:
        return [_case(parts[0], "", *doubts)]
    note = f"its series has images of {len(parts)} sizes, spacings or directions; each is a case of its own"
    several_spacings = len({part[0].spacing for part in parts}) > 1
    return [
        _case(part, repr(part[0].spacing) if several_spacings and part[0].place else "", note, *doubts)
        for part in parts
    ]


def _case(images: list[Header], extra: str, *doubts: str) -> Series:
    """Make a series of images of one size, spacing and direction, with warnings about what they lack."""
    notes = list(doubts)
    placed = [header for header in images if header.place]
    unplaced = [header for header in images if not header.place]
    problem, whole = "", True
    if placed and unplaced and len(unplaced) >= len(placed):
        problem = f"{len(unplaced)} of {len(images)} images of one series have no place in space"
    elif placed and unplaced:
        whole, images = False, placed
        notes.append(
            f"{counted(len(unplaced), 'image')} without a place in space left out ({_names(unplaced)}); "
            "no volume is given"
        )
    if (unspaced := [header for header in images if not header.spacing]) and len(unspaced) < len(images):
        without = f"{counted(len(unspaced), 'image')} without PixelSpacing ({_names(unspaced)})"
        notes.append(f"{without}; that of the others is taken")
    return replace(series_of(images, extra, problem, *notes), whole=whole)


def _names(images: Sequence[Header]) -> str:
    return ", ".join(image.path.name for image in images[:3]) + (", ..." if len(images) > 3 else "")


def study(path: Path) -> str:
    """Return a hash of the study of an image's file, within which images may belong together; "" for none."""
    uid = str(dicom_file.read(path, header_only=True).get("StudyInstanceUID") or "")
    return uid and hashed((uid,))
