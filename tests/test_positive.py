"""Whatever the classes are called and in whichever order: the positive one is meant, and one threshold holds."""

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from brain_tumor import predict
from brain_tumor.config import cli
from brain_tumor.inference import case_files, two_stage
from brain_tumor.inference.ensemble import Ensemble
from brain_tumor.inference.output_folder import Predictions
from brain_tumor.inference.prediction import Prediction, summarise
from brain_tumor.inference.predictor import Predictor
from brain_tumor.page import answers, views
from brain_tumor.scans import skull
from brain_tumor.scans.cases import Case, Slices
from brain_tumor.scans.volumes import Grid, Volume
from tests.told import Told, classifier, segmenter

KINDS = ["glioma", "meningioma", "no tumour"]


def _volume(brightness: list[float], side: int = 32) -> Slices:
    """Even slices of so much brightness, on a grid of 1 x 1 x 10 mm."""
    values = np.stack([np.full((side, side), 255 * own, np.float32) for own in brightness])
    volume = Volume(values.transpose(2, 1, 0)[::-1, ::-1], np.diag([1.0, 1.0, 10.0, 1.0]))
    grid = Grid.of(volume)
    images = np.repeat(values.astype(np.uint8)[..., None], 3, 3)
    return Slices(images, (), grid.millimetres, volume, grid)


def _answer(predictor: Predictor, slices: Slices) -> answers.Answer:
    return answers.answer(predictor, Case("a", {}), slices)


@pytest.mark.parametrize("classes", [["Brain Tumor", "Healthy"], ["Healthy", "Brain Tumor"]])
def test_the_positive_class_is_meant_in_whichever_place(classes: list[str], tmp_path: Path) -> None:
    predictor = Predictor(classifier(classes, "Brain Tumor", "Brain Tumor"))
    slices = _volume([0.2, 0.8, 0.6, 0.4])
    (found,) = predictor.predict([slices])
    bright = slices.images[:, 0, 0, 0] / 255
    np.testing.assert_allclose(found.table["p(Brain Tumor)"], bright)
    assert summarise(slices, found) == pytest.approx(
        {"slices": 4, "p_max": bright.max(), "p_mean": bright.mean(), "flagged_share": 0.5}, abs=1e-9
    )
    assert list(found.tumours) == [1, 2]
    heat = predictor.explain(slices)
    assert heat is not None
    assert (heat == classes.index("Brain Tumor")).all()
    answer = _answer(predictor, slices)
    assert answers.verdict(answer) == (
        "Brain Tumor", "largest probability of Brain Tumor 0.80, slice 1; 2 of 4 slices from 0.5 on"
    )  # fmt: skip
    assert views.first(answer, "axial") == 1
    assert answers.curves(answer)["probability"].to_list() == pytest.approx(list(bright))
    dark = _answer(predictor, _volume([0.2, 0.4]))
    assert answers.verdict(dark)[0] == "Healthy"
    assert [case_files._title(found, np.intp(row)) for row in (0, 1)] == ["0: 20%", "1: 80%"]
    page = _page(tmp_path, slices, found)
    assert "p(Brain Tumor) 80.0%" in page
    assert "p(Healthy)" not in page
    assert "largest probability of Brain Tumor" in page
    assert 'title="probability of Brain Tumor by slice"' in page
    assert "show(1);" in page


def _page(home: Path, slices: Slices, found: Prediction) -> str:
    row = {"case": "a", "warnings": "; ".join(found.doubts), **summarise(slices, found)}
    case_files.write_page(home / "a.html", row, slices, found)
    return (home / "a.html").read_text()


@pytest.mark.parametrize("classes", [["glioma", "meningioma"], KINDS])
def test_without_a_positive_class_every_class_is_named(classes: list[str], tmp_path: Path) -> None:
    predictor = Predictor(classifier(classes, None, "meningioma"))
    slices = _volume([0.9, 0.2, 0.7])
    (found,) = predictor.predict([slices])
    row = summarise(slices, found)
    assert not {"p_max", "p_mean"} & set(row)
    assert row["class"] == "meningioma"
    assert row["p(meningioma)"] == pytest.approx(0.6, abs=0.01)
    assert row["slices_by_class"] == "2 meningioma, 1 glioma"
    assert len(found.tumours) == 0
    assert predictor.explain(slices) is None
    answer = _answer(predictor, slices)
    name, detail = answers.verdict(answer)
    assert name == "meningioma"
    rest = {2: "0.40", 3: "0.20"}[len(classes)]
    assert detail.startswith(f"mean probabilities: glioma {rest}, meningioma 0.60")
    assert "by slice: 2 meningioma, 1 glioma" in detail
    assert views.first(answer, "axial") == 0
    assert not answers.decides(answer)
    assert case_files._title(found, np.intp(1)).startswith("1: glioma ")
    page = _page(tmp_path, slices, found)
    assert all(f"p({name})" in page for name in classes)
    assert "probability of a tumour" not in page
    written = Predictions(tmp_path / "out", {})
    written.write("001", "", {**row, "source": "", "warnings": ""}, found.table)
    written.finish(["001"], {})
    table = pd.read_csv(tmp_path / "out" / "cases.csv", dtype={"case": str})
    assert table[["case", "class"]].iloc[0].to_list() == ["001", "meningioma"]
    overview = written.overview(None)
    assert "p(tumour)" not in overview
    assert re.search(r"mean p\(glioma\) +mean p\(meningioma\)", overview)
    assert re.search(r"001 +3 +0\.\d{3} +0\.599 ", overview)


