"""Read and write volumes in NIfTI's format, with nibabel."""

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor import atomic
from brain_tumor.data.volumes import MOST_VOXELS, Volume

_MOST_HEADER = 2**24  # bytes before the voxels


def read(path: Path) -> Volume:
    """Read a volume, axes of length 1 after the third left out.

    Raises:
        ValueError: it is damaged, no volume, too large, or has values that are no intensities.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        _refuse_long_header(path)
        image: Any = nibabel.load(path)
        shape = image.shape
        if any(side > 1 for side in shape[3:]):
            raise ValueError(f"has {len(shape)} dimensions, {' x '.join(map(str, shape))}; give one volume of three")
        shape = (*shape, 1)[:3] if len(shape) == 2 else shape[:3]
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"has the shape {' x '.join(map(str, shape))}, which is no volume")
        if np.prod([float(side) for side in shape]) > MOST_VOXELS:
            raise ValueError(f"has {' x '.join(map(str, shape))} voxels, more than {MOST_VOXELS:,}")
        kind = image.get_data_dtype()
        if kind.kind not in "iuf" or kind.itemsize > 8:
            raise ValueError(f"has voxels of the type {kind}, which are no intensities")
        values = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
        affine = np.asarray(image.affine, dtype=np.float64)
    except (ImageFileError, HeaderDataError, EOFError, OSError, zlib.error, TypeError, OverflowError) as error:
        raise ValueError(f"not a readable NIfTI volume, or cut short ({error or type(error).__name__})") from error
    if not np.isfinite(values).all():
        raise ValueError("has voxels that are no numbers (NaN or infinite). Replace them")
    if not np.isfinite(affine).all():
        raise ValueError("has an affine that is no numbers")
    return Volume(values, affine)


def _refuse_long_header(path: Path) -> None:
    """Refuse a header that goes on and on, and would be read as a whole, whatever it unpacks to."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        head = file.read(544)
    made: Any = Nifti2Header if head[4:7] in {b"n+2", b"ni2"} else Nifti1Header
    size = made.sizeof_hdr
    if len(head) < size:
        return
    found = made(head[:size], check=False)
    start, extended = float(found["vox_offset"]), head[size : size + 1] not in {b"", b"\0"}
    if not start <= _MOST_HEADER or (extended and start < size + 4):
        raise ValueError(f"has its voxels {start:g} bytes after its beginning, which is not read")


def write_mask(path: Path, mask: NDArray[np.uint8], affine: NDArray[np.float64], source: Path | None) -> None:
    """Write a mask uint8 (I, J, K), complete or not at all; with the header of its source, where that is NIfTI."""
    import nibabel

    header: Any = None
    if source is not None:
        original: Any = nibabel.load(source)
        header = original.header.copy()
        mask = mask.reshape(original.shape)
        header.set_slope_inter(1, 0)
        header["cal_max"] = header["cal_min"] = 0
        header["descrip"] = b"tumour mask"
    image: Any = nibabel.Nifti1Image(mask, affine, header)  # type: ignore[no-untyped-call]
    image.set_data_dtype(np.uint8)
    with atomic.file(path) as temporary:
        nibabel.save(image, temporary)
