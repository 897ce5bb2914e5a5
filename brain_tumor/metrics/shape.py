"""What a tumour's size and shape alone tell of its type: logistic regression on masks, without pixels.

The features are those of Buda, Saha, Mazurowski 2019, with the tumour's size: angular standard deviation and margin
fluctuation of an outline, and of a volume the ratio to its bounding ellipsoid.
"""

import importlib.util
import warnings
from collections.abc import Callable, Sequence

import contourpy
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.spatial import ConvexHull, QhullError

Mask = NDArray[np.uint8]
Array = NDArray[np.float64]
_SECTORS = 10
_TOLERANCE = 1e-3  # of the bounding ellipsoid


def predict(
    train: pd.DataFrame, test: pd.DataFrame, classes: int, mask: Callable[[int], Mask]
) -> dict[str, NDArray[np.float64]]:
    """Predict the test slices' classes from the masks of tumours.

    Where slices have numbers, a patient is described by the whole tumour, the outlines of its largest slice; elsewhere
    each slice by its own.

    Args:
        train: columns `case`, `slice`, `label`, every class among them; its index is what `mask` takes.
        test: likewise.
        classes: how many there are.
        mask: returns the mask (H, W) of a row.

    Returns:
        Class probabilities (n, C), as `shape`; nothing without scikit-learn, which is an extra.
    """
    if not importlib.util.find_spec("sklearn"):
        return {}
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    together = pd.concat([train, test])
    features = _of_volumes(together, mask) if (together["slice"] >= 0).all() else _of_slices(together, mask)
    by_volume = (together["slice"] >= 0).all()
    units = train.drop_duplicates("case") if by_volume else train
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(features.loc[units.index], units["label"])
    found: NDArray[np.float64] = model.predict_proba(features.loc[test.index])
    assert found.shape[1] == classes, "every class is in training"
    return {"shape": found}


def _of_slices(table: pd.DataFrame, mask: Callable[[int], Mask]) -> pd.DataFrame:
    return pd.DataFrame([planar(mask(int(row))) for row in table.index], index=table.index)


def _of_volumes(table: pd.DataFrame, mask: Callable[[int], Mask]) -> pd.DataFrame:
    found = {}
    for case, own in table.groupby("case"):
        masks = [mask(int(row)) for row in own.index]
        largest = masks[int(np.argmax([each.sum() for each in masks]))]
        ratio, volume = ellipsoid_ratio(masks, own["slice"].tolist())
        found[case] = {**planar(largest), "size": np.log1p(volume), "ellipsoid": ratio}
    return pd.DataFrame([found[case] for case in table["case"]], index=table.index)


def planar(mask: Mask) -> dict[str, float]:
    """Describe a mask (H, W): `size` (log of 1 + its pixels), `angular` and `fluctuation`; 0 for what is too small.

    Distances are from the centre of mass to the outline of the largest part, and divided by their mean. `angular` is
    the mean of their standard deviations in ten equal sectors, `fluctuation` the standard deviation of their difference
    from a moving average over a tenth of the outline.
    """
    size = float(np.log1p(mask.sum()))
    lines = contourpy.contour_generator(z=np.pad(mask, 1).astype(float)).lines(0.5)
    outlines = [np.asarray(line) for line in lines] or [np.zeros((0, 2))]
    outline = max(outlines, key=len)[:-1]  # its last point is its first
    if len(outline) < 2 * _SECTORS:
        return {"size": size, "angular": 0.0, "fluctuation": 0.0}
    rows, columns = np.nonzero(mask)
    offsets = outline - 1 - [columns.mean(), rows.mean()]
    distances = np.hypot(*offsets.T)
    distances /= distances.mean()
    sectors = ((np.arctan2(*offsets.T) / (2 * np.pi) + 0.5) * _SECTORS).astype(int).clip(max=_SECTORS - 1)
    spreads = [distances[sectors == sector].std() for sector in np.unique(sectors)]
    smooth = uniform_filter1d(distances, max(1, len(distances) // 10), mode="wrap")
    return {"size": size, "angular": float(np.mean(spreads)), "fluctuation": float((distances - smooth).std())}


def ellipsoid_ratio(masks: Sequence[Mask], heights: Sequence[int]) -> tuple[float, float]:
    """Return what share of its smallest enclosing ellipsoid a volume fills, and its voxels.

    The share is the same however thick the slices are.

    Args:
        masks: (H, W) each.
        heights: their numbers.
    """
    volume = float(sum(int(mask.sum()) for mask in masks))
    corners = [_corners(mask, height) for mask, height in zip(masks, heights, strict=True) if mask.any()]
    if not corners:
        return 0.0, 0.0
    points = np.concatenate(corners)
    try:
        points = points[ConvexHull(points).vertices]
    except QhullError:
        warnings.warn("a tumour without a hull", stacklevel=2)
        return 0.0, volume
    return volume / ellipsoid_volume(points), volume


def _corners(mask: Mask, height: int) -> Array:
    """Return the corners of a slice's outermost voxels, (n, 3)."""
    rows = np.flatnonzero(mask.any(1))
    first, last = mask[rows].argmax(1), mask.shape[1] - mask[rows][:, ::-1].argmax(1)
    plane = [
        (row + down, column)
        for row, a, b in zip(rows, first, last, strict=True)
        for column in (a, b)
        for down in (0, 1)
    ]
    return np.array([(*point, height + up) for point in plane for up in (0, 1)], dtype=np.float64)


def ellipsoid_volume(points: Array) -> float:
    """Return the volume of the smallest ellipsoid around points (n, 3), by Khachiyan's algorithm (1996)."""
    count, size = points.shape
    lifted = np.vstack([points.T, np.ones(count)])
    weights = np.full(count, 1 / count)
    for _ in range(2000):
        spread = np.einsum("ij,ij->j", lifted, np.linalg.solve((lifted * weights) @ lifted.T, lifted))
        furthest = int(spread.argmax())
        excess = float(spread[furthest])
        if excess <= (size + 1) * (1 + _TOLERANCE):
            break
        step = (excess - size - 1) / ((size + 1) * (excess - 1))
        weights *= 1 - step
        weights[furthest] += step
    centre = points.T @ weights
    shape = (points.T * weights) @ points - np.outer(centre, centre)
    return float(4 / 3 * np.pi * np.sqrt(np.linalg.det(size * shape)))
