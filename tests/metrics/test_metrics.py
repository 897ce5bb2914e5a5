"""Every metric against scikit-learn, the intervals against theory, the baselines against hand counts."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics as sk
from torchmetrics import functional as tm

from brain_tumor.metrics import baselines, binary, classification


def _predictions(classes: int, n: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[labels]
    return torch.softmax(torch.from_numpy(logits), 1), torch.from_numpy(labels)


def _values(probabilities: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    positive = 1 if probabilities.shape[1] == 2 else None
    scores = classification.score(probabilities, labels, [""] * len(labels), positive, resamples=1)
    return {name: math.nan if score["value"] is None else score["value"] for name, score in scores.items()}


def test_two_classes_match_scikit_learn() -> None:
    probabilities, labels = _predictions(2)
    p, y, hard = probabilities[:, 1].numpy(), labels.numpy(), probabilities.argmax(1).numpy()
    expected = {
        "loss": sk.log_loss(y, p),
        "accuracy": sk.accuracy_score(y, hard),
        "sensitivity": sk.recall_score(y, hard),
        "specificity": sk.recall_score(y, hard, pos_label=0),
        "precision": sk.precision_score(y, hard),
        "f1": sk.f1_score(y, hard),
        "auroc": sk.roc_auc_score(y, p),
        "average_precision": sk.average_precision_score(y, p),
    }
    found = _values(probabilities, labels)
    assert found.pop("calibration_error") == pytest.approx(_calibration_error(probabilities, labels), abs=1e-5)
    assert found == pytest.approx(expected, abs=1e-5)
    assert binary.confusion_matrix(probabilities, labels) == sk.confusion_matrix(y, hard).tolist()


def test_the_positive_class_is_rated_wherever_it_stands() -> None:
    probabilities, labels = _predictions(2)
    turned, other = probabilities.flip(1), 1 - labels
    expected = classification.score(probabilities, labels, [""] * 400, 1, resamples=1)
    assert classification.score(turned, other, [""] * 400, 0, resamples=1) == expected
    neither = classification.score(probabilities, labels, [""] * 400, None, resamples=1)
    assert neither["sensitivity"]["value"] == pytest.approx(neither["specificity"]["value"])
    assert neither["accuracy"] == expected["accuracy"]


def test_three_classes_match_scikit_learn() -> None:
    probabilities, labels = _predictions(3)
    p, y, hard = probabilities.numpy(), labels.numpy(), probabilities.argmax(1).numpy()
    found = _values(probabilities, labels)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, hard), abs=1e-5)
    assert found["sensitivity"] == pytest.approx(sk.recall_score(y, hard, average="macro"), abs=1e-5)
    assert found["precision"] == pytest.approx(sk.precision_score(y, hard, average="macro"), abs=1e-5)
    assert found["f1"] == pytest.approx(sk.f1_score(y, hard, average="macro"), abs=1e-5)
    assert found["auroc"] == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr"), abs=1e-5)
    one_against_rest = np.mean([sk.recall_score(y == k, hard == k, pos_label=False) for k in range(3)])
    assert found["specificity"] == pytest.approx(one_against_rest, abs=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_weighting_is_the_resample_it_stands_for(classes: int) -> None:
    probabilities, labels = _predictions(classes, 60)
    probabilities = (probabilities * 8).round() / 8  # many slices of equal score
    drawn = torch.from_numpy(np.random.default_rng(0).integers(0, 60, (5, 60)))
    weights = torch.stack([torch.bincount(rows, minlength=60) for rows in drawn]).double()
    found = classification._weighted(probabilities, labels, 1 if classes == 2 else None, weights)
    for index, rows in enumerate(drawn):
        p, y = probabilities[rows], labels[rows]
        alone = _values(p, y)
        assert {name: float(values[index]) for name, values in found.items()} == pytest.approx(alone)
        average = {"task": "multiclass", "num_classes": classes, "average": "macro"}
        assert alone["calibration_error"] == pytest.approx(
            float(tm.calibration_error(p, y, task="multiclass", num_classes=classes, n_bins=15)), abs=1e-5
        )
        if classes > 2:
            for name in ("specificity", "auroc", "average_precision"):
                assert alone[name] == pytest.approx(float(getattr(tm, name)(p, y, **average)), abs=1e-5)
        else:
            for name in ("specificity", "auroc", "average_precision"):
                assert alone[name] == pytest.approx(float(getattr(tm, name)(p[:, 1], y, task="binary")), abs=1e-5)


def _calibration_error(probabilities: torch.Tensor, labels: torch.Tensor) -> float:
    confidence, hard = probabilities.max(1)
    hit = (hard == labels).double()
    bins = (confidence * 15).ceil().long() - 1
    return sum(float((confidence - hit)[bins == b].sum().abs()) for b in range(15)) / len(labels)


def test_what_is_undefined_is_none() -> None:
    probabilities, _ = _predictions(2, 20)
    scores = classification.score(probabilities, torch.zeros(20, dtype=torch.int64), [""] * 20, 1, resamples=10)
    assert scores["auroc"] == {"value": None, "low": None, "high": None}
    assert scores["accuracy"]["value"] is not None


def test_the_interval_of_independent_slices_is_the_binomial_one() -> None:
    labels = torch.tensor([1] * 80 + [0] * 20).repeat(4)
    probabilities = torch.tensor([[0.1, 0.9]]).repeat(400, 1)
    interval = classification.score(probabilities, labels, [""] * 400, 1)["accuracy"]
    assert interval["value"] == pytest.approx(0.8)
    assert interval["low"] == pytest.approx(0.8 - 1.96 * 0.02, abs=0.006)
    assert interval["high"] == pytest.approx(0.8 + 1.96 * 0.02, abs=0.006)


def test_patients_widen_the_interval() -> None:
    right = np.repeat(np.random.default_rng(0).random(20) < 0.8, 20)
    probabilities = torch.from_numpy(np.where(right[:, None], [0.1, 0.9], [0.9, 0.1]))
    labels = torch.ones(400, dtype=torch.int64)
    by_slice = classification.score(probabilities, labels, [""] * 400, 1)["accuracy"]
    by_patient = classification.score(probabilities, labels, [f"p{i // 20}" for i in range(400)], 1)["accuracy"]
    widths = [(i["high"] or 0) - (i["low"] or 0) for i in (by_slice, by_patient)]
    assert widths[1] > 3 * widths[0]


def _slices(case: str, labels: str) -> pd.DataFrame:
    rows = [(case, number, int(label)) for number, label in enumerate(labels, 1)]
    return pd.DataFrame(rows, columns=["case", "slice", "label"])


def test_baselines_by_hand() -> None:
    table = pd.concat([_slices("a", "0001110000"), _slices("b", "0000111100")], ignore_index=True)
    test = table.iloc[[3, 9, 15]]  # a 4: tumour, a 10: none, b 6: tumour
    train = table.drop(index=test.index)
    found = baselines.predict(train, test, 2)
    assert found["majority"] == pytest.approx(np.tile([12 / 17, 5 / 17], (3, 1)))
    assert found["nearest_slice"].argmax(1).tolist() == [0, 0, 1]  # a 4's first nearest is a 3, without tumour
    assert found["position"][1].argmax() == 0
    for probabilities in found.values():
        np.testing.assert_allclose(probabilities.sum(1), 1)


def test_baselines_that_the_data_does_not_allow_are_absent() -> None:
    a, b = _slices("a", "0110"), _slices("b", "0110")
    b.index = b.index + 4
    assert set(baselines.predict(a, b, 2)) == {"majority", "position"}
    assert set(baselines.predict(a.assign(slice=-1), b.assign(slice=-1), 2)) == {"majority"}
