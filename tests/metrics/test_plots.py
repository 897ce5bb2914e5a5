"""The pictures show what they say."""

import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.utils import make_grid

from brain_tumor.metrics import plots


def _predictions() -> pd.DataFrame:
    """Six slices, of which rows 11, 12 and 14 are predicted wrongly, with growing confidence."""
    tumour = [0.9, 0.4, 0.7, 0.1, 0.95, 0.2]
    table = pd.DataFrame({"path": list("abcdef"), "case": "P", "slice": range(6), "label": [1, 1, 0, 0, 0, 0]})
    table["p(no)"], table["p(yes)"] = [1 - value for value in tumour], tumour
    return table.set_index(pd.RangeIndex(10, 16))


def test_the_worst_mistakes_come_first() -> None:
    wrong = plots.wrong(_predictions(), count=2)
    assert list(wrong.index) == [14, 12]
    assert list(wrong["predicted"]) == [1, 1]
    assert list(wrong["confidence"]) == [0.95, 0.7]
    assert list(plots.wrong(_predictions()).index) == [14, 12, 11]


def test_mistakes_are_drawn_with_their_masks() -> None:
    wrong = plots.wrong(_predictions())
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    masks = np.zeros((3, 16, 16), dtype=np.uint8)
    masks[2, 4:9, 4:9] = 1
    panels = plots.slices(wrong, images, masks, ["no", "yes"]).axes
    for index in range(3):
        assert np.array_equal(np.asarray(panels[index].images[0].get_array()), images[index])
    assert [len(axes.collections) for axes in panels[:3]] == [0, 0, 1]
    assert panels[0].get_title() == "P 4\npredicted yes, 95%"
    assert len(plots.slices(wrong, images, None, ["no", "yes"]).axes[2].collections) == 0


@pytest.mark.parametrize("count", [2, 3, 5, 16])
def test_a_batch_is_tiled_like_torchvisions(count: int) -> None:
    images = torch.randn(count, 3, 20, 24, generator=torch.Generator().manual_seed(count))
    assert np.array_equal(plots.batch(images), make_grid(images, nrow=4, normalize=True).numpy())
