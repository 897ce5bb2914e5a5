"""Heat maps on the ruler, and Grad-CAM against the definition."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.phantom import Phantom
from brain_tumor.metrics import heat_maps
from brain_tumor.models import gradcam
from brain_tumor.models.classifier import Classifier
from tests.conftest import data_of


def _mask() -> heat_maps.Mask:
    mask = np.zeros((20, 20), np.uint8)
    mask[5:10, 5:15] = 1
    return mask


def test_scores_by_hand() -> None:
    inside, half, outside = (np.zeros((20, 20), np.float32) for _ in range(3))
    inside[5:10, 5:15] = 1
    half[5:10, 5:10], half[0:5, 0:5] = 1, 1
    outside[15, 15] = 3
    found = heat_maps.compare((heat, _mask()) for heat in (inside, half, outside, np.zeros((20, 20), np.float32)))
    assert found["pointing"].tolist() == [1, 0.5, 0, 0]
    assert found["energy"].tolist() == [1, 0.5, 0, 0]
    assert found["share"].tolist() == [50 / 400] * 4
    assert found["zero"].tolist() == [False, False, False, True]
    assert found["iou@0.5"].tolist() == [1, 25 / 75, 0, 0]


def test_the_iou_is_that_of_the_thresholded_map() -> None:
    rng, mask = np.random.default_rng(0), _mask().astype(bool)
    heat = rng.random((20, 20)).astype(np.float32)
    found = heat_maps.compare([(heat, _mask())]).iloc[0]
    for threshold in heat_maps.THRESHOLDS:
        marked = heat / heat.max() >= threshold
        assert found[f"iou@{threshold:g}"] == pytest.approx((marked & mask).sum() / (marked | mask).sum())


def test_the_threshold_and_the_mean_over_patients() -> None:
    heat = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    mask = (heat > 0.62).astype(np.uint8)
    slices = heat_maps.compare([(heat, mask)] * 3).assign(case=["A", "A", "B"], energy=[0.0, 1.0, 1.0])
    assert heat_maps.threshold(slices) == 0.6  # 0.65 leaves out more than 0.6 adds
    scores = heat_maps.score(slices, 0.6)
    assert scores["energy"]["value"] == pytest.approx(0.75)
    assert scores["iou"]["value"] == pytest.approx((heat > 0.62).sum() / (heat >= 0.6).sum())


def test_a_centre_gaussian_is_highest_in_the_middle() -> None:
    (heat,) = heat_maps.centre_gaussian([(21, 31)])
    assert heat.shape == (21, 31)
    assert heat.argmax() == 10 * 31 + 15


@pytest.mark.parametrize("strategy", ["freeze", "finetune"])
def test_maps_are_grad_cams(cache_dir: Path, strategy: str) -> None:
    torch.manual_seed(0)
    data = data_of(Phantom, cases=6, size=64, transforms=Transforms(normalize=True), cache_dir=str(cache_dir))
    data.setup()
    model = Classifier(backbone="resnet18", strategy=strategy, weights="none", num_classes=2).eval()
    rows = data.rows["test"][:3]
    found = list(gradcam.heat_maps(model, data, rows, 1, torch.device("cpu")))

    network = model.backbone
    x = data.store.batch(torch.tensor(rows), torch.device("cpu")).inputs
    for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
        x = network.get_submodule(name)(x)
    activations = x.detach().requires_grad_()
    logits = model.head(activations.mean((2, 3)))
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), activations)
    expected = F.relu((gradient.mean((2, 3), keepdim=True) * activations).sum(1, keepdim=True))
    fine = F.interpolate(F.interpolate(expected, (64, 64), mode="bilinear"), (256, 256), mode="bilinear")[:, 0]
    assert len(found) == 3
    assert max(heat.max() for heat in found) > 0
    for own, other in zip(found, fine.detach().numpy(), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-3 * max(1e-9, float(other.max())))


def test_a_backbone_without_blocks_is_refused(cache_dir: Path) -> None:
    data = data_of(Phantom, cases=6, size=64, transforms=Transforms(), cache_dir=str(cache_dir))
    model = Classifier(backbone="resnet18", weights="none", num_classes=2)
    del model.backbone.layer4
    with pytest.raises(ValueError, match="has no last block of feature maps"):
        next(gradcam.heat_maps(model, data, pd.RangeIndex(1).to_numpy(), 1, torch.device("cpu")))
