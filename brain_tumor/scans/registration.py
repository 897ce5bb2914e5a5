"""Find how a head moved between two scans, with SimpleITK: a rigid transform, and figures that say how good it is.

The transform is the one with the largest mutual information (Mattes et al. 2003), on images of 8, 4 and then 2 mm. At
8 mm it is sought from where the headers put the scans, from their middles and from their centres of mass, and the best
goes on. Samples are seeded, and one thread does it all, since sums of several differ in their last digits.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from brain_tumor.io import atomic
from brain_tumor.scans.volumes import Volume

if TYPE_CHECKING:
    from SimpleITK import Euler3DTransform, Image

WAYS = ("none", "rigid")
INSTALL = "pip install 'brain-tumor[register]'"
Matrix = NDArray[np.float64]
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK's x and y run to the left and back
_LEVELS = ((8.0, 0.1), (4.0, 0.05), (2.0, 0.005))  # mm: how coarse the images are, and the last step of the search
_RADIUS = 60.0  # mm: a turn by one radian counts as much as a shift by this
_STEPS = 300
_SAMPLES = 50_000  # voxels that a level's mutual information is computed from
_SEED = 1
BINS = 32
_CLIPPED = (0.5, 99.5)  # percentiles: a few glaring voxels would leave one bin to the head
_EVERY = 7  # voxel that percentiles are computed from
_FEWEST = 4  # slices; fewer cannot be smoothed


def refuse(way: str) -> None:
    """Check a way to register.

    Raises:
        ValueError: it is none of `WAYS`, or SimpleITK is not installed.
    """
    if way not in WAYS:
        raise ValueError(f"register={way}: choose one of {', '.join(WAYS)}")
    if way != "none" and not available():
        raise ValueError(f"register={way}: needs SimpleITK: {INSTALL}")


def available() -> bool:
    """Return whether SimpleITK is installed."""
    return importlib.util.find_spec("SimpleITK") is not None


def pyramid(volume: Volume) -> "list[Image]":
    """Make the images of a volume that are registered, from coarse to fine.

    Raises:
        ValueError: the size of its voxels is not known, or it has too few of them.
    """
    import SimpleITK

    if not volume.measured:
        raise ValueError("cannot be registered: its files do not say where it lies in space")
    if (fewest := min(volume.values.shape)) < _FEWEST:
        raise ValueError(f"cannot be registered: has {fewest} slice{'s' * (fewest != 1)} only")
    affine = LPS @ volume.affine
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = np.percentile(volume.values.ravel()[::_EVERY], _CLIPPED)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(volume.values.clip(low, high).T))
    image.SetSpacing(lengths.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / lengths).ravel().tolist())
    finest = SimpleITK.BinShrink(image, _factors(image, _LEVELS[-1][0]))
    return [*(_coarse(finest, millimetres) for millimetres, _ in _LEVELS[:-1]), finest]


def _factors(image: "Image", millimetres: float) -> list[int]:
    sides = zip(image.GetSpacing(), image.GetSize(), strict=True)
    return [max(1, min(round(millimetres / length), count // _FEWEST)) for length, count in sides]


def _coarse(image: "Image", millimetres: float) -> "Image":
    import SimpleITK

    return SimpleITK.Shrink(SimpleITK.SmoothingRecursiveGaussian(image, millimetres / 2), _factors(image, millimetres))


def rigid(moving: "Sequence[Image]", fixed: "Sequence[Image]") -> Matrix:
    """Find the rigid transform from a fixed image's points to those of a moving one that show the same.

    Args:
        moving: its images, from coarse to fine (see `pyramid`).
        fixed: likewise.

    Returns:
        float64 (4, 4), from millimetres to millimetres, x to the right, y to the front, z up.

    Raises:
        ValueError: no transform is found.
    """
    try:
        with _one_thread():
            found = _starts(fixed[0], moving[0])
            for (millimetres, last), still, moved in zip(_LEVELS, fixed, moving, strict=True):
                results = [_improved(start, still, moved, millimetres / 2, last) for start in found]
                found = [min(filter(None, results), key=lambda result: result[0])[1]]
    except (RuntimeError, ValueError) as error:  # SimpleITK's, or no result at all
        raise ValueError("cannot be registered: no pose is found in which the two show the same") from error
    return _matrix(found[0])


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let ITK use one thread; a registration's own setting does not reach its metric."""
    from SimpleITK import ProcessObject

    before = ProcessObject.GetGlobalDefaultNumberOfThreads()
    ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _starts(fixed: "Image", moving: "Image") -> "list[Euler3DTransform]":
    """Return the transforms to begin with: none, middle on middle, centre of mass on centre of mass."""
    from SimpleITK import CenteredTransformInitializer, CenteredTransformInitializerFilter, Euler3DTransform

    moments, middles = (
        Euler3DTransform(CenteredTransformInitializer(fixed, moving, Euler3DTransform(), way))
        for way in (CenteredTransformInitializerFilter.MOMENTS, CenteredTransformInitializerFilter.GEOMETRY)
    )
    centre = np.array(moments.GetCenter())  # of the head, so that turns and shifts depend little on each other
    made = []
    for start in (Euler3DTransform(), middles, moments):
        shift = np.array(start.TransformPoint(centre.tolist())) - centre
        made.append(Euler3DTransform(centre.tolist(), 0, 0, 0, shift.tolist()))
    return made


def _improved(
    start: "Euler3DTransform", fixed: "Image", moving: "Image", step: float, last: float
) -> "tuple[float, Euler3DTransform] | None":
    """Return the negative mutual information of the best transform near another, and it; None without an overlap."""
    import SimpleITK

    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    if (share := _SAMPLES / fixed.GetNumberOfPixels()) < 1:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(share, _SEED)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerScales([_RADIUS**2] * 3 + [1.0] * 3)
    method.SetOptimizerAsRegularStepGradientDescent(step, last, _STEPS, relaxationFactor=0.8)
    found = SimpleITK.Euler3DTransform(start)
    method.SetInitialTransform(found, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:  # all samples lie outside
        return None
    return method.GetMetricValue(), found


def _matrix(found: "Euler3DTransform") -> Matrix:
    turn, centre = np.array(found.GetMatrix()).reshape(3, 3), np.array(found.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, centre + found.GetTranslation() - turn @ centre
    return np.asarray(LPS @ matrix @ LPS)


def transform(matrix: Matrix) -> "Euler3DTransform":
    """Return a transform of points in millimetres as SimpleITK's, whose x and y run to the left and back."""
    import SimpleITK

    turned, made = LPS @ matrix @ LPS, SimpleITK.Euler3DTransform()
    made.SetMatrix(turned[:3, :3].ravel().tolist(), 1e-6)
    made.SetTranslation(turned[:3, 3].tolist())
    return made


def write(path: Path, matrix: Matrix) -> None:
    """Write a transform as ITK does (.tfm), complete or not at all."""
    import SimpleITK

    with atomic.file(path) as temporary:
        SimpleITK.WriteTransform(transform(matrix), str(temporary))
