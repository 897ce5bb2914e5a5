"""Test whether a score says more about a patient than facts that are known without it."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def permutation_p(
    scores: NDArray[np.float64],
    labels: NDArray[np.bool_],
    folds: NDArray[np.int64],
    facts: pd.DataFrame,
    permutations: int = 10_000,
    seed: int = 0,
) -> float:
    """Test one-sidedly whether a higher score goes with the label where the facts are equal.

    It is a permutation test of the score in a logistic regression of the labels on the facts: what the facts do not
    explain of the score is permuted within folds, since each fold's scores are of another model (after Freedman and
    Lane 1983).

    Args:
        scores: float64 (P,), a score per patient.
        labels: bool (P,), whether the patient is of the class.
        folds: int64 (P,), the fold in which the patient was tested.
        facts: P rows of numbers without gaps; every column counts linearly.
        permutations: number of permutations.
        seed: seed of the permutations.

    Returns:
        The share of permutations that fit as well, at least 1 / (permutations + 1); NaN where all labels are equal.

    Raises:
        ValueError: a fact is unknown.
    """
    if facts.isna().to_numpy().any():
        raise ValueError(f"facts: {facts.columns[facts.isna().any()][0]} is unknown for some patients; leave them out")
    if labels.all() or not labels.any():
        return float("nan")
    from sklearn.linear_model import LogisticRegression

    # Ranks within folds, so that no fold's scale counts more than another's.
    ranks = pd.Series(scores).groupby(folds).rank(pct=True).to_numpy()
    spread = facts.std(ddof=0).replace(0, 1)
    known = ((facts - facts.mean()) / spread).to_numpy(dtype=np.float64)
    expected = LogisticRegression(C=1e3, max_iter=1000).fit(known, labels).predict_proba(known)[:, 1]
    with_one = np.column_stack([np.ones(len(known)), known])
    unexplained = ranks - with_one @ np.linalg.lstsq(with_one, ranks, rcond=None)[0]
    drawn = np.tile(unexplained, (permutations + 1, 1))
    generator = np.random.default_rng(seed)
    for fold in np.unique(folds):
        places = np.flatnonzero(folds == fold)
        drawn[1:, places] = generator.permuted(drawn[1:, places], axis=1)
    fits = drawn @ (labels - expected)
    return float((1 + (fits[1:] >= fits[0] - 1e-12).sum()) / (permutations + 1))
