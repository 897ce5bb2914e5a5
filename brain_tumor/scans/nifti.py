"""Read volumes and write masks in the NIfTI format, with nibabel."""

import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_tumor.io import atomic, unpacked
from brain_tumor.scans import file_types, nifti_space
from brain_tumor.scans.volumes import MOST_VOXELS, Volume

MOST_CHANNELS = 8
_MOST_HEADER = 2**24  # bytes before the voxels


class Header(NamedTuple):
    """What a volume's header says.

    Attributes:
        shape: voxels along the three axes.
        channels: how many volumes the file holds, along its fourth axis.
        affine: float64 (4, 4) in millimetres.
    """

    shape: tuple[int, int, int]
    channels: int
    affine: NDArray[np.float64]


def read(path: Path) -> Volume:
    """Read a volume in millimetres; axes of length 1 after the third are dropped.

    Args:
        path: the file, or the header where the voxels lie in a second file; gzipped or not, of any name.

    Raises:
        ValueError: the file is damaged, no volume, too large, or has values that are no intensities.
    """
    (volume,) = read_channels(path, most=1)
    return volume


def read_channels(path: Path, most: int = MOST_CHANNELS) -> list[Volume]:
    """Read the volumes along the fourth axis of a file, or its only one (see `read`).

    Args:
        path: the file.
        most: how many volumes it may hold.

    Raises:
        ValueError: as for `read`, or it holds more volumes.
    """
    with _faults(), _opened(path) as image:
        shape, channels = _shape(image, most)
        stored = image.get_data_dtype() == np.uint8 and image.dataobj.slope == 1 and image.dataobj.inter == 0
        values = np.asarray(image.dataobj, dtype=np.float32).reshape(*shape, channels)
        affine, doubts, even = nifti_space.read_space(image)
    if not np.isfinite(values).all():
        raise ValueError("has voxels that are no numbers (NaN or infinite). Replace them")
    if not np.isfinite(affine).all():
        raise ValueError("has an affine with numbers that are not finite")
    return [Volume(values[..., place], affine, list(doubts), even, stored_levels=stored) for place in range(channels)]


def read_header(path: Path) -> Header:
    """Read a volume's header, without its voxels.

    Raises:
        ValueError: the file is damaged, or no volume.
    """
    with _faults(), _opened(path) as image:
        shape, channels = _shape(image, MOST_CHANNELS)
        affine, _, _ = nifti_space.read_space(image)
    if not np.isfinite(affine).all():
        raise ValueError("has an affine with numbers that are not finite")
    return Header(shape, channels, affine)


