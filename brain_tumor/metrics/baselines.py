"""Predict classes without any pixel: image-free baselines on the same split, beside which every result is read."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_BINS = 20


def predict(train: pd.DataFrame, test: pd.DataFrame, classes: int) -> dict[str, NDArray[np.float64]]:
    """Predict the test slices' classes with image-free baselines.

    Args:
        train: the training slices, with columns `case`, `slice`, `label`.
        test: the test slices, with the same columns.
        classes: the number C of classes.

    Returns:
        Class probabilities, float64 (n, C), of each baseline that the data allows:

        - `majority`: the training part's class frequencies for every slice.
        - `position`: class frequencies of training slices at the same relative height within their case.
        - `nearest_slice`: the label of the training slice of the same patient with the nearest number, and `majority`
          for patients without one. It is absent where no test patient has a training slice.
        - `same_patient`: where slices have no numbers, the class frequencies of the patient's training slices, and
          `majority` for patients without one. It is absent where no test patient has a training slice.
    """
    frequencies = _frequencies(train["label"].to_numpy(), classes)
    predictions = {"majority": np.tile(frequencies, (len(test), 1))}
    if (train["slice"] >= 0).all() and (test["slice"] >= 0).all():
        both = pd.concat([train, test])
        predictions["position"] = _position(train, test, heights(both), frequencies)
        if test["case"].isin(train["case"]).any():
            predictions["nearest_slice"] = _nearest(train, test, frequencies)
    elif (test["case"] != "").all() and test["case"].isin(train["case"]).any():
        predictions["same_patient"] = _of_patient(train, test, frequencies)
    return predictions


def _frequencies(labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    frequencies: NDArray[np.float64] = np.bincount(labels, minlength=classes) / len(labels)
    return frequencies


def heights(table: pd.DataFrame) -> "pd.Series[float]":
    """Return each slice's relative height: from 0 for the first slice of its case to 1 for the last."""
    numbers = table.groupby("case")["slice"]
    first, last = numbers.transform("min"), numbers.transform("max")
    return (table["slice"] - first) / (last - first).clip(lower=1)


def _position(
    train: pd.DataFrame, test: pd.DataFrame, heights: "pd.Series[float]", prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    bins = (heights * _BINS).clip(upper=_BINS - 1).astype(int)
    # Each bin is smoothed by one more slice with the overall frequencies.
    table = np.tile(prior, (_BINS, 1))
    np.add.at(table, (bins[train.index].to_numpy(), train["label"].to_numpy()), 1)
    table /= table.sum(1, keepdims=True)
    return table[bins[test.index].to_numpy()]


def _nearest(train: pd.DataFrame, test: pd.DataFrame, prior: NDArray[np.float64]) -> NDArray[np.float64]:
    certain, labels = np.eye(len(prior)), train["label"]
    return np.array([prior if row is None else certain[labels[row]] for row in nearest_rows(train, test)])


def _of_patient(train: pd.DataFrame, test: pd.DataFrame, prior: NDArray[np.float64]) -> NDArray[np.float64]:
    frequencies = {case: _frequencies(labels.to_numpy(), len(prior)) for case, labels in train.groupby("case")["label"]}
    return np.array([frequencies.get(case, prior) for case in test["case"]])


def nearest_rows(train: pd.DataFrame, test: pd.DataFrame) -> list[int | None]:
    """Find for each test slice the training slice of the same patient with the nearest number.

    Returns:
        A label of `train`'s index per test slice; None where the patient has no training slice.
    """
    cases = dict(list(train.groupby("case")["slice"]))
    return [
        int((cases[case] - number).abs().idxmin()) if case in cases else None
        for case, number in zip(test["case"], test["slice"], strict=True)
    ]
