"""Read masks that a person or another tool has made of scans, NIfTI or DICOM SEG, onto the scans' grids."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from brain_tumor.io import names
from brain_tumor.scans import dicom_file, file_types, grids, nifti
from brain_tumor.scans.dicom_file import numbers
from brain_tumor.scans.volumes import MOST_VOXELS, Volume

if TYPE_CHECKING:
    from pydicom import Dataset

_SEG = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # segments, and a map of labels
_NEAR = 0.05  # voxels by which a frame's corner may miss the scan's grid
_ENDINGS = ("_mask", "_seg")  # that a mask's name may have after its case's
_OTHER = "lies on another grid than the scan; bring it onto the scan's grid first"


def find(given: str, cases: Sequence[str]) -> dict[str, Path]:
    """Find the mask of each case.

    Args:
        given: a file, or a folder of files that are called like the cases: CASE.nii.gz, CASE_mask.nii.gz, CASE.dcm.
        cases: names of the cases. The only one takes a file of any name.

    Returns:
        The files by the case's name, as far as there are any.

    Raises:
        ValueError: there is no such file or folder, it holds no mask, or a mask of no case or a second one of a case.
    """
    path = Path(given).expanduser()
    if path.is_file() and len(cases) == 1:
        return {cases[0]: path}
    if not path.exists():
        raise ValueError(f"masks={given}: no such file or folder")
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [file for file in inside if file.is_file() and file_types.of(file).name in {"nifti", "dicom"}]
    if not files:
        raise ValueError(f"masks={given}: holds no mask as NIfTI or DICOM SEG")
    found: dict[str, Path] = {}
    for file in files:
        stem = names.stem(file)
        wanted = (stem, *(stem.removesuffix(ending) for ending in _ENDINGS))
        case = next((name for name in wanted if name in cases), None)
        if case is None:
            known = ", ".join(cases[:3]) + (", ..." if len(cases) > 3 else "")
            raise ValueError(f"masks={given}: {names.printable(file.name)}: no case is called so; cases are {known}")
        if case in found:
            raise ValueError(f"masks={given}: {found[case].name} and {file.name} are both masks of {case}")
        found[case] = file
    return found


def read(path: Path, scan: Volume) -> NDArray[np.uint8]:
    """Read a mask onto a scan's grid; every label or segment counts.

    Args:
        path: a NIfTI file, or a DICOM SEG.
        scan: that the mask is of.

    Returns:
        uint8 (I, J, K) of 0 and 1.

    Raises:
        ValueError: the file is damaged, no mask, or on another grid; the message says which file.
    """
    try:
        if not scan.measured:
            raise ValueError("the scan does not say where in space it lies, so that no mask can be laid over it")
        if file_types.of(path).name == "dicom":
            return _read_seg(dicom_file.read(path, header_only=False), scan)
        labels, affine = nifti.read_labels(path)
        mask = grids.onto(Volume((labels > 0).astype(np.float32), affine), scan)
        if mask is None:
            raise ValueError(_OTHER)
        return mask.values.astype(np.uint8)
    except ValueError as error:
        raise ValueError(f"masks: {names.printable(path.name)}: {error}") from error


def _read_seg(file: "Dataset", scan: Volume) -> NDArray[np.uint8]:
    if str(file.get("SOPClassUID")) not in _SEG:
        raise ValueError("a DICOM file, but no segmentation (SEG)")
    frames = list(file.get("PerFrameFunctionalGroupsSequence") or ())
    if float(file.Rows) * float(file.Columns) * max(1, len(frames)) > MOST_VOXELS:
        raise ValueError(f"has {file.Columns} x {file.Rows} x {len(frames)} voxels, more than {MOST_VOXELS:,}")
    try:
        pixels = file.pixel_array.reshape(-1, file.Rows, file.Columns)
        shared = (list(file.get("SharedFunctionalGroupsSequence") or ()) or [None])[0]
        places = [_affine(frame, shared) for frame in frames]
    except MemoryError:
        raise
    except Exception as error:
        # Damaged sequences and pixels raise errors of any type, whose texts may quote the header.
        raise ValueError(f"not a readable SEG, or cut short ({type(error).__name__})") from error
    if len(pixels) != len(frames) or not frames:
        raise ValueError("not a readable SEG: the headers of its frames are missing")
    half = int(file.get("MaximumFractionalValue") or 1) / 2 if file.get("SegmentationType") == "FRACTIONAL" else 0.5
    mask = np.zeros(scan.values.shape, np.uint8)
    inverse = np.linalg.inv(scan.affine)
    for frame, affine in zip(pixels >= half, places, strict=True):
        _draw(mask, frame, inverse @ affine)
    return mask


def _affine(frame: "Dataset", shared: "Dataset | None") -> NDArray[np.float64]:
    """Return the affine (4, 3) from a frame's columns, rows and 1 to millimetres, x to the right and y to the front."""

    def values(group: str, name: str) -> NDArray[np.float64]:
        items = [item for own in (frame, shared) if own is not None for item in own.get(group) or ()]
        return next((found for item in items if len(found := numbers(item, name))), np.empty(0))

    direction = values("PlaneOrientationSequence", "ImageOrientationPatient").reshape(2, 3)
    between_rows, between_columns = values("PixelMeasuresSequence", "PixelSpacing")
    affine = np.zeros((4, 3))
    affine[:3, 0], affine[:3, 1] = direction[0] * between_columns, direction[1] * between_rows
    affine[:3, 2] = values("PlanePositionSequence", "ImagePositionPatient")
    affine[:2] *= -1
    affine[3, 2] = 1
    return affine


def _draw(mask: NDArray[np.uint8], frame: NDArray[np.bool_], steps: NDArray[np.float64]) -> None:
    """Draw a frame into a mask.

    Args:
        mask: uint8 (I, J, K), which is changed.
        frame: bool (rows, columns).
        steps: (4, 3) from the frame's columns, rows and 1 to the mask's voxels.

    Raises:
        ValueError: the frame's pixels are no voxels of the mask.
    """
    rows, columns = frame.shape
    whole = np.rint(steps).astype(int)
    corner = np.array([columns - 1, rows - 1, 1])
    if np.abs((steps - whole) * [columns, rows, 1]).max() > _NEAR:
        raise ValueError(_OTHER)
    ends = np.stack([whole[:3, 2], whole[:3] @ corner])
    sides = np.sort(np.abs(ends[1] - ends[0]))
    if ends.min() < 0 or (ends >= mask.shape).any() or sides.tolist() != sorted([0, columns - 1, rows - 1]):
        raise ValueError(_OTHER)
    y, x = np.nonzero(frame)
    i, j, k = whole[:3] @ np.stack([x, y, np.ones_like(x)])
    mask[i, j, k] = 1
