"""Masks on the ruler: by hand, against MONAI's definitions where they agree, and what sees no pixel."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageOps
from scipy import ndimage

from brain_tumor.data.batches import Balanced, Rows
from brain_tumor.data.images import read_image, unfit
from brain_tumor.data.sources import PhantomDataModule
from brain_tumor.data.transforms import Transforms
from brain_tumor.models.segmenter import Segmenter
from brain_tumor.results import localization, mask_baselines, masks
from tests.conftest import Command, run_folder, write_image


def _disc(centre: tuple[int, int], radius: float, side: int = 64) -> localization.Mask:
    y, x = np.indices((side, side))
    disc: localization.Mask = (np.hypot(y - centre[0], x - centre[1]) <= radius).astype(np.uint8)
    return disc


EMPTY = np.zeros((64, 64), np.uint8)


def test_counts_and_overlap() -> None:
    truth, found = _disc((30, 30), 10), _disc((30, 36), 10)
    both, either = (truth & found).sum(), (truth | found).sum()
    values = localization.compare(found, truth)
    assert (values["tp"], values["fp"], values["fn"]) == (both, found.sum() - both, truth.sum() - both)
    assert values["iou"] == pytest.approx(both / either)
    assert values["dice"] == pytest.approx(2 * both / (truth.sum() + found.sum()))


def test_boundaries() -> None:
    truth = _disc((30, 30), 10)
    same, near, far = (localization.compare(_disc((30, 30 + by), 10), truth) for by in (0, 2, 12))
    assert (same["surface_dice"], same["hd95"]) == (1, 0)
    assert near["surface_dice"] == 1
    assert near["hd95"] <= 2
    assert far["surface_dice"] < 0.5
    assert 10 < far["hd95"] <= 12


def test_boundary_distances_are_as_brute_force_finds_them() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        truth, found = (ndimage.gaussian_filter(rng.normal(size=(40, 40)), 4) > 0.02 for _ in range(2))
        edges = [np.argwhere(mask & ~ndimage.binary_erosion(mask)) for mask in (found, truth)]
        first, second = (torch.tensor(edge, dtype=torch.float64) for edge in edges)
        distances = torch.cdist(first, second).numpy()
        forth, back = distances.min(1), distances.min(0)
        values = localization.compare(found.astype(np.uint8), truth.astype(np.uint8))
        assert values["hd95"] == pytest.approx(max(np.percentile(forth, 95), np.percentile(back, 95)))
        near = (forth <= 2).sum() + (back <= 2).sum()
        assert values["surface_dice"] == pytest.approx(near / (len(forth) + len(back)))


def test_a_miss_and_an_empty_slice() -> None:
    missed = localization.compare(EMPTY, _disc((30, 30), 10))
    assert (missed["dice"], missed["iou"], missed["surface_dice"]) == (0, 0, 0)
    assert missed["hd95"] == pytest.approx(np.hypot(64, 64))
    empty = localization.compare(_disc((30, 30), 10), EMPTY)
    assert all(np.isnan(empty[name]) for name in ("dice", "iou", "surface_dice", "hd95"))
    assert empty["fp"] > 300


def _slices() -> pd.DataFrame:
    """Patient A: found, half found and clean; B: missed; C: no tumour, one false alarm of two slices."""
    truth, half = _disc((30, 30), 10), _disc((30, 30), 10)
    half[:, 31:] = 0
    pairs = [("A", truth, truth), ("A", half, truth), ("A", EMPTY, EMPTY), ("B", EMPTY, truth)]
    pairs += [("C", EMPTY, EMPTY), ("C", _disc((30, 30), 2), EMPTY)]
    return pd.DataFrame([{"case": case, **localization.compare(found, true)} for case, found, true in pairs])


def test_the_patient_is_the_unit() -> None:
    slices = _slices()
    area, half = slices["area"][0], slices["tp"][1]
    table = localization.patients(slices).set_index("case")
    dice = 2 * (area + half) / (2 * (area + half) + area - half)
    assert table["dice"].to_dict() == {"A": pytest.approx(dice), "B": 0, "C": pytest.approx(np.nan, nan_ok=True)}
    assert table["tumour_slices"].to_dict() == {"A": 2, "B": 1, "C": 0}
    assert table["area_error"]["B"] == -1
    found = localization.score(slices)
    assert found["dice"]["value"] == pytest.approx(dice / 2)
    assert found["dice_median"]["value"] == pytest.approx(dice / 2)
    assert found["empty_clean"]["value"] == pytest.approx((1 + 0.5) / 2)
    legacy = (1 + 2 * half / (area + half) + 1 + 0 + 1 + 0) / 6
    assert found["dice_legacy"]["value"] == pytest.approx(legacy)
    low, high = found["dice"]["low"], found["dice"]["high"]
    assert low is not None
    assert high is not None
    assert 0 == low < dice / 2 < high == pytest.approx(dice)


def test_the_largest_component_of_a_volume_is_kept() -> None:
    volume = np.zeros((5, 20, 20), np.uint8)
    volume[0:3, 2:6, 2:6] = 1
    volume[4, 2:6, 2:6] = 1  # a gap of one slice apart
    volume[2, 6, 6] = 1  # touches by an edge only
    kept = localization.largest_component(volume)
    assert kept.sum() == 3 * 16
    assert localization.largest_component(kept) is kept
    assert list(localization.volumes(["b", "a", "b", ""], [2, 1, 1, 5])) == [[1], [2, 0]]


@pytest.mark.parametrize("shape", [(256, 256), (300, 200), (97, 131), (64, 64)])
def test_a_map_comes_back_to_where_its_image_was(shape: tuple[int, int]) -> None:
    height, width = shape
    mask = np.zeros(shape, np.float32)
    mask[height // 5 : height // 2, width // 4 : width // 2] = 1
    fitted = ImageOps.pad(Image.fromarray(mask), (64, 64), method=Image.Resampling.BILINEAR, color=0)
    back = unfit(np.asarray(fitted), height, width)
    assert back.shape == shape
    assert np.abs((back >= 0.5).astype(float) - mask).mean() < 0.03


def test_masks_without_pixels_are_thresholded_on_the_training_part() -> None:
    rng = np.random.default_rng(0)
    rows, drawn = [], []
    for case in range(12):
        for number in range(10):
            tumour = 3 <= number < 7
            place = (int(rng.integers(28, 36)), int(rng.integers(28, 36)))
            drawn.append(_disc(place, 10) if tumour else EMPTY)
            rows.append((f"P{case}", number, "test" if case < 2 else "train"))
    table = pd.DataFrame(rows, columns=["case", "slice", "part"])
    means, threshold = mask_baselines.by_height(table, np.stack(drawn))
    assert means.shape == (20, 64, 64)
    assert means[0].max() == 0
    assert means[5][32, 32] > 0.9
    found = [(mean >= threshold).astype(np.uint8) for mean in means]
    scored = pd.DataFrame(
        [{"case": rows[place][0], **localization.compare(found[place], drawn[place])} for place in range(20)]
    )
    dice = localization.score(scored)["dice"]["value"]
    assert dice is not None
    assert 0.6 < dice < 1


def test_read_images_fit_as_unfit_expects(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    write_image(path, size=(80, 40))
    pixels = read_image(path, 64).pixels
    assert pixels[:16].max() == 0
    assert pixels[48:].max() == 0
    assert unfit(pixels[..., 0].astype(np.float32), 40, 80).min() > 0


def test_one_patient_says_nothing_about_others() -> None:
    slices = _slices()
    found = localization.score(slices[slices["case"] == "A"])
    assert found["dice"]["value"] is not None
    assert (found["dice"]["low"], found["dice"]["high"]) == (None, None)


def test_a_segmenter_trains_and_is_scored_again(command: Command, tmp_path: Path) -> None:
    small = [
        "data.cases=6",
        "data.size=64",
        "trainer.max_epochs=2",
        "model.weights=none",
        "data.folds=3",
        "data.fold=0",
    ]
    output = command("train", "recipe=localization", *small, cwd=tmp_path).stdout
    folder = tmp_path / run_folder(output)
    found = json.loads((folder / "results.json").read_text())
    assert (found["task"], found["measure"]) == ("segmentation", "dice")
    assert folder.name.startswith("phantom-resunet18-finetune-flip_norm-adamw-fold0of3-seed0")
    assert {"dice", "dice_median", "largest_dice", "hd95", "empty_clean", "accuracy", "auroc"} <= set(found["test"])
    assert set(found["baselines"]) == {"empty", "mean_mask"}
    assert found["baselines"]["empty"]["dice"]["value"] == 0
    assert found["history"][1]["train"]["loss"] < found["history"][0]["train"]["loss"]
    assert "mean mask at the same height" in output

    predictions = pd.read_csv(folder / "predictions.csv", keep_default_na=False)
    line = predictions[predictions["predicted_area"] > 0].iloc[0]
    assert masks.from_kaggle(line["run_lengths"], 256, 256).sum() == line["predicted_area"]
    assert list(predictions.columns[:6]) == ["path", "case", "slice", "label", "p(no tumour)", "p(tumour)"]
    assert (folder / "overlays.png").exists()

    command("evaluate", f"run={folder}", cwd=tmp_path)
    again = json.loads((folder / "evaluations" / "1" / "results.json").read_text())["test"]
    assert again == {name: value for name, value in found["test"].items() if name not in {"epoch", "checkpoint"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "vgg16"}, "model.encoder=vgg16: choose one of"),
        ({"decoder": "net"}, "model.decoder=net: choose one of unet, unetplusplus"),
        ({"loss": "focal"}, "model.loss=focal: choose one of dice_ce, dice, ce"),
        ({"strategy": "melt"}, "model.strategy=melt"),
        ({"schedule": "cosine"}, "schedule=cosine: choose one of constant, onecycle"),
    ],
)
def test_refuses_bad_values(changes: dict[str, str], message: str) -> None:
    settings: dict[str, Any] = {"encoder": "resnet18", "weights": "none", "num_classes": 2, **changes}
    with pytest.raises(ValueError, match=message):
        Segmenter(**settings)


@pytest.mark.parametrize("decoder", ["unet", "unetplusplus", "fpn", "deeplabv3plus"])
def test_every_decoder_marks_pixels_and_can_keep_its_encoder(decoder: str) -> None:
    network = Segmenter(encoder="resnet18", decoder=decoder, strategy="freeze", weights="none", num_classes=2)
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 64, 64)
    assert not any(parameter.requires_grad for parameter in network.network.encoder.parameters())
    assert not any(module.training for module in network.train().network.encoder.modules())
    assert all(parameter.requires_grad for parameter in network.network.decoder.parameters())


def test_an_epoch_shows_every_tumour_and_other_empty_slices_each_time(cache_dir: Path) -> None:
    data = PhantomDataModule(cases=6, size=32, empty=1, transforms=Transforms(), cache_dir=str(cache_dir))
    data.setup()
    sampler = data.train_dataloader().sampler
    assert isinstance(sampler, Balanced)
    positive = data.table["positive"].to_numpy()[data.rows["train"]]
    epochs = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
    assert len(epochs[0]) == len(set(epochs[0])) == data.epoch_size == 2 * positive.sum()
    assert set(np.flatnonzero(positive)) <= set(epochs[0])
    assert epochs[0] == epochs[2]
    assert set(epochs[0]) != set(epochs[1])
    rows, labels = Rows(np.arange(10)), np.arange(10) < 3
    halves = [list(Balanced(rows, labels, 1.0, 0, 2, rank)) for rank in (0, 1)]
    assert len(halves[0]) == len(halves[1]) == 3
    assert not set(halves[0]) & set(halves[1])