def test_slices_of_a_healthy_class_do_not_hide_the_others() -> None:
    slices = _volume([0.1, 0.1, 0.1, 0.9])
    (found,) = Predictor(classifier(KINDS[::2], None, "glioma")).predict([slices])
    row = summarise(slices, found)
    assert (row["class"], row["slices_by_class"]) == ("no tumour", "3 no tumour, 1 glioma")


@pytest.mark.parametrize(
    ("given", "own", "expected"),
    [(None, (0.3, 0.7), (0.7, "validation part")), (0.0, (0.3, 0.7), (0, "given")), (1, (0.3, 0.7), (1, "given"))],
)
def test_one_threshold(given: float | None, own: tuple[float, float], expected: tuple[float, str]) -> None:
    run = segmenter(threshold=own[0])
    classes = ["yes", "no"]  # another order, and other names, than the segmenter's
    detector = classifier(classes, "yes", "yes", threshold=own[1], threshold_origin="validation part")
    predictor = Predictor(run, detector, given)
    assert (predictor.threshold, predictor.threshold_origin) == expected
    assert predictor.describe()["thresholds"] == {"told": {"value": own[1], "origin": "validation part"}}
    slices = _volume([0.6, 0.8, 1.0])
    (found,) = predictor.predict([slices])
    assert list(found.tumours) == [place for place in range(3) if found.table["detector p(yes)"][place] >= expected[0]]
    assert len(found.tumours) == {0.7: 2, 0: 3, 1: 1}[expected[0]]
    alone = Predictor(run, None, given)
    assert alone.threshold == (0.3 if given is None else given)
    for wrong in (-0.1, 1.1, float("nan"), True, "half"):
        with pytest.raises(ValueError, match="a probability lies between 0 and 1"):
            Predictor(run, detector, wrong)  # type: ignore[arg-type]


def test_an_emptied_mask_is_said(tmp_path: Path) -> None:
    detector = classifier(["no", "yes"], "yes", "yes")
    slices = _volume([0.6, 0.9, 0.2, 0.7])
    predictor = Predictor(segmenter(), detector, 0.8)
    (found,) = predictor.predict([slices])
    pixels = 32 * 32
    assert found.table["area_px"].to_list() == [0, pixels, 0, 0]
    assert found.table["area_px_before_detector"].to_list() == [pixels, pixels, 0, pixels]
    assert list(found.emptied) == [0, 3]
    row = summarise(slices, found)
    assert row["emptied_slices"] == 2
    assert row["emptied_ml"] == pytest.approx(2 * pixels * 0.01)
    assert row["volume_ml"] == pytest.approx(pixels * 0.01)
    assert (row["p_max"], row["detector_p_max"]) == pytest.approx((229 / 255, 229 / 255))
    said = "the detector emptied the masks of 2 of 3 marked slices, 20.5 ml: its largest p(yes) there is 0.698, "
    assert found.doubts == [said + "the segmenter's 0.698"]
    assert "p(yes) there is 0.698" in _page(tmp_path, slices, found)
    answer = _answer(predictor, slices)
    assert answers.verdict(answer)[1].endswith("; 1 of 4 slices have a mask")
    assert sorted(set(answers.curves(answer)["of"])) == ["detector p(yes)", "p(tumour)"]
    (gone,) = Predictor(segmenter(), detector, 0.95).predict([slices])
    assert answers.verdict(answers.Answer(slices, gone, None, None, []))[0] == "no tumour"
    picture = Slices(slices.images[:1])
    (flat,) = predictor.predict([picture])
    assert summarise(picture, flat)["emptied_px"] == pixels
    assert flat.doubts == ["the detector emptied the mask, 1024 pixels: its p(yes) is 0.600, the segmenter's 0.600"]
    written = Predictions(tmp_path / "out", {})
    written.write("a", "", {**row, "warnings": found.doubts[0]}, found.table)
    written.fail("b", "", "no picture", "b.png")
    written.finish(["a", "b"], {})
    overview = written.overview("tumour")
    assert "The detector emptied the masks of 2 slices, in 1 of 1 cases." in overview
    assert said in overview
    table = pd.read_csv(tmp_path / "out" / "cases.csv")
    assert table.loc[table["case"] == "a", "emptied_slices"].item() == 2


