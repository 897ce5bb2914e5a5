"""Flag slices unlike the training slices: those far from the nearest of them, compared as small pictures.

Each slice is reduced to 8 x 8 pixels and their square roots, whitened by the training slices' principal components, and
compared with the nearest training slice. The training slices themselves set the distance that counts as far: each fifth
of the patients is compared with the others. No network is involved, so no network's confidence hides a strange slice.
"""

import base64
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.io import atomic
from brain_tumor.scans.images import as_rgb

FILE = "novelty.npz"  # in a run's folder
_SIDE = 8  # of a thumbnail, in pixels
_COMPONENTS = 32
_QUANTILE = 0.96  # of the distances between training slices of different patients
_MOST = 4000  # training slices that are stored, evenly spread
_FOLDS = 5  # of the patients
_FEWEST = 20  # training slices
_FIELDS = ("thumbnails", "threshold")
_WHITENED = ("mean", "components", "known")
Show = Callable[[int], NDArray[np.uint8]]


@dataclass(frozen=True)
class Reference:
    """What training slices look like, whitened: enough to compare others with them, and no pictures.

    Attributes:
        mean: of the thumbnails' square roots, (D,) with D = 3 * 8 * 8.
        components: principal components, each divided by its deviation, (D, k).
        known: the training slices, (n, k).
        threshold: the distance from which a slice is unlike them.
    """

    mean: NDArray[np.floating]
    components: NDArray[np.floating]
    known: NDArray[np.floating]
    threshold: float

    @classmethod
    def of(cls, thumbnails: NDArray[np.uint8], threshold: float) -> "Reference":
        """Whiten thumbnails, uint8 (n, D)."""
        roots = np.sqrt(thumbnails / 255.0)
        mean = roots.mean(0)
        _, deviations, components = np.linalg.svd(roots - mean, full_matrices=False)
        count = min(_COMPONENTS, int((deviations > 1e-6 * deviations[0]).sum()))
        whitening = components[:count].T / (deviations[:count] / np.sqrt(len(roots)))
        return cls(mean, whitening, (roots - mean) @ whitening, threshold)

    def score(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return how far slices uint8 (n, size, size, C) are from the nearest training slice.

        Returns:
            float64 (n,), in units of the threshold: a slice above 1 is unlike the training slices.
        """
        if not len(images):
            return np.empty(0)
        return self.distances(np.stack([_thumbnail(image) for image in images])) / self.threshold

    def distances(self, thumbnails: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the distances (n,) of thumbnails, uint8 (n, D), to the nearest training slice."""
        new, known = (np.sqrt(thumbnails / 255.0) - self.mean) @ self.components, self.known
        squares = (new**2).sum(1)[:, None] + (known**2).sum(1)[None] - 2 * new @ known.T
        distances: NDArray[np.float64] = np.sqrt(np.maximum(squares.min(1), 0))
        return distances

    def to_text(self) -> str:
        """Return it as text (base64 of a compressed NumPy file), rounded to 16 bits."""
        content = io.BytesIO()
        arrays = {name: getattr(self, name).astype(np.float16) for name in _WHITENED}
        np.savez_compressed(content, threshold=self.threshold, **arrays)
        return base64.b64encode(content.getvalue()).decode()

    @classmethod
    def from_text(cls, text: str) -> "Reference":
        """Read what `to_text` has returned.

        Raises:
            ValueError: it is damaged.
        """
        try:
            with np.load(io.BytesIO(base64.b64decode(text, validate=True)), allow_pickle=False) as file:
                mean, components, known = (file[name].astype(np.float64) for name in _WHITENED)
                threshold = float(file["threshold"])
            if components.shape != (len(mean), known.shape[1]) or len(mean) != 3 * _SIDE**2 or not threshold > 0:
                raise ValueError("of another form")
        except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
            raise ValueError(f"what it says of its training slices is damaged ({error})") from error
        return cls(mean, components, known, threshold)


class Novelty:
    """Compare slices with those of a training.

    Args:
        thumbnails: of the training slices, uint8 (n, 3 * 8 * 8).
        threshold: the distance from which a slice is unlike them.
    """

    def __init__(self, thumbnails: NDArray[np.uint8], threshold: float) -> None:
        self.thumbnails, self.threshold = thumbnails, threshold

    @cached_property
    def reference(self) -> Reference:
        """The training slices, whitened."""
        return Reference.of(self.thumbnails, self.threshold)

    @classmethod
    def fit(cls, show: Show, rows: NDArray[np.intp], cases: Sequence[str]) -> "Novelty | None":
        """Learn from training slices; return None if they are too few, of one patient, or all alike.

        Args:
            show: returns the slice of a row, uint8 (size, size, C); it is asked for those that are stored.
            rows: (n,), the training slices' rows.
            cases: the n patients' names; "" for unknown.
        """
        chosen = np.linspace(0, max(0, len(rows) - 1), min(len(rows), _MOST)).astype(int)
        names = np.array([cases[place] or f"slice {place}" for place in chosen])
        if len(names) < _FEWEST or len(set(names)) < 2:
            return None
        thumbnails = np.stack([_thumbnail(show(int(rows[place]))) for place in chosen])
        _, people = np.unique(names, return_inverse=True)
        folds = np.random.default_rng(0).permutation(people.max() + 1)[people] % _FOLDS
        distances = [
            Reference.of(thumbnails[folds != fold], 1.0).distances(thumbnails[folds == fold]) for fold in set(folds)
        ]
        threshold = float(np.quantile(np.concatenate(distances), _QUANTILE))
        return cls(thumbnails, threshold) if threshold > 0 else None

    def score(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return how far slices are from the nearest training slice (see `Reference.score`)."""
        return self.reference.score(images)

    def write(self, path: Path) -> None:
        """Write thumbnails and threshold to a file, complete or not at all."""
        with atomic.file(path) as temporary:
            np.savez_compressed(temporary, thumbnails=self.thumbnails, threshold=self.threshold)

    @classmethod
    def read(cls, path: Path) -> "Novelty | None":
        """Read what `write` wrote; return None without a file, or if an earlier version found all slices alike.

        Raises:
            ValueError: the file is damaged.
        """
        if not path.exists():
            return None
        try:
            # Opened here, since numpy leaves a damaged file open.
            with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
                thumbnails, threshold = (file[name] for name in _FIELDS)
            if thumbnails.dtype != np.uint8 or thumbnails.shape[1:] != (3 * _SIDE**2,) or not threshold >= 0:
                raise ValueError("of another form")
            return None if threshold == 0 else cls(thumbnails, float(threshold))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: damaged ({error}); delete it, and slices are not flagged") from error


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image uint8 (H, W, C) as a flat thumbnail of how it is drawn, uint8 (3 * 8 * 8,)."""
    return np.asarray(Image.fromarray(as_rgb(image)).resize((_SIDE, _SIDE), Image.Resampling.BOX)).ravel()
