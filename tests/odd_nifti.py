"""A head in NIfTI files, odd in their names, types, units, orientations, headers and intensities."""

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.odd import (
    AIR,
    AXES,
    HEAD,
    SLICE,
    Array,
    Disguise,
    Given,
    Head,
    Write,
    nib,
    refused,
    right_or,
    right_with,
    warned,
)

_Change = Callable[[Array], Array]


def _write(
    folder: Path,
    head: Head,
    *,
    axes: str = "RAS",
    name: str = "scan.nii.gz",
    given: str = ".",
    packed: bool | None = None,
    dtype: Any = np.float32,
    values: _Change = lambda v: v,
    affine: _Change = lambda a: a,
    header: Callable[[Any], Any] = lambda image: image,
    content: Callable[[bytes], bytes] = lambda content: content,
    made: Any = nib.Nifti1Image,
    units: str = "mm",
) -> Given:
    """Write a head.

    Args:
        folder: for the file.
        head: to write.
        axes: to which sides the volume's run.
        name: of the file.
        given: how it is given to `predict`.
        packed: whether it is; None for what its name says.
        dtype: of its voxels.
        values: changes them.
        affine: changes the affine in the header; the right answer stays.
        header: changes the image with its header.
        content: changes the file's bytes, before they are packed.
        made: a class of nibabel's.
        units: in the header.
    """
    turned = head.turned(axes)
    image = made(values(turned.values).astype(dtype), affine(turned.space), dtype=dtype)
    image.set_qform(image.affine, 1)
    image.set_sform(image.affine, 1)
    image.header.set_xyzt_units(units)
    header(image)
    if made is nib.Nifti1Pair:
        nib.save(image, folder / name)
    else:
        whole = content(image.to_bytes())
        packed = name.endswith(".gz") if packed is None else packed
        (folder / name).write_bytes(gzip.compress(whole, 1) if packed else whole)
    return Given(given, head=head)


def nifti(**options: Any) -> Write:
    """Return a function that writes a head so (see `_write`)."""
    return partial(_write, **options)


def _nodding(angle: float, **options: Any) -> Write:
    return lambda folder, head: _write(folder, head.nodding(angle), **options)


def _sheared(folder: Path, head: Head) -> Given:
    shear = np.eye(4)
    shear[0, 1] = 0.05
    return _write(folder, Head(head.values, head.space @ shear))


def _forms(qform: int, sform: int, mirrored: bool = False) -> Callable[[Any], None]:
    """Set the codes of both forms; with the qform mirrored they disagree about the sides."""

    def change(image: Any) -> None:
        affine = image.affine.copy()
        image.set_qform(np.diag([-1, 1, 1, 1]) @ affine if mirrored else affine, qform)
        image.set_sform(affine if sform else None, sform)

    return change


def _scaled(slope: float, intercept: float) -> dict[str, Any]:
    """Store voxels that a slope and an intercept bring back."""
    return {
        "values": lambda v: (v - intercept) / slope,
        "header": lambda image: image.header.set_slope_inter(slope, intercept),
        "dtype": np.int16,
    }


def _at(place: int, *numbers: float) -> Callable[[bytes], bytes]:
    """Put numbers into a header that nibabel itself would not write."""
    own = np.array(numbers, "<f4").tobytes()
    return lambda content: content[:place] + own + content[place + len(own) :]


def _z_scores(values: Array, inside: bool) -> Array:
    chosen = values > AIR if inside else np.ones(values.shape, bool)
    return np.where(chosen, (values - values[chosen].mean()) / values[chosen].std(), 0)


def _one_voxel(value: float) -> _Change:
    def change(values: Array) -> Array:
        spoilt = values.copy()
        spoilt[0, 0, 0] = value
        return spoilt

    return change


def _analyze(folder: Path, head: Head) -> None:
    nib.save(nib.AnalyzeImage(head.values.astype(np.int16), None), folder / "scan.img")


def _beside(name: str, content: bytes) -> Write:
    """Write a head, and another file beside it."""

    def write(folder: Path, head: Head) -> Given:
        (folder / name).write_bytes(content)
        return _write(folder, head)

    return write


def _other(name: str, content: bytes) -> Write:
    """Write a file that is no head, and give it by its name."""

    def write(folder: Path, _: Head) -> Given:
        (folder / name).write_bytes(content)
        return Given(name)

    return write


