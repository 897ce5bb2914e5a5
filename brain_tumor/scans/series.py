"""Which DICOM images belong together: by series, size, spacing and direction, or by where they lie in space."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from brain_tumor.scans import dicom_file, dicom_types
from brain_tumor.scans.dicom_file import ImagelessError
from brain_tumor.scans.dicom_header import Header
from brain_tumor.scans.series_parts import Series, by_direction, by_spacing, counted, hashed, made_of, put_together
from brain_tumor.scans.series_places import by_places


class Grouped(NamedTuple):
    """What DICOM files are.

    Attributes:
        series: the images that belong together.
        failed: files that cannot be read, with the reason.
        imageless: sound files that are no scan, with what they are.
    """

    series: list[Series]
    failed: dict[Path, str]
    imageless: dict[Path, str]


def group(paths: Sequence[Path]) -> Grouped:
    """Sort files into series of one size, spacing and direction (within half a degree).

    Images without a series' UID, and those whose UID no other has, are one series where they lie in one folder, share
    what images of one series share, and lie evenly on parallel planes.
    """
    headers: list[Header] = []
    failed: dict[Path, str] = {}
    imageless: dict[Path, str] = {}
    for path in paths:
        try:
            header = dicom_file.read(path, header_only=True)
            if made := dicom_types.made(header):
                imageless[path] = made
            else:
                headers.append(Header.of(path, header))
        except ImagelessError as error:
            imageless[path] = str(error)
        except (ValueError, TypeError) as error:
            failed[path] = str(error)
    several, loose = _by_uid(headers)
    series = [own for images in several for own in _divide(images)] + by_places(loose)
    return Grouped(_with_own_names(series), failed, imageless)


def _with_own_names(series: Sequence[Series]) -> list[Series]:
    """Tell series apart whose headers say the same, by where their files are."""
    counts = Counter(own.name for own in series)
    return [
        replace(own, name=hashed((own.name, str(own.paths[0].absolute())))) if counts[own.name] > 1 else own
        for own in series
    ]


def _by_uid(headers: Sequence[Header]) -> tuple[list[list[Header]], list[list[Header]]]:
    """Return images with a series' UID in common, and those without, copies of an image together."""

    def identity(own: Header) -> tuple[object, ...]:
        return own.instance or own.path, own.place  # some write one UID into all images

    several: list[list[Header]] = []
    loose: list[list[Header]] = []
    for images in put_together(headers, lambda own: own.series or identity(own)):
        copies = len({identity(own) for own in images}) == 1
        (loose if copies else several).append(images)
    return several, loose


def _divide(images: list[Header]) -> list[Series]:
    """Divide a series into cases of one size, spacing and direction."""
    problems = put_together(images, lambda own: own.problem)
    if len(problems) > 1 or images[0].problem:
        good = [own for own in images if not own.problem]
        bad = [made_of(own, own[0].problem if len(problems) > 1 else "", own[0].problem) for own in problems]
        bad = [own for own in bad if own.problem]
        return bad + (_divide(good) if good else [])
    persons = put_together(images, lambda own: own.person)
    if len(persons) > 1 and min(map(len, persons)) > 1:
        return [
            replace(own, doubts=(f"its series has images of {len(persons)} patients or studies", *own.doubts))
            for person in persons
            for own in _divide(person)
        ]
    mixed = ["its images name several patients or studies"] if len(persons) > 1 else []
    parts = [
        part
        for size in put_together(images, lambda own: own.size)
        for spacing in by_spacing(size)
        for part in by_direction(spacing)
    ]
    if len(parts) == 1:
        return [_case(parts[0], "", *mixed)]
    note = f"its series has images of {len(parts)} sizes, spacings or directions; each is a case of its own"
    spacings = {part[0].spacing for part in parts}
    return [
        _case(part, repr(part[0].spacing) if len(spacings) > 1 and part[0].place else "", note, *mixed)
        for part in parts
    ]


def _case(images: list[Header], extra: str, *doubts: str) -> Series:
    """Make a case of images of one size, spacing and direction; say what of them is not as it should be."""
    notes = list(doubts)
    placed = [own for own in images if own.place]
    lost = [own for own in images if not own.place]
    problem, whole = "", True
    if placed and lost and len(lost) >= len(placed):
        problem = f"{len(lost)} of {len(images)} images of one series have no place in space"
    elif placed and lost:
        whole, images = False, placed
        notes.append(
            f"{counted(len(lost), 'image')} without a place in space left out ({_names(lost)}); no volume is given"
        )
    if (bare := [own for own in images if not own.spacing]) and len(bare) < len(images):
        without = f"{counted(len(bare), 'image')} without PixelSpacing ({_names(bare)})"
        notes.append(f"{without}; that of the others is taken")
    found = made_of(images, extra, problem, *notes)
    return replace(found, whole=whole)


def _names(images: Sequence[Header]) -> str:
    return ", ".join(own.path.name for own in images[:3]) + (", ..." if len(images) > 3 else "")


def study(path: Path) -> str:
    """Return a hash of the study that an image is of, within which images may belong together; "" without one."""
    found = str(dicom_file.read(path, header_only=True).get("StudyInstanceUID") or "")
    return found and hashed((found,))