def read_labels(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Read a volume of labels: uint8 (I, J, K), and its affine in millimetres.

    Raises:
        ValueError: as for `read`, or a value is no whole number from 0 to 255.
    """
    with _faults(), _opened(path) as image:
        shape, _ = _shape(image, 1)
        values = np.asarray(image.dataobj).reshape(shape)
        affine, _, _ = nifti_space.read_space(image)
    if values.dtype != np.uint8:
        if not np.isfinite(values).all():
            raise ValueError("has labels that are no numbers (NaN or infinite)")
        whole = values.clip(0, 255).astype(np.uint8)
        if (odd := values[whole != values]).size:
            raise ValueError(f"has the label {odd[0]:g}; labels are whole numbers from 0 to 255")
        values = whole
    return values, affine


@contextmanager
def _faults() -> Iterator[None]:
    """Turn what nibabel raises about a damaged file into a ValueError."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        yield
    except (ImageFileError, HeaderDataError, EOFError, OSError, zlib.error, TypeError, OverflowError) as error:
        raise ValueError(f"not a readable NIfTI volume, or cut short ({error or type(error).__name__})") from error


def _shape(image: Any, most: int) -> tuple[tuple[int, int, int], int]:
    """Return a volume's shape (I, J, K) from its header, before its voxels are read, and its number of channels.

    Raises:
        ValueError: it has another number of dimensions, too many voxels, or voxels that are no real numbers.
    """
    shape = image.shape
    if any(side > 1 for side in shape[4:]) or (len(shape) > 3 and not 1 <= shape[3] <= most):
        raise ValueError(f"has {len(shape)} dimensions, {' x '.join(map(str, shape))}; give one volume of three")
    channels = shape[3] if len(shape) > 3 else 1
    shape = (*shape, 1)[:3] if len(shape) == 2 else shape[:3]
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"has the shape {' x '.join(map(str, shape))}, which is no volume")
    if np.prod([float(side) for side in shape]) > MOST_VOXELS:
        raise ValueError(f"has {' x '.join(map(str, shape))} voxels, more than {MOST_VOXELS:,}")
    dtype = image.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise ValueError(f"has voxels of the type {dtype}, which are no intensities")
    return (shape[0], shape[1], shape[2]), channels


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a volume, so that its voxels can be read while it is open; its header decides the form of NIfTI."""
    import nibabel

    with ExitStack() as stack:
        header = stack.enter_context(unpacked.opened(path))
        head = header.read(544)
        form = file_types.magic(head)
        if not form:
            raise ValueError("not a readable NIfTI volume, or cut short (its header is none of NIfTI's)")
        _refuse_long_header(head)
        header.seek(0)
        image_type: Any = {
            "n+1": nibabel.Nifti1Image, "n+2": nibabel.Nifti2Image, "ni1": nibabel.Nifti1Pair,
            "ni2": nibabel.Nifti2Pair,
        }[form]  # fmt: skip
        files = {"image": header}
        if form.startswith("ni"):
            beside = voxels(path)
            if beside is None:
                raise ValueError(f"a header without its voxels: {path.stem}.img is not beside it")
            files = {"header": header, "image": stack.enter_context(unpacked.opened(beside))}
        # mmap would unpack a whole gzipped file to learn its size.
        yield image_type.from_file_map(image_type.make_file_map(files), mmap=False)


def voxels(path: Path) -> Path | None:
    """Return the file with a volume's voxels: the file itself, or the one beside a header; None if that is missing."""
    try:
        with unpacked.opened(path) as file:
            alone = not file_types.magic(file.read(352)).startswith("ni")
    except (EOFError, OSError, zlib.error):
        alone = True
    if alone:
        return path
    return next((candidate for candidate in _beside(path, ".hdr", ".img") if candidate.is_file()), None)


def headers(path: Path) -> list[Path]:
    """Return the possible paths of the header for a file of voxels (.img); [] for other files."""
    return _beside(path, ".img", ".hdr")


def _beside(path: Path, suffix: str, other: str) -> list[Path]:
    name = path.name.removesuffix(".gz")
    if not name.lower().endswith(suffix):
        return []
    stem = name[: -len(suffix)]
    cased = other.upper() if name.endswith(suffix.upper()) else other
    return [path.with_name(f"{stem}{cased}{packed}") for packed in ("", ".gz")]


def _refuse_long_header(head: bytes) -> None:
    """Refuse a header of more than 16 MB: nibabel would read all of it, even if it unpacks to gigabytes."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    header_type: Any = Nifti2Header if head[4:7] in {b"n+2", b"ni2"} else Nifti1Header
    size = header_type.sizeof_hdr
    if len(head) < size:
        return
    header = header_type(head[:size], check=False)
    start, extended = float(header["vox_offset"]), head[size : size + 1] not in {b"", b"\0"}
    if not start <= _MOST_HEADER or (extended and start < size + 4):
        raise ValueError(f"has its voxels {start:g} bytes after its beginning, which is not read")


def write_mask(
    path: Path,
    mask: NDArray[np.uint8],
    affine: NDArray[np.float64],
    source: Path | None,
    measured: bool = True,
) -> None:
    """Write a mask of labels as NIfTI, complete or not at all.

    Args:
        path: where to write.
        mask: uint8 (I, J, K).
        affine: float64 (4, 4) from voxels to millimetres; not used where `source` is given.
        source: the scan's file if that is NIfTI, whose affine and header the mask gets; None for other formats.
        measured: whether the affine is known; if not, the file claims no place in space and no unit.
    """
    import nibabel

    if source is not None:
        with _opened(source) as original:
            header: Any = original.header.copy()
            affine = original.affine
        mask = mask.reshape(original.shape[:3] if np.prod(original.shape[3:]) > 1 else original.shape)
        header.set_slope_inter(1, 0)
        header["cal_max"] = header["cal_min"] = 0
        header["descrip"] = b"tumour mask"
        image: Any = nibabel.Nifti1Image(mask, affine, header)  # type: ignore[no-untyped-call]
    else:
        image = nibabel.Nifti1Image(mask, affine)  # type: ignore[no-untyped-call]
        nifti_space.write_space(image, affine, measured)
    image.set_data_dtype(np.uint8)
    with atomic.file(path) as temporary:
        nibabel.save(image, temporary)