_BIG = partial(nib.Nifti1Image, header=nib.Nifti1Header(endianness=">"))
_COMMENT = nib.nifti1.Nifti1Extension("comment", b"made by hand")
_COLOURS = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_KINDS = (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.float64)
_OTHERS = {
    ".mgz": gzip.compress(b"\0\0\0\1"), ".mgh": b"\0\0\0\1", ".nrrd": b"NRRD0004\n", ".mha": b"ObjectType = Image\n",
    ".mnc": b"\x89HDF\r\n\x1a\n", ".nii.bz2": b"BZh9",
}  # fmt: skip
_SPACE = "orientation|position|qform|sform|place in space"
_FORMS = "disagree|differ|qform|sform"
_DARK = "negative|background|below|offset|dark|intensit"
_CUT = "cut short|readable|neither|empty"

NIFTI = [
    # Axes and places
    *(Disguise(f"axes {axes}", 0, nifti(axes=axes)) for axes in ("RAS", "LPS", "LAI", "SPR", "AIL")),
    Disguise("oblique", 26, _nodding(0.35)),
    Disguise("oblique, coronal", 26, _nodding(-0.2, axes="RSA")),
    Disguise("sheared, which a qform cannot say", 11, _sheared, right_with("qform|sform")),
    Disguise("no units", 0, nifti(units="unknown")),
    Disguise("microns", 11, nifti(units="micron", affine=lambda a: np.diag([1000, 1000, 1000, 1]) @ a)),
    Disguise("metres", 11, nifti(units="meter", affine=lambda a: np.diag([0.001, 0.001, 0.001, 1]) @ a)),
    Disguise("qform alone", 0, nifti(header=_forms(1, 0))),
    Disguise("sform alone", 0, nifti(header=_forms(0, 1))),
    Disguise("sform of a template", 0, nifti(header=_forms(1, 4))),
    Disguise("qfac 0", 0, nifti(name="scan.nii", header=_forms(1, 0), content=_at(76, 0))),
    Disguise("no forms", 11, nifti(header=_forms(0, 0)), warned(_SPACE)),
    Disguise("no forms, coronal", 11, nifti(axes="RSA", header=_forms(0, 0)), warned(_SPACE)),
    Disguise("forms disagree", 11, nifti(header=_forms(1, 1, mirrored=True)), warned(_FORMS)),
    Disguise("forms disagree, of a template", 11, nifti(header=_forms(1, 4, mirrored=True)), warned(_FORMS)),
    Disguise("no length along an axis", 0, nifti(name="scan.nii", header=_forms(0, 1), content=_at(312, 0, 0, 0, 0)),
             refused("affine|length|volume")),
    # Shapes
    Disguise("one slice", 0, nifti(), head=SLICE),
    Disguise("square voxels", 0, nifti(), head=HEAD.resampled(2.5, 2.5, 2.5)),
    Disguise("wide pixels", 24, nifti(), head=HEAD.resampled(2.8, 1.4, 5)),
    Disguise("high pixels", 24, nifti(), head=HEAD.resampled(1.4, 2.8, 5)),
    Disguise("thick sagittal slices", 24, nifti(axes="ASR"), right_with(""), head=HEAD.resampled(5, 2.5, 2.5)),
    Disguise("a fourth axis of 1", 0, nifti(values=lambda v: v[..., None])),
    Disguise("a fifth axis of 1", 0, nifti(values=lambda v: v[..., None, None])),
    Disguise("two volumes", 0, nifti(values=lambda v: np.stack([v, v], -1)), refused("dimensions")),
    # Types
    *(Disguise(f"of {np.dtype(kind)}", 0, nifti(dtype=kind)) for kind in _KINDS),
    Disguise("signed bytes", 0, nifti(dtype=np.int8, values=lambda v: v // 2)),
    Disguise("slope and intercept", 0, nifti(**_scaled(0.25, -20))),
    Disguise("falling slope", 0, nifti(**_scaled(-0.5, 240))),
    Disguise("slope 0", 0, nifti(dtype=np.int16, name="scan.nii", content=_at(112, 0, 0))),
    Disguise("slope NaN", 0, nifti(dtype=np.int16, name="scan.nii", content=_at(112, np.nan, 0))),
    Disguise("complex numbers", 0, nifti(dtype=np.complex64), refused("type")),
    Disguise("colours", 0, nifti(values=lambda v: np.zeros(v.shape, _COLOURS), dtype=_COLOURS), refused("type")),
    # Intensities
    Disguise("tiny numbers", 0, nifti(values=lambda v: v * 1e-9)),
    Disguise("huge numbers", 0, nifti(values=lambda v: v * 1e30)),
    Disguise("z-scores of the brain", 11, nifti(values=partial(_z_scores, inside=True)), right_or(_DARK)),
    Disguise("z-scores of everything", 20, nifti(values=partial(_z_scores, inside=False)), right_or(_DARK)),
    Disguise("from -1 to 1", 20, nifti(values=lambda v: v / 120 - 1), right_or(_DARK)),
    Disguise("a constant added", 11, nifti(values=lambda v: v + 1000), right_or(_DARK)),
    Disguise("air at -1000", 20, nifti(values=lambda v: np.where(v == AIR, -1000, v)), right_or(_DARK)),
    Disguise("all below 0", 20, nifti(values=lambda v: -v), right_or(_DARK)),
    Disguise("one voxel far too bright", 0, nifti(values=_one_voxel(1e5)), right_or("bright|percentile|outlier")),
    Disguise("all one value", 0, nifti(values=lambda v: v * 0 + 7), right_or("constant|one value|contrast|empty")),
    Disguise("NaN for air", 0, nifti(values=lambda v: np.where(v == AIR, np.nan, v)), right_or("no numbers")),
    Disguise("a mask for a scan", 0, nifti(values=lambda v: (v > 200) * 1.0), right_or("mask|values|levels")),
    Disguise("one infinite voxel", 0, nifti(values=_one_voxel(np.inf)), refused("no numbers")),
    # Files
    Disguise("big endian", 0, nifti(made=_BIG)),
    Disguise("NIfTI-2", 0, nifti(made=nib.Nifti2Image)),
    Disguise("a pair, its folder", 0, nifti(made=nib.Nifti1Pair, name="scan.img")),
    Disguise("a pair, its header", 0, nifti(made=nib.Nifti1Pair, name="scan.img", given="scan.hdr")),
    Disguise("a pair, its image", 12, nifti(made=nib.Nifti1Pair, name="scan.img", given="scan.img"),
             right_or(r"\.hdr|header")),
    Disguise("Analyze", 11, _analyze, warned(f"Analyze|{_SPACE}|neither|nothing to predict")),
    Disguise("upper-case name", 0, nifti(name="SCAN.NII")),
    Disguise("no suffix", 18, nifti(name="scan")),
    Disguise("called .nii.gz, not packed", 11, nifti(packed=False)),
    Disguise("called .nii, packed", 11, nifti(name="scan.nii", packed=True)),
    Disguise("packed twice", 11, nifti(content=gzip.compress), right_or("gzip|packed|neither|not a readable")),
    Disguise("bytes after the end", 0, nifti(name="scan.nii", content=lambda content: content + bytes(100))),
    Disguise("an extension", 0, nifti(header=lambda image: image.header.extensions.append(_COMMENT))),
    Disguise("cut short", 1, nifti(name="scan.nii", content=lambda content: content[:-999]), refused(_CUT)),
    Disguise("packed, cut short", 1, nifti(packed=False, content=lambda content: gzip.compress(content)[:-99]),
             refused(_CUT)),
    Disguise("nothing in it", 1, _other("scan.nii.gz", b""), refused(_CUT)),
    Disguise("a page of errors", 1, _other("scan.nii.gz", b"<html>404: not found</html>"), refused(_CUT)),
    *(Disguise(f"{suffix} beside", 12, _beside(f"b{suffix}", start), right_with(rf"\b(b\.|\.)?{suffix[1:]}\b"))
      for suffix, start in _OTHERS.items()),
    *(Disguise(f"{suffix} by name", 12, _other(f"b{suffix}", start), refused("neither|not read"))
      for suffix, start in _OTHERS.items()),
]  # fmt: skip

# All 48 orientations in several types.
_WAYS: dict[str, dict[str, Any]] = {
    "packed": {},
    "int16": {"dtype": np.int16, "name": "scan.nii"},
    "qform": {"header": _forms(1, 0)},
    "sform": {"header": _forms(0, 1)},
    "NIfTI-2": {"made": nib.Nifti2Image},
    "pair": {"made": nib.Nifti1Pair, "name": "scan.img"},
    "slope": _scaled(0.5, 0),
}
ALL_NIFTI = [
    *(Disguise(f"axes {axes}, {way}", 0, nifti(axes=axes, **_WAYS[way])) for axes in AXES for way in _WAYS),
    *(Disguise(f"axes {axes}, nodding", 26, _nodding(0.3, axes=axes)) for axes in AXES),
]
