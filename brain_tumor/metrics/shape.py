"""Predict a tumour's type from its size and shape alone: an image-free baseline, logistic regression on masks.

The features are those of Buda, Saha, Mazurowski 2019, and the tumour's size: angular standard deviation and margin
fluctuation of an outline and, for a volume, the share that it fills of its bounding ellipsoid.
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
_TOLERANCE = 1e-3  # relative, of the search for the bounding ellipsoid


def predict(
    train: pd.DataFrame, test: pd.DataFrame, classes: int, mask: Callable[[int], Mask]
) -> dict[str, NDArray[np.float64]]:
    """Predict the test slices' classes from the masks of tumours.

    Where slices have numbers, each patient is described by the whole tumour and by the outline of its largest slice.
    Otherwise each slice is described by its outline.

    Args:
        train: the training slices, with columns `case`, `slice`, `label`; every class occurs.
        test: the test slices, with the same columns.
        classes: the number C of classes.
        mask: returns the mask, uint8 (H, W), of a label of the tables' index.

    Returns:
        Class probabilities, float64 (n, C), as `shape`; {} without scikit-learn, which is an optional dependency.
    """
    if not importlib.util.find_spec("sklearn"):
        return {}
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    both = pd.concat([train, test])
    by_volume = (both["slice"] >= 0).all()
    features = _of_volumes(both, mask) if by_volume else _of_slices(both, mask)
    units = train.drop_duplicates("case") if by_volume else train
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(features.loc[units.index], units["label"])
    probabilities: NDArray[np.float64] = model.predict_proba(features.loc[test.index])
    assert probabilities.shape[1] == classes, "every class is in training"
    return {"shape": probabilities}


def _of_slices(table: pd.DataFrame, mask: Callable[[int], Mask]) -> pd.DataFrame:
    return pd.DataFrame([planar(mask(int(row))) for row in table.index], index=table.index)


def _of_volumes(table: pd.DataFrame, mask: Callable[[int], Mask]) -> pd.DataFrame:
    described = {}
    for case, members in table.groupby("case"):
        masks = [mask(int(row)) for row in members.index]
        largest = masks[int(np.argmax([slice_.sum() for slice_ in masks]))]
        ratio, volume = ellipsoid_ratio(masks, members["slice"].tolist())
        described[case] = {**planar(largest), "size": np.log1p(volume), "ellipsoid": ratio}
    return pd.DataFrame([described[case] for case in table["case"]], index=table.index)


def planar(mask: Mask) -> dict[str, float]:
    """Describe the size and the outline of a mask, uint8 (H, W).

    Returns:
        - `size`: the logarithm of 1 + the number of pixels.
        - `angular` and `fluctuation`: both from the distances between the centre of mass and the longest outline,
          divided by their mean. `angular` is the mean of their standard deviations in ten equal sectors. `fluctuation`
          is the standard deviation of their difference from a moving average over a tenth of the outline. Both are 0
          for an outline of fewer than 20 points.
    """
    size = float(np.log1p(mask.sum()))
    lines = contourpy.contour_generator(z=np.pad(mask, 1).astype(float)).lines(0.5)
    outlines = [np.asarray(line) for line in lines] or [np.zeros((0, 2))]
    outline = max(outlines, key=len)[:-1]  # the last point repeats the first
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
    """Measure a volume and its smallest enclosing ellipsoid.

    Args:
        masks: the volume's slices, uint8 (H, W).
        heights: the slices' numbers.

    Returns:
        The share of the ellipsoid that the volume fills, which does not depend on the slices' thickness; and the number
        of voxels. The share is 0 where there is no ellipsoid.
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
    """Return the corners of the outermost voxels in each row of a slice, float64 (n, 3)."""
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
