"""Read and write where a NIfTI volume lies in space: units, qform and sform, and whether these agree."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}  # by the codes of metre, millimetre and micron; 0 names no unit
_MOST_APART = 1.0  # millimetres: if qform and sform put a corner further apart, there is a warning
_SIZES = 0.01  # share by which sizes of voxels may differ
_SPACINGS = (0.1, 20.0)  # millimetres; no scan of a head has smaller or larger voxels
_NOWHERE = "does not say how it lies in space"
_OPPOSITE = "its qform and its sform say opposite of left and right"
_SCANNER = 1  # the code of a qform or sform in the scanner's coordinates


def read_space(image: Any) -> tuple[NDArray[np.float64], list[str], bool]:
    """Read where a nibabel image lies in space.

    Returns:
        The affine in millimetres, float64 (4, 4); warnings about it; and whether volumes can be measured with it.
    """
    header = image.header
    unit = _MILLIMETRES.get(int(header["xyzt_units"]) % 8, 1.0)
    affine = np.asarray(image.affine, dtype=np.float64).copy()
    affine[:3] *= unit
    if not np.isfinite(affine).all():
        return affine, [], True
    shape = (*image.shape, 1, 1, 1)[:3]
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    doubts = _form_doubts(header, shape, unit) + _size_doubts(header, sizes, unit)
    thin = min(_SPACINGS) > sizes[sizes > 0].min(initial=1) or sizes.max() > max(_SPACINGS)
    if thin:
        size = " x ".join(f"{length:.3g}" for length in sizes)
        doubts.append(
            f"has voxels of {size} mm, as no scan of a head has; its unit may be wrong, so no volume is given"
        )
    return affine, doubts, not thin


def _form_doubts(header: Any, shape: tuple[int, ...], unit: float) -> list[str]:
    qform, sform = int(header["qform_code"]), int(header["sform_code"])
    if not qform and not sform:
        return [
            f"{_NOWHERE} (qform_code and sform_code are 0): slices may be turned, left and right "
            "exchanged, positions mean nothing"
        ]
    if not qform or not sform:
        return []
    first, second = (_scaled(form, unit) for form in (header.get_qform(), header.get_sform()))
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return []
    if np.linalg.det(first[:3, :3]) * np.linalg.det(second[:3, :3]) < 0:
        return [f"{_OPPOSITE}; the sform is used"]
    corners = np.array([[i, j, k, 1] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)])
    apart = float(np.linalg.norm(corners @ (first - second).T, axis=1).max())
    # Two codes name two spaces, such as the scanner's and an atlas', where places differ by design.
    if apart > _MOST_APART and (qform == sform or _turned(first, second)):
        return [f"its qform and its sform put voxels up to {apart:.0f} mm apart; the sform is used"]
    return []


def doubts_sides(warnings: Sequence[str]) -> bool:
    """Return whether warnings about a volume say that left and right may be exchanged."""
    return any(text in warning for warning in warnings for text in (_NOWHERE, _OPPOSITE))


def _turned(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    """Return whether two affines assign a volume's axes to the patient's differently."""
    from nibabel.orientations import io_orientation

    orientations = [io_orientation(affine) for affine in (first, second)]  # type: ignore[no-untyped-call]
    return not np.array_equal(*orientations)


def _size_doubts(header: Any, sizes: NDArray[np.float64], unit: float) -> list[str]:
    """Return a warning where the header's sizes of voxels (pixdim) differ from those of its sform."""
    if not int(header["sform_code"]):
        return []
    named = np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64)) * unit
    if not np.isfinite(named).all() or not (named > 0).all() or np.allclose(named, sizes, rtol=_SIZES):
        return []
    first, second = (" x ".join(f"{length:.3g}" for length in size) for size in (named, sizes))
    return [f"its voxels are {first} mm by pixdim and {second} mm by the sform, which is used"]


def _scaled(affine: NDArray[np.float64], unit: float) -> NDArray[np.float64]:
    scaled = np.array(affine, dtype=np.float64)
    scaled[:3] *= unit
    return scaled


def write_space(image: Any, affine: NDArray[np.float64], measured: bool) -> None:
    """Write an affine in millimetres into a nibabel image's header; if not `measured`, write that it is unknown."""
    header = image.header
    if not measured:
        image.set_sform(None, 0)
        image.set_qform(None, 0)
        header.set_xyzt_units(0)
        return
    header.set_xyzt_units("mm")
    image.set_sform(affine, _SCANNER)
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if np.allclose(axes.T @ axes, np.eye(3), atol=1e-4):  # a qform cannot say that slices are tilted
        image.set_qform(affine, _SCANNER)