@pytest.mark.parametrize(
    ("trained", "has", "said"),
    [
        ((True, None), False, "looks skull-stripped, while the run was trained on heads with their skulls: do not"),
        ((True, True), False, "while the run and the detector were trained on heads with their skulls: do not trust"),
        ((None, False), True, "shows a skull, while the detector was trained on skull-stripped heads: do not trust"),
        ((True, True), True, ""),
        ((True, True), None, ""),
        ((None, None), False, ""),
    ],
)
def test_heads_without_skulls_are_doubted(
    trained: tuple[bool | None, bool | None], has: bool | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(images: NDArray[np.uint8], millimetres: tuple[float, float]) -> bool | None:
        assert images.shape == (2, 32, 32, 3)
        assert millimetres == (1, 1)
        return has

    monkeypatch.setattr(skull, "has_skull", look)
    detector = classifier(["no", "yes"], "yes", "yes", skull=trained[1])
    (found,) = Predictor(segmenter(skull=trained[0]), detector, 0).predict([_volume([0.2, 0.9])])
    assert [said in own for own in found.doubts] == [True] * bool(said)


def test_a_detector_that_has_not_seen_the_like_is_doubted() -> None:
    strange = Told(lambda fitted: classifier(["no", "yes"], "yes", "yes").say(fitted)._replace(
        novelty=np.full(len(fitted), 2.0)), ["no", "yes"], "yes",
    )  # fmt: skip
    (found,) = Predictor(segmenter(), strange, 0).predict([_volume([0.2, 0.9, 0.9])])
    assert found.doubts == ["3 of 3 slices are unlike what the detector was trained on"]


def test_runs_that_do_not_say_what_is_positive_are_refused() -> None:
    yes, none = classifier(["no", "yes"], "yes", "yes"), classifier(KINDS[:2], None, "glioma")
    kinds = classifier(KINDS, None, "glioma")
    two_stage.refuse_misfit(segmenter(), yes)
    two_stage.refuse_types(yes, kinds)
    two_stage.refuse_types(segmenter(), none)
    remedy = "nobody says which of glioma, meningioma means a tumour; train it with data.positive=NAME"
    for refuse, pair, message in (
        (two_stage.refuse_misfit, (segmenter(), none), f"detector=told: {remedy}"),
        (
            two_stage.refuse_misfit,
            (segmenter(), kinds),
            "detector=told: tells glioma, meningioma, no tumour apart, not",
        ),
        (two_stage.refuse_misfit, (segmenter(), classifier(["no", "yes"], "yes", "yes", crop="tumour")), "on crops"),
        (
            two_stage.refuse_types,
            (none, kinds),
            f"needs a run that tells whether there is a tumour; run=told: {remedy}",
        ),
        (two_stage.refuse_types, (segmenter(), yes), "not its type; give it as detector="),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            refuse(*pair)
    with pytest.raises(ValueError, match="its record is damaged: tumour is none of its classes"):
        Predictor(classifier(["no", "yes"], "tumour", "yes"))
    with pytest.raises(ValueError, match="types=other: sees t1ce, but run=told flair"):
        two_stage.refuse_unlike({"run": segmenter(sequences=("flair",) * 3), "types": classifier(
            KINDS, None, "glioma", name="other", sequences=("t1ce",) * 3)})  # fmt: skip
    with pytest.raises(ValueError, match="run=told: sees t2, and t2 cannot be given as a sequence"):
        two_stage.refuse_unknown({"run": segmenter(sequences=("t2",) * 3)})


def test_an_idle_threshold_is_said() -> None:
    yes = classifier(["no", "yes"], "yes", "yes")
    for predictor, said in (
        (Predictor(segmenter(), None, 0.3), "threshold=0.3: decides nothing without a detector"),
        (Predictor(classifier(KINDS, None, "glioma"), None, 0.3), "nobody says which of glioma, meningioma, no tumour"),
        (Predictor(segmenter(), yes, 0.3), ""),
        (Predictor(yes, None, 0.3), ""),
    ):
        assert said in (remark := predict._unused(0.3, predictor))
        assert bool(remark) == bool(said)
    assert predict._unused(None, Predictor(segmenter())) == ""


def test_an_ensembles_threshold_is_the_mean_and_says_of_what() -> None:
    runs = [
        classifier(["no", "yes"], "yes", "yes", name=name, threshold=value, threshold_origin=origin)
        for name, value, origin in (("a", 0.2, "validation part"), ("b", 0.6, "default"))
    ]
    predictor = Predictor(Ensemble(runs))
    assert predictor.threshold == pytest.approx(0.4)
    assert predictor.threshold_origin == "mean of 0.200 (validation part), 0.600 (default)"
    assert json.loads(json.dumps(predictor.identity)) == predictor.identity
    other = Told(**{**vars(runs[1]), "positive": None})
    with pytest.raises(ValueError, match="cannot answer together with a: its positive is None, the other's yes"):
        Ensemble([runs[0], other])


def test_what_a_terminal_cannot_show_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = io.BytesIO()
    shown = io.TextIOWrapper(kept, "cp1252")
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setattr(sys, "argv", ["x"])
    cli.enter(lambda: print("脑"))
    shown.flush()
    assert kept.getvalue() == rb"\u8111" + b"\n"


def test_a_mask_of_one_pixel_and_a_picture_of_one(tmp_path: Path) -> None:
    for images in (np.full((1, 1, 1, 3), 200, np.uint8), np.full((1, 3, 60, 3), 200, np.uint8)):
        slices = Slices(images)
        (found,) = Predictor(segmenter()).predict([slices])
        assert found.masks is not None
        assert found.masks.shape == images.shape[:3]
        assert found.masks.all()
        case_files.write_overlay(tmp_path / "a.png", slices, found)
        _page(tmp_path, slices, found)


def _overlaid(slices: Slices, marked: dict[int, int], emptied: bool = False) -> Prediction:
    """What is said of slices with so many pixels marked."""
    masks = np.zeros(slices.images.shape[:3], np.uint8)
    for row, pixels in marked.items():
        masks[row].reshape(-1)[:pixels] = 1
    areas = masks.sum((1, 2))
    table = pd.DataFrame({"slice": range(len(areas)), "p(no tumour)": 0.5, "p(tumour)": 0.5, "area_px": areas})
    if emptied:
        table["area_px_before_detector"], table["area_px"], table["detector p(yes)"] = areas, 0, 0.0
        masks[:] = 0
    return Prediction(table, masks, ["no tumour", "tumour"], "tumour", 0.5)


def test_an_overlay_shows_heads_and_the_tumours_extent() -> None:
    heads = [0.0] * 20 + [0.8] * 36 + [0.0] * 20
    slices = _volume(heads)
    chosen = case_files.choose(slices, _overlaid(slices, {}))
    assert len(chosen) == 12
    assert (chosen.min(), chosen.max()) == (20, 55)
    assert set(np.diff(chosen)) <= {3, 4}
    tumour = {row: 100 + row for row in range(22, 52)}
    tumour[41] = 900
    for emptied in (False, True):
        chosen = case_files.choose(slices, _overlaid(slices, tumour, emptied))
        assert len(chosen) == 12
        assert 41 in chosen
        assert (chosen.min(), chosen.max()) == (22, 51)
        assert np.diff(chosen).max() <= 4
    assert case_files._title(_overlaid(slices, tumour, True), np.intp(41)) == "41: 50%, emptied by the detector"
    small = case_files.choose(slices, _overlaid(slices, {30: 500, 31: 500, **dict.fromkeys(range(20, 30), 1)}))
    assert {30, 31} <= set(small)
    assert set(small) == set(range(20, 32))
    few = case_files.choose(slices, _overlaid(slices, {40: 9}))
    assert len(few) == 12
    assert 40 in few
    assert set(few) <= set(range(20, 56))
    black = _volume([0.0] * 5)
    assert list(case_files.choose(black, _overlaid(black, {}))) == [0, 1, 2, 3, 4]


def test_overlays_are_drawn_by_their_extent(tmp_path: Path) -> None:
    images = np.zeros((2, 20, 60, 3), np.uint8)
    images[:, 5:15, 10:50] = 120
    slices = Slices(images, millimetres=(3.0, 1.0))
    said = _overlaid(slices, {})
    assert said.masks is not None
    said.masks[1, 8:12, 20:40] = 1
    said.table["area_px"] = said.masks.sum((1, 2))
    case_files.write_overlay(tmp_path / "a.png", slices, said)
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.size == (2 * 60, 60 + 13)
        pixels: Any = np.asarray(sheet)[13:, 60:]
    cyan = np.argwhere((pixels == (0, 255, 255)).all(-1))
    assert (cyan.min(0), cyan.max(0)) == (pytest.approx([24, 20]), pytest.approx([35, 39]))
    large = Slices(np.zeros((1, 3000, 1500, 3), np.uint8))
    dot = _overlaid(large, {})
    assert dot.masks is not None
    dot.masks[0, 1001, 700] = 1
    dot.table["area_px"] = 1
    case_files.write_overlay(tmp_path / "b.png", large, dot)
    with Image.open(tmp_path / "b.png") as sheet:
        assert sheet.size == (512, 1024 + 13)
        assert (np.asarray(sheet) == (0, 255, 255)).all(-1).any(), "a mask of one pixel is still seen"
