"""Run lengths as the paper, Kaggle and COCO write them, and back."""

import numpy as np
import pytest

from brain_tumor.io import run_lengths
from brain_tumor.metrics import lesions

EXAMPLE = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 1]], np.uint8)


def test_the_example() -> None:
    assert run_lengths.to_kaggle(EXAMPLE) == "2 1 4 2 9 1"
    assert run_lengths.to_coco(EXAMPLE) == [1, 1, 1, 2, 3, 1]
    assert run_lengths.flatten(EXAMPLE).tolist() == [0, 1, 0, 1, 1, 0, 0, 0, 1]


def test_there_and_back() -> None:
    rng = np.random.default_rng(0)
    for share in [0, 1, *rng.random(100)]:
        height, width = (int(side) for side in rng.integers(1, 12, 2))
        mask = (rng.random((height, width)) < share).astype(np.uint8)
        for back in (
            run_lengths.from_kaggle(run_lengths.to_kaggle(mask), height, width),
            run_lengths.from_coco(run_lengths.to_coco(mask), height, width),
            run_lengths.unflatten(run_lengths.flatten(mask), height, width),
        ):
            assert back.dtype == np.uint8
            np.testing.assert_array_equal(back, mask)


@pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # pycocotools has not followed numpy 2
def test_coco_writes_the_same() -> None:
    from pycocotools import mask as reference

    rng = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.9):
        mask = (rng.random((13, 17)) < share).astype(np.uint8)
        packed = reference.frPyObjects({"size": [13, 17], "counts": run_lengths.to_coco(mask)}, 13, 17)
        np.testing.assert_array_equal(reference.decode(packed), mask)


@pytest.mark.parametrize("text", ["1", "0 2", "1 -1", "one two", "1 2 2 1", "8 3", "1.5 2"])
def test_refuses_what_are_no_run_lengths(text: str) -> None:
    with pytest.raises(ValueError, match="run"):
        run_lengths.from_kaggle(text, 3, 3)


@pytest.mark.parametrize("counts", [[], [8], [10], [-1, 10]])
def test_refuses_counts_of_another_mask(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="are no mask of 3 x 3"):
        run_lengths.from_coco(counts, 3, 3)


def test_lesions_and_false_components_are_counted() -> None:
    truth, predicted = np.zeros((2, 4, 9, 9), np.uint8)
    truth[0:2, 1:3, 1:3] = 1  # touched in one slice
    truth[0, 6:8, 6:8] = 1  # missed
    predicted[1, 2:5, 2:5] = 1
    predicted[2, 5, 5] = 1  # touches by a corner only, so a component of its own: false
    predicted[3, 0, 8] = 1  # false
    assert lesions.count(predicted, truth) == (2, 1, 2)
    empty = np.zeros_like(truth)
    scores = lesions.score([("A", predicted, truth), ("B", empty, empty), ("C", truth, truth)])
    assert scores["lesions_hit"]["value"] == pytest.approx(3 / 4)
    assert scores["false_components"]["value"] == pytest.approx(2 / 3)
    assert scores["false_components"]["low"] == 0
    assert lesions.score([]) == {}
