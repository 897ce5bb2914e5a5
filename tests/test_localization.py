"""Masks on the ruler: by hand, against MONAI's definitions where they agree, and what sees no pixel."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageOps
from scipy import ndimage
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from brain_tumor.data.batches import Balanced, Rows
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.phantom import Phantom
from brain_tumor.evaluation import evaluation, scored_data, two_stage_scores
from brain_tumor.inference import trained, two_stage
from brain_tumor.inference.predictor import Predictor
from brain_tumor.io import run_lengths
from brain_tumor.metrics import bootstrap, mask_baselines, segmentation
from brain_tumor.models.segmenter import Segmenter
from brain_tumor.report import compose, page
from brain_tumor.report.chapters import localization as report
from brain_tumor.report.pooled import pool_folds
from brain_tumor.report.runs import collect
from brain_tumor.scans import cases, components
from brain_tumor.scans.images import fit_image, read_files, unfit
from tests.conftest import Command, data_of, write_image


def _disc(centre: tuple[int, int], radius: float, side: int = 64) -> segmentation.Mask:
    y, x = np.indices((side, side))
    disc: segmentation.Mask = (np.hypot(y - centre[0], x - centre[1]) <= radius).astype(np.uint8)
    return disc


EMPTY = np.zeros((64, 64), np.uint8)
THIRDS = (100.0, 1000.0)


def test_counts_and_overlap() -> None:
    truth, found = _disc((30, 30), 10), _disc((30, 36), 10)
    both, either = (truth & found).sum(), (truth | found).sum()
    values = segmentation.compare(found, truth)
    assert (values["tp"], values["fp"], values["fn"]) == (both, found.sum() - both, truth.sum() - both)
    assert values["iou"] == pytest.approx(both / either)
    assert values["dice"] == pytest.approx(2 * both / (truth.sum() + found.sum()))


def test_boundaries() -> None:
    truth = _disc((30, 30), 10)
    same, near, far = (segmentation.compare(_disc((30, 30 + by), 10), truth) for by in (0, 2, 12))
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
        values = segmentation.compare(found.astype(np.uint8), truth.astype(np.uint8))
        assert values["hd95"] == pytest.approx(max(np.percentile(forth, 95), np.percentile(back, 95)))
        near = (forth <= 2).sum() + (back <= 2).sum()
        assert values["surface_dice"] == pytest.approx(near / (len(forth) + len(back)))


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI's, of its own
def test_monai_finds_the_same_where_definitions_agree() -> None:
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.meandice import compute_dice
    from monai.metrics.meaniou import compute_iou

    rng = np.random.default_rng(1)
    for _ in range(5):
        pair = [(ndimage.gaussian_filter(rng.normal(size=(48, 64)), 4) > 0.02).astype(np.uint8) for _ in range(2)]
        found, truth = (torch.from_numpy(mask)[None, None].float() for mask in pair)
        values = segmentation.compare(*pair)
        assert values["dice"] == pytest.approx(float(compute_dice(found, truth)))
        assert values["iou"] == pytest.approx(float(compute_iou(found, truth)))
        # MONAI crops to the masks before it looks for edges; a border of zeros makes that the same.
        padded = [torch.nn.functional.pad(mask, (2, 2, 2, 2)) for mask in (found, truth)]
        bordered = segmentation.compare(*(mask[0, 0].numpy().astype(np.uint8) for mask in padded))
        distance = compute_hausdorff_distance(padded[0], padded[1], percentile=95)
        assert bordered["hd95"] == pytest.approx(float(distance), abs=1e-4)
    empty = torch.zeros(1, 1, 48, 64)
    assert float(compute_dice(empty, truth)) == segmentation.compare(EMPTY[:48], pair[1])["dice"] == 0
    # Without a truth there is nothing to overlap with: neither has a number.
    assert np.isnan(float(compute_dice(found, empty)))
    assert np.isnan(segmentation.compare(pair[0], EMPTY[:48])["dice"])


def test_emptied_slices_count_as_if_nothing_had_been_predicted() -> None:
    truth = _disc((30, 30), 10)
    pairs = [(truth, truth), (_disc((30, 36), 10), truth), (truth, EMPTY)]
    slices = pd.DataFrame([segmentation.compare(*pair) for pair in pairs])
    gone = np.array([False, True, True])
    expected = pd.DataFrame(
        [segmentation.compare(EMPTY if gone[i] else pair[0], pair[1]) for i, pair in enumerate(pairs)]
    )
    found = segmentation.emptied(slices, gone, np.full(3, np.hypot(64, 64)))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_terciles_divide_the_tumour_slices() -> None:
    low, high = segmentation.terciles(np.array([0, 0, 10, 20, 30, 40, 50, 60]))
    assert 20 < low < 30
    assert 40 < high < 50
    assert segmentation.terciles(np.zeros(3, np.int64)) == (0, 0)
    truth, half = _disc((30, 30), 10), _disc((30, 30), 10)
    half[:, 31:] = 0
    pairs = [("A", half, truth), ("A", _disc((9, 9), 3), _disc((9, 9), 3)), ("B", EMPTY, truth)]
    slices = pd.DataFrame([{"case": case, **segmentation.compare(found, true)} for case, found, true in pairs])
    scores = segmentation.score(slices, (50, 100))
    assert scores["dice_small"]["value"] == 1
    assert scores["dice_medium"]["value"] is None
    assert scores["dice_large"]["value"] == pytest.approx(slices["dice"][0] / 2)
    assert scores["dice_minimum"] == {"value": 0, "low": None, "high": None}


def test_a_stratified_bootstrap_keeps_the_folds_sizes() -> None:
    values = torch.tensor([0.0] * 5 + [1.0] * 5, dtype=torch.float64)
    cases = [f"P{place}" for place in range(10)]
    found, free = (
        bootstrap.intervals(lambda weights: {"mean": weights @ values / weights.sum(1)}, cases, strata)["mean"]
        for strata in ([0] * 5 + [1] * 5, None)
    )
    assert found == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert free["low"] is not None
    assert free["low"] < 0.3


def test_a_miss_and_an_empty_slice() -> None:
    missed = segmentation.compare(EMPTY, _disc((30, 30), 10))
    assert (missed["dice"], missed["iou"], missed["surface_dice"]) == (0, 0, 0)
    assert missed["hd95"] == pytest.approx(np.hypot(64, 64))
    empty = segmentation.compare(_disc((30, 30), 10), EMPTY)
    assert all(np.isnan(empty[name]) for name in ("dice", "iou", "surface_dice", "hd95"))
    assert empty["fp"] > 300


def _slices() -> pd.DataFrame:
    """Patient A: found, half found and clean; B: missed; C: no tumour, one false alarm of two slices."""
    truth, half = _disc((30, 30), 10), _disc((30, 30), 10)
    half[:, 31:] = 0
    pairs = [("A", truth, truth), ("A", half, truth), ("A", EMPTY, EMPTY), ("B", EMPTY, truth)]
    pairs += [("C", EMPTY, EMPTY), ("C", _disc((30, 30), 2), EMPTY)]
    return pd.DataFrame([{"case": case, **segmentation.compare(found, true)} for case, found, true in pairs])


def test_the_patient_is_the_unit() -> None:
    slices = _slices()
    area, half = slices["area"][0], slices["tp"][1]
    table = segmentation.patients(slices, THIRDS).set_index("case")
    dice = 2 * (area + half) / (2 * (area + half) + area - half)
    assert table["dice"].to_dict() == {"A": pytest.approx(dice), "B": 0, "C": pytest.approx(np.nan, nan_ok=True)}
    assert table["tumour_slices"].to_dict() == {"A": 2, "B": 1, "C": 0}
    assert table["area_error"]["B"] == -1
    found = segmentation.score(slices, THIRDS)
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
    kept = components.keep_large(volume)
    assert kept.sum() == 3 * 16
    assert components.keep_large(kept) is kept
    assert list(segmentation.volumes(["b", "a", "b", ""], [2, 1, 1, 5])) == [[1], [2, 0]]


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
    heights, places, threshold = mask_baselines.by_height(table, np.stack(drawn))
    means = heights[places]
    assert means.shape == (20, 64, 64)
    assert means[0].max() == 0
    assert means[5][32, 32] > 0.9
    found = [(mean >= threshold).astype(np.uint8) for mean in means]
    scored = pd.DataFrame(
        [{"case": rows[place][0], **segmentation.compare(found[place], drawn[place])} for place in range(20)]
    )
    dice = segmentation.score(scored, THIRDS)["dice"]["value"]
    assert dice is not None
    assert 0.6 < dice < 1


def test_read_images_fit_as_unfit_expects(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    write_image(path, size=(80, 40))
    pixels = fit_image(read_files(path).image, 64, "").pixels
    assert pixels[:16].max() == 0
    assert pixels[48:].max() == 0
    assert unfit(pixels[..., 0].astype(np.float32), 40, 80).min() > 0


def test_one_patient_says_nothing_about_others() -> None:
    slices = _slices()
    found = segmentation.score(slices[slices["case"] == "A"], THIRDS)
    assert found["dice"]["value"] is not None
    assert (found["dice"]["low"], found["dice"]["high"]) == (None, None)


def _evaluation(folder: Path, number: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "evaluations" / str(number) / "results.json").read_text())
    return found


def test_a_segmenter_leaves_its_record(segmenter: Path) -> None:
    found = json.loads((segmenter / "results.json").read_text())
    assert (found["task"], found["measure"]) == ("segmentation", "dice")
    assert segmenter.name.startswith("phantom-resunet18-finetune-")
    assert {"dice", "dice_median", "dice_small", "largest_dice", "hd95", "empty_clean", "auroc"} <= set(found["test"])
    assert set(found["baselines"]) == {"empty", "mean_mask"}
    assert found["baselines"]["empty"]["dice"]["value"] == 0
    assert found["history"][1]["train"]["loss"] < found["history"][0]["train"]["loss"]

    predictions = pd.read_csv(segmenter / "predictions.csv", keep_default_na=False)
    line = predictions[predictions["predicted_area"] > 0].iloc[0]
    assert run_lengths.from_kaggle(line["run_lengths"], 256, 256).sum() == line["predicted_area"]
    assert list(predictions.columns[:6]) == ["path", "case", "slice", "label", "p(no tumour)", "p(tumour)"]
    assert (segmenter / "overlays.png").exists()


def test_a_detector_goes_before_a_segmenter(
    segmenter: Path, detector: Path, command: Command, home: Path, phantoms: Path
) -> None:
    output = command("evaluate", f"run={segmenter}", f"detector={detector}", "masks=true", cwd=home).stdout
    assert "tumour slices lost their mask" in output
    recorded, found = json.loads((segmenter / "results.json").read_text()), _evaluation(segmenter, 1)
    again = {name: value for name, value in recorded["test"].items() if name not in {"epoch", "checkpoint"}}
    assert found["test"] == again
    scored, limit = found["stages"], json.loads((detector / "results.json").read_text())["threshold"]
    assert (scored["threshold"], scored["threshold_from"]) == (limit["value"], limit["origin"])
    assert scored["alone"]["dice"] == found["test"]["dice"]
    assert scored["gated_by_truth"]["empty_clean"]["value"] == 1

    assert "## Two-stage segmentation" in page.markdown("", compose.compose(collect([segmenter])))
    written = sorted((segmenter / "evaluations" / "1" / "masks").rglob("*.png"))
    assert (segmenter / "evaluations" / "1" / "masks" / ".brain_tumor").exists()
    predictions = pd.read_csv(segmenter / "evaluations" / "1" / "predictions.csv").sort_values("path")
    areas = [int((np.asarray(Image.open(path)) == 255).sum()) for path in written]
    assert sorted(areas) == sorted(predictions["predicted_area"])
    # What predict says of the same files, calibrated, to the last digit.
    files = [str(phantoms / "kaggle_3m" / path) for path in predictions["path"]]
    by_name = {own.sources[""].paths[0]: own for own in cases.find(files, {})[0]}
    told = Predictor(trained.open_run(detector)).predict(
        [cases.read(by_name[Path(file)], "maximum", True) for file in files]
    )
    np.testing.assert_allclose(
        predictions["detector p(tumour)"], [own.table["p(tumour)"].item() for own in told], rtol=1e-6
    )
    gone = predictions["detector p(tumour)"] < scored["threshold"]
    assert (
        scored["tumour_slices_lost"] == (gone & (predictions["area"] > 0) & (predictions["predicted_area"] > 0)).sum()
    )


def test_a_detector_may_call_its_classes_as_it_likes(
    segmenter: Path, detector: Path, cache_dir: Path, tmp_path: Path
) -> None:
    """Whatever they are called, and whichever comes first; what it sees is no matter of names."""
    run = trained.open_run(segmenter)
    config: dict[str, Any] = {
        "data": {"size": None},
        "skull": "keep",
        "classes": None,
        "allow_overlap": True,
        "cache_dir": str(cache_dir),
    }
    chances = {}
    for name, changes in (
        ("same", {}),
        ("named", {"classes": ["healthy", "ill"], "positive": "ill"}),
        ("turned", {"classes": ["ill", "healthy"], "positive": "ill"}),
        ("contrast", {"sequences": ["t1ce"] * 3}),
    ):
        shutil.copytree(detector, tmp_path / name)
        record = json.loads((detector / "results.json").read_text())
        record["data"] |= changes
        (tmp_path / name / "results.json").write_text(json.dumps(record))
        own = trained.open_run(tmp_path / name)
        two_stage.refuse_misfit(run, own)
        data, _ = scored_data.open_data(run, own, config)
        assert data.size == own.size
        if name == "contrast":
            with pytest.raises(ValueError, match="sees t1ce, but the data shows t1, flair, t1ce"):
                two_stage_scores.probabilities(own, data, data.rows["test"])
        else:
            chances[name] = two_stage_scores.probabilities(own, data, data.rows["test"])
    np.testing.assert_array_equal(chances["named"], chances["same"])
    np.testing.assert_allclose(chances["turned"], 1 - chances["same"])


@pytest.mark.parametrize(
    ("classes", "positive", "sequences", "said"),
    [
        (["healthy", "ill"], "ill", (), []),
        (["ill", "healthy"], "ill", (), ["classes=[ill,healthy]: ill means a tumour, and is taken for no"]),
        (["ill", "healthy"], None, (), []),
        (["healthy", "ill"], "ill", ("t1ce",) * 3,
         ["the data shows t1ce, t1ce, t1ce, and the run was trained on t1, flair, t1ce"]),
    ],
)  # fmt: skip
def test_scores_on_other_data_say_what_speaks_against_them(
    classes: list[str], positive: str | None, sequences: tuple[str, ...], said: list[str]
) -> None:
    run = SimpleNamespace(
        record={"data": {"classes": ["no", "yes"], "positive": "yes"}}, sequences=("t1", "flair", "t1ce")
    )
    data = SimpleNamespace(classes=classes, positive=positive, dataset=SimpleNamespace(sequences=sequences))
    assert scored_data.doubts(run, data) == said  # type: ignore[arg-type]


def test_a_frozen_classifier_says_where_it_looks(detector: Path, command: Command, home: Path) -> None:
    output = command("evaluate", f"run={detector}", "explain=gradcam", cwd=home).stdout
    assert "centre gaussian" in output
    folder = detector / "evaluations" / "1"
    found, lines = _evaluation(detector, 1)["explanation"], pd.read_csv(folder / "explanation.csv")
    assert len(lines) == found["slices"]["all"] == found["slices"]["detected"] + found["slices"]["missed"]
    assert set(found["baselines"]) == {"centre_gaussian", "mean_mask"}
    assert found["scores"]["all"]["energy"]["value"] == pytest.approx(lines.groupby("case")["energy"].mean().mean())
    assert (folder / "gradcam.png").exists()
    text = page.markdown("", compose.compose(collect([detector])))
    assert "## Where classifiers look" in text
    assert "| baseline: centre gaussian, n=" in text
    assert "Not run, or not finished: resnet18, freeze, flipped, normalized, SGD: fold 1 of seed 0" in text
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    assert events.Tags()["images"] == ["where it looks: gradcam"]


def test_the_report_has_a_chapter_on_it(segmenter: Path) -> None:
    text = page.markdown("", compose.compose(collect([segmenter])))
    assert (
        "| unet, resnet18, finetune, flipped, normalized, rotated, sequences missing, AdamW, seed 0 | fold 0 of 3 by "
        "patient |" in text
    )
    assert "| mean mask at the same height | fold 0 of 3 by patient |" in text
    assert "Buda" not in text  # phantoms have no published figures


def test_folds_of_masks_are_pooled(segmenter: Path, tmp_path: Path) -> None:
    content = json.loads((segmenter / "results.json").read_text())
    predictions = pd.read_csv(segmenter / "predictions.csv", keep_default_na=False)
    for fold, (_, own) in enumerate(predictions.groupby("case")):
        folder = tmp_path / f"fold{fold}"
        (folder / ".hydra").mkdir(parents=True)
        content["id"] = f"{fold}"
        content["split"] |= {"folds": 2, "fold": fold}
        content["config"]["data"] |= {"folds": 2, "fold": fold}
        (folder / "results.json").write_text(json.dumps(content))
        own.to_csv(folder / "predictions.csv", index=False)
    runs = collect([tmp_path]).runs
    table = report.numbers(runs, pool_folds(runs))
    assert list(table["split"]) == ["2 folds by patient"] * 3
    line, whole = table.iloc[0], content["test"]
    assert line["patients"] == 2
    for name in ("dice", "dice_median", "dice_legacy", "empty_clean", "surface_dice", "largest_dice"):
        assert line[name] == pytest.approx(whole[name]["value"])
    # One patient a fold: a bootstrap within folds has nobody to exchange.
    assert line["dice low"] == line["dice high"]


def test_refuses_what_a_run_cannot_do(segmenter: Path, detector: Path, cache_dir: Path) -> None:
    config: dict[str, Any] = {
        "data": {"size": None},
        "classes": None,
        "checkpoint": None,
        "trusted": [],
        "allow_overlap": False,
    }
    config |= {"detector": None, "explain": None, "masks": False, "cache_dir": str(cache_dir), "threshold": None}
    config |= {"mirror": None, "components": None, "skull": "keep", "keep_from": None}
    for folder, changes, message in (
        (segmenter, {"explain": "gradcam"}, "explain=gradcam: is for classifiers; this run's task is segmentation"),
        (detector, {"explain": "shap"}, "explain=shap: choose gradcam"),
        (segmenter, {"detector": str(segmenter)}, "must be a classifier; this is a segmentation"),
        (segmenter, {"detector": "lgg-detector"}, "give a run's folder, which lists the patients"),
        (detector, {"detector": str(detector)}, "goes before a segmenter; run=.* is a classification"),
        (detector, {"masks": True}, "is a classification, which has no masks to write"),
        (segmenter, {"threshold": 0.4}, "threshold=0.4: is the detector's; give detector=... as well"),
        (segmenter, {"detector": str(detector), "threshold": 2}, "threshold=2: a probability lies between 0 and 1"),
        (segmenter, {"keep_from": 0.9}, "keep_from=0.9: limits a detector, which .* give detector=... as well"),
        (segmenter, {"detector": str(detector), "keep_from": 9}, "keep_from=9: a probability lies between 0 and 1"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluation.evaluate(trained.open_run(folder), {**config, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "vgg61"}, "model.encoder=vgg61: neither torchvision nor timm"),
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
    data = data_of(Phantom, cases=6, size=32, empty=1, transforms=Transforms(), cache_dir=str(cache_dir))
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
