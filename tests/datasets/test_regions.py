"""Labels and regions: what masks mean, how regions are decided, and what they cost and score."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from brain_tumor.datasets.regions import BINARY, Regions
from brain_tumor.metrics import segmentation
from brain_tumor.models import region_maps

LABELS = {"necrosis": 1, "oedema": 2, "enhancing": 4}  # as BraTS numbers them
NESTED = Regions.of_labels(LABELS).choose({"enhancing": 4, "whole": [1, 2, 4], "core": ["necrosis", "enhancing"]})
APART = Regions.of_labels(LABELS)


def test_regions_are_written_as_the_labels_that_they_add() -> None:
    assert NESTED.names == ["whole", "core", "enhancing"]
    assert NESTED.written == (2, 1, 4)
    assert not NESTED.exclusive
    assert APART.exclusive
    # Decided from the true regions of every label, masks are what they were.
    masks = np.array([[0, 1], [2, 4]], np.uint8)
    for regions in (NESTED, APART):
        maps = np.moveaxis(regions.table[masks], -1, 0).astype(np.float32)
        np.testing.assert_array_equal(regions.decide(maps), masks)
        np.testing.assert_array_equal(region_maps.labels(torch.from_numpy(maps[None]), regions)[0].numpy(), masks)
    assert Regions.of(NESTED.plain()) == NESTED
    assert BINARY.plain() is None
    assert NESTED.depth == 3


def test_the_most_probable_of_exclusive_labels_wins_over_the_background() -> None:
    maps = np.array([0.3, 0.35, 0.1], np.float32).reshape(3, 1, 1)  # the background has .25
    assert APART.decide(maps).item() == 2
    assert APART.decide(maps * 0.7).item() == 0  # now it has .475


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"core": [3]}, "data.regions.core: there is no label 3; the labels are 1 (necrosis)"),
        ({"core": ["tumour"]}, "data.regions.core: there is no label tumour"),
        ({"a": [1, 2], "b": [1, 4], "c": [2, 4]}, "a mask of labels cannot show it"),
    ],
)
def test_regions_that_cannot_be(asked: Any, line: str) -> None:
    with pytest.raises(ValueError, match=r".*".join(map(__import__("re").escape, [line]))):
        APART.choose(asked)


def test_losses_are_those_of_torch() -> None:
    torch.manual_seed(0)
    logits, masks = torch.randn(2, 3, 8, 8), torch.tensor([0, 1, 2, 4], dtype=torch.uint8)[torch.randint(4, (2, 8, 8))]
    truth, known = region_maps.Truth(APART)(masks)
    assert known is None
    classes = torch.tensor([0, 1, 2, 0, 3])[masks.long()]
    with_background = torch.cat([torch.zeros(2, 1, 8, 8), logits], 1)
    assert region_maps.loss("ce", logits, truth, None, APART) == pytest.approx(
        F.cross_entropy(with_background, classes)
    )
    nested, _ = region_maps.Truth(NESTED)(masks)
    assert nested.sum((0, 2, 3)).tolist() == [int(np.isin(masks, v).sum()) for v in ((1, 2, 4), (1, 4), (4,))]
    expected = F.binary_cross_entropy_with_logits(logits, nested)
    assert region_maps.loss("ce", logits, nested, None, NESTED) == pytest.approx(expected)


@pytest.mark.parametrize("regions", [NESTED, APART])
@pytest.mark.parametrize("kind", ["ce", "dice"])
def test_pixels_that_nobody_has_labelled_teach_nothing(regions: Regions, kind: str) -> None:
    ignoring = Regions(regions.labels, regions.members, regions.written, ignore=5)
    masks = torch.tensor([[[0, 1, 2, 4, 5, 5]]], dtype=torch.uint8)
    logits = torch.randn(1, 3, 1, 6, requires_grad=True)
    truth, known = region_maps.Truth(ignoring)(masks)
    region_maps.loss(kind, logits, truth, known, ignoring).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad[..., 4:] == 0).all()
    assert (logits.grad[..., :4] != 0).any()


def test_empty_regions_count_in_two_ways() -> None:
    """Four patients: .5, missed, without the region and clean, without it and with a false pixel."""
    counts = [(1, 1, 1), (0, 0, 3), (0, 0, 0), (0, 1, 0)]
    table = pd.DataFrame([(f"p{n}", *row) for n, row in enumerate(counts)], columns=["case", "tp", "fp", "fn"])
    scores = segmentation.score_region(table)
    assert scores["dice"]["value"] == pytest.approx((0.5 + 0) / 2)
    assert scores["dice_brats"]["value"] == pytest.approx((0.5 + 0 + 1 + 0) / 4)
    assert all(math.isfinite(scores[name][limit] or 0) for name in scores for limit in ("low", "high"))
