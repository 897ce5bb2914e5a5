"""Turn a test part's logits into the record's numbers and the table of predictions."""

from typing import Any

import pandas as pd
import torch
from torch import Tensor

from brain_tumor.results import baselines, metrics, record


def score_test(
    table: pd.DataFrame, classes: list[str], rows: Tensor, logits: Tensor
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Score predictions on slices of `table`.

    Args:
        table: the data module's table.
        classes: class names.
        rows: int64 (n,), the scored rows of `table`.
        logits: float32 (n, C).

    Returns:
        Every metric with its interval, the confusion matrix and what the intervals resample; and the predictions.
    """
    scored = table.iloc[rows.numpy()]
    # In double precision the probabilities of one slice add up to 1 to the last digit that is written.
    probabilities = torch.softmax(logits.double(), dim=1)
    labels = torch.tensor(scored["label"].to_numpy())
    cases = list(scored["case"])
    scores = {
        **metrics.score(probabilities, labels, cases),
        "confusion_matrix": metrics.confusion_matrix(probabilities, labels),
        "resampled": metrics.resampled_unit(cases),
        "slices": len(scored),
    }
    return scores, record.predictions(scored, probabilities.numpy(), classes)


def score_baselines(table: pd.DataFrame, classes: list[str]) -> dict[str, Any]:
    """Score every baseline that the data allows on the test part of the data module's table."""
    train, test = (table[table["part"] == part] for part in ("train", "test"))
    labels = torch.tensor(test["label"].to_numpy())
    return {
        name: metrics.score(torch.from_numpy(probabilities), labels, list(test["case"]))
        for name, probabilities in baselines.predict(train, test, len(classes)).items()
    }
