"""Measure how well a sequence lies on another after its registration, and say where that is poor."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from brain_tumor.scans.registration import BINS, LPS, Matrix, transform

if TYPE_CHECKING:
    from SimpleITK import Euler3DTransform, Image

LEAST_AGREEMENT = 0.78  # of edges; docs/predict.md says how it was chosen
LEAST_COVERED = 0.9  # share of the head
_EDGE = 3.0  # mm: how wide edges are blurred before they are compared
_STRONG = 90  # percentile: stronger edges count as this one, since fluid is bright in one sequence and dark in another
_HEAD = 0.1  # of the 99th percentile: a voxel with more belongs to the head


@dataclass(frozen=True)
class Quality:
    """How well a sequence lies on another after its registration.

    Attributes:
        before: mutual information in nats where the headers put the sequences.
        after: mutual information after the registration.
        agreement: the correlation of the strengths of their edges, -1 to 1 (see `_STRONG`).
        covered: share of the other's head that the sequence shows, 0 to 1.
        moved: by how many millimetres the head's voxels moved, the largest of them.
    """

    before: float
    after: float
    agreement: float
    covered: float
    moved: float

    def doubts(self, main: str) -> list[str]:
        """Return warnings about a poor registration to the sequence `main`."""
        notes = []
        if not self.agreement >= LEAST_AGREEMENT:  # NaN, too
            notes.append(
                f"its registration to {main} is poor: their edges agree by {self.agreement:.2f}, "
                f"less than {LEAST_AGREEMENT}; look at it"
            )
        if self.covered < LEAST_COVERED:
            notes.append(f"shows {self.covered:.0%} of the head in {main} only, too little for a sure registration")
        return notes


def measure(moving: "Image", fixed: "Image", matrix: Matrix) -> Quality:
    """Measure how well a moving image lies on a fixed one (see `Quality`).

    Args:
        moving: the finest of its images (see `registration.pyramid`).
        fixed: likewise.
        matrix: the transform that was found (see `registration.rigid`).
    """
    import SimpleITK

    found, shown = transform(matrix), SimpleITK.GetArrayFromImage(fixed)
    head = shown > shown.min() + _HEAD * (np.percentile(shown, 99) - shown.min())
    edges = [SimpleITK.GradientMagnitudeRecursiveGaussian(image, _EDGE) for image in (fixed, moving)]
    own, other = SimpleITK.GetArrayFromImage(edges[0]), _on(edges[1], fixed, found)
    inside = np.isfinite(other)
    agreement = _correlation(own[inside], other[inside]) if inside.any() else np.nan
    before, after = (_information(shown, _on(moving, fixed, way)) for way in (SimpleITK.Euler3DTransform(), found))
    return Quality(before, after, agreement, float(inside[head].mean()), _moved(fixed, head, matrix))


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the correlation of strengths of edges, -1 to 1; NaN where one of them is the same everywhere."""
    first, second = (edges.clip(max=np.percentile(edges, _STRONG)) for edges in (first, second))
    return float(np.corrcoef(first, second)[0, 1]) if np.ptp(first) > 0 and np.ptp(second) > 0 else np.nan


def _on(moving: "Image", fixed: "Image", found: "Euler3DTransform") -> NDArray[np.float32]:
    """Return a moving image on a fixed one's grid: float32 (K, J, I), NaN where it shows nothing."""
    import SimpleITK

    resampled = SimpleITK.Resample(moving, fixed, found, SimpleITK.sitkLinear, float("nan"), SimpleITK.sitkFloat32)
    return np.asarray(SimpleITK.GetArrayFromImage(resampled))


def _information(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the mutual information of two images in nats, where the second shows something; 0 where it does not."""
    inside = np.isfinite(second)
    if not inside.any():
        return 0.0
    counts, _, _ = np.histogram2d(first[inside], second[inside], BINS)
    joint = counts / counts.sum()
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / apart[some])).sum())


def _moved(fixed: "Image", head: NDArray[np.bool_], matrix: Matrix) -> float:
    """Return the largest way of a corner of the box around the head, in millimetres."""
    places = np.argwhere(head)[:, ::-1]
    if not len(places):
        return 0.0
    low, high = places.min(0), places.max(0)
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), -1).reshape(-1, 3)
    points = [[*fixed.TransformContinuousIndexToPhysicalPoint(corner.astype(float).tolist()), 1] for corner in corners]
    ways = (LPS @ matrix @ LPS - np.eye(4)) @ np.array(points).T
    return float(np.linalg.norm(ways[:3], axis=0).max())
