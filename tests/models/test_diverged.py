"""A network that gives no numbers: what is scored then is said to be none of its answers."""

import math

import torch

from brain_tumor.metrics import binary
from brain_tumor.models.classifier import Classifier
from brain_tumor.runs import summary


def test_slices_without_numbers_are_counted() -> None:
    model = Classifier(backbone="cnn", num_classes=2, weights="none")
    outcomes = torch.tensor([[0.0, 1.0], [math.nan, 1.0], [math.inf, 0.0]])
    model._predictions = torch.arange(3), outcomes
    assert model.without_numbers == 2
    model._predictions = torch.arange(3), torch.tensor([0.1, math.nan, 0.9])  # a segmenter's
    assert model.without_numbers == 1
    model._predictions = torch.arange(2), outcomes[:1].repeat(2, 1)
    assert model.without_numbers == 0


def test_what_has_no_order_has_no_area() -> None:
    labels, weights = torch.tensor([True, False, True]), torch.ones(1, 3, dtype=torch.float64)
    for scores, known in (([0.9, 0.1, 0.8], True), ([0.9, math.nan, 0.8], False)):
        found = binary.one_class(torch.tensor(scores), torch.tensor(scores) > 0.5, labels, weights)
        assert [bool(found[name].isnan().any()) for name in ("auroc", "average_precision")] == [not known] * 2


def test_it_is_said() -> None:
    assert summary.without_numbers({"slices": 3}) == ""
    assert summary.without_numbers({"slices": 3, "without_numbers": 0}) == ""
    assert "gives no numbers (NaN) for 2 of 3 slices" in summary.without_numbers({"slices": 3, "without_numbers": 2})
