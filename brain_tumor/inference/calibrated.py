"""Networks whose probabilities can be used: calibrated, with the novelty of each slice, and averaged over several."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.novelty import Reference
from brain_tumor.inference.base import Network, Outputs
from brain_tumor.metrics import calibration
from brain_tumor.scans.fitted import Fitted


class CalibratedNetwork:
    """A network with calibrated probabilities, which also says how new a slice is.

    Args:
        network: the trained one. Its maps stay as they are, since they are thresholded at .5.
        temperature: of `brain_tumor.metrics.calibration.soften`.
        novelty: what its training slices look like; None if unknown.
    """

    def __init__(self, network: Network, temperature: float, novelty: Reference | None) -> None:
        self._network, self._temperature, self._novelty = network, temperature, novelty

    @property
    def batch(self) -> int:
        """The number of slices that it predicts together."""
        return self._network.batch

    def __call__(self, fitted: Fitted) -> Outputs:
        """Predict slices."""
        raw = self._network(fitted)
        return Outputs(
            calibration.soften(raw.probabilities, self._temperature),
            raw.maps,
            np.full(len(fitted.images), np.nan) if self._novelty is None else self._novelty.score(fitted.stretched),
        )

    def explain(self, fitted: Fitted, target: int) -> NDArray[np.float32] | None:
        """Return heat maps of a class, float32 (n, size, size) from 0 up; None if it cannot make any."""
        return self._network.explain(fitted, target)


class MeanNetwork:
    """Several networks, which predict the mean of their calibrated probabilities and maps.

    Args:
        networks: two or more.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    @property
    def batch(self) -> int:
        """The number of slices that they predict together."""
        return min(network.batch for network in self._networks)

    def __call__(self, fitted: Fitted) -> Outputs:
        """Predict slices."""
        outputs = [network(fitted) for network in self._networks]
        maps = [output.maps for output in outputs if output.maps is not None]
        novelties = [output.novelty for output in outputs if output.novelty is not None]
        return Outputs(
            np.mean([output.probabilities for output in outputs], 0),
            np.mean(np.stack(maps), 0, dtype=np.float32) if maps else None,
            np.fmin.reduce(novelties) if novelties else None,  # a slice is new only if it is new to all of them
        )

    def explain(self, fitted: Fitted, target: int) -> NDArray[np.float32] | None:
        """Return the mean of their heat maps, each scaled to at most 1; None if one of them has none."""
        maps = [network.explain(fitted, target) for network in self._networks]
        scaled = [heat / np.maximum(heat.max((1, 2), keepdims=True), 1e-12) for heat in maps if heat is not None]
        if len(scaled) < len(maps):
            return None
        mean: NDArray[np.float32] = np.mean(np.stack(scaled), 0, dtype=np.float32)
        return mean
