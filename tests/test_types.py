"""Types of tumours: targets of patients, scores by patient, crops around tumours, and masks that a run has found."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics as sk

from brain_tumor.data import crops, description, targets
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets import kaggle_3m, lgg
from brain_tumor.datasets.cheng import Cheng
from brain_tumor.datasets.lgg import Lgg
from brain_tumor.inference import trained
from brain_tumor.io import run_lengths, tables
from brain_tumor.metrics import bootstrap, classification, patients, shape
from brain_tumor.runs import record
from tests.conftest import Command, data_of, run_folder, unpack
from tests.mat import write_set

ROWS = [("0", "meningioma"), ("1", "glioma"), ("2", "pituitary tumour")]
SMALL = ["data.size=32", "data.batch_size=16", "trainer.max_epochs=1", "model.weights=none"]


def _table(seed: int = 0, cases: int = 24) -> tuple[pd.DataFrame, torch.Tensor]:
    """Slices of patients of three classes, who are told apart a little, and the probabilities."""
    generator = np.random.default_rng(seed)
    table = pd.DataFrame({"case": [f"c{case}" for case in range(cases) for _ in range(1 + case % 4)]})
    table["label"] = [int(name[1:]) % 3 for name in table["case"]]
    logits = torch.from_numpy(generator.normal(0, 1, (len(table), 3)) + np.eye(3)[table["label"]])
    return table, torch.softmax(logits, 1)


def test_a_patients_probability_is_the_mean_and_scores_are_those_of_scikit_learn() -> None:
    table, probabilities = _table()
    found = patients.score(table, probabilities, ["a", "b", "c"], resamples=50)
    means = pd.DataFrame(probabilities.numpy()).groupby(table["case"]).mean()
    labels = table.groupby("case")["label"].first()
    for prefix, truth, scores in (("patient_", labels, means.to_numpy()), ("", table["label"], probabilities.numpy())):
        said = scores.argmax(1)
        expected = {
            "balanced_accuracy": sk.balanced_accuracy_score(truth, said),
            "macro_f1": sk.f1_score(truth, said, average="macro"),
            "recall(b)": sk.recall_score(truth == 1, said == 1),
            "auroc(c)": sk.roc_auc_score(truth == 2, scores[:, 2]),
        }
        assert {name: found[prefix + name]["value"] for name in expected} == pytest.approx(expected)
    assert found["patient_accuracy"]["value"] == pytest.approx((means.to_numpy().argmax(1) == labels).mean())
    assert found["patient_confusion_matrix"] == sk.confusion_matrix(labels, means.to_numpy().argmax(1)).tolist()
    assert found["patients"] == 24
    constant = torch.tensor([[0.1, 0.2, 0.7]], dtype=torch.float64).repeat(len(table), 1)
    assert patients.score(table, constant, ["a", "b", "c"], resamples=2)["patient_auroc"]["value"] == 0.5


def test_areas_of_folds_are_means_within_them() -> None:
    table, probabilities = _table()
    table["fold"] = [int(name[1:]) // 3 % 2 for name in table["case"]]
    found = patients.score(table, probabilities, ["a", "b", "c"], resamples=20)
    within = [
        sk.roc_auc_score(table["label"][own] == 0, probabilities[np.flatnonzero(own), 0])
        for own in (table["fold"] == fold for fold in (0, 1))
    ]
    assert found["auroc(a)"]["value"] == pytest.approx(np.mean(within))


def test_names_of_one_person_are_resampled_together() -> None:
    table, probabilities = _table()
    table["person"] = ["one" if name in {"c0", "c3", "c6"} else name for name in table["case"]]
    seen: list[Any] = []
    original = bootstrap.intervals

    def watched(measure: Any, own: Any, *rest: Any) -> Any:
        seen.append(own)
        return original(measure, own, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "intervals", watched)
        patients.score(table, probabilities, ["a", "b", "c"], resamples=5)
    assert seen[0].count("one") == table["case"].isin(["c0", "c3", "c6"]).sum()


def test_scores_by_patient_need_patients_of_one_class() -> None:
    table, _ = _table()
    assert patients.one_label_each(table)
    assert not patients.one_label_each(table.assign(case=""))
    assert not patients.one_label_each(table.assign(label=[*([0, 1] * len(table))][: len(table)]))


def test_permuted_labels_and_holms_correction() -> None:
    table, probabilities = _table()
    table["fold"] = [int(name[1:]) // 3 % 2 for name in table["case"]]
    areas, chances = patients.permutation(table, probabilities, 500)
    within = patients.score(table, probabilities, ["a", "b", "c"], resamples=2)
    assert areas == pytest.approx([within[f"patient_auroc({name})"]["value"] for name in "abc"])
    assert all(1 / 501 <= p <= 1 for p in chances)
    noise = torch.from_numpy(np.random.default_rng(3).dirichlet([1, 1, 1], len(table)))
    assert min(chances) < 0.05 < max(patients.permutation(table, noise, 500)[1])
    assert patients.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_shapes_of_known_outlines() -> None:
    rows, columns = np.mgrid[:101, :101] - 50
    disc = (rows**2 + columns**2 < 900).astype(np.uint8)
    star = (np.hypot(rows, columns) < 25 + 8 * np.cos(8 * np.arctan2(rows, columns))).astype(np.uint8)
    round_, spiky = shape.planar(disc), shape.planar(star)
    assert round_["angular"] < 0.02
    assert round_["fluctuation"] < 0.02
    assert spiky["angular"] > 5 * round_["angular"]
    assert spiky["fluctuation"] > 5 * round_["fluctuation"]
    assert shape.planar(np.zeros((9, 9), np.uint8)) == {"size": 0.0, "angular": 0.0, "fluctuation": 0.0}


def test_bounding_ellipsoids() -> None:
    directions = np.random.default_rng(0).normal(size=(400, 3))
    sphere = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    assert shape.ellipsoid_volume(sphere * [1, 2, 5]) == pytest.approx(4 / 3 * math.pi * 10, rel=0.02)
    # A box fills 2 / (pi sqrt(3)) of its ellipsoid, however thick its slices are.
    ratio, volume = shape.ellipsoid_ratio([np.ones((6, 9), np.uint8)] * 4, [3, 4, 5, 6])
    assert volume == 6 * 9 * 4
    assert ratio == pytest.approx(2 / (math.pi * math.sqrt(3)), rel=0.01)


def test_the_box_of_run_lengths_is_that_of_the_mask() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        mask = np.zeros((12, 17), np.uint8)
        top, left = generator.integers(0, 8, 2)
        mask[top : top + 4, left : left + generator.integers(1, 9)] = 1
        assert crops.box_of_run_lengths(run_lengths.to_kaggle(mask), 12, 17) == crops.box_of_mask(mask)
    assert crops.box_of_run_lengths("", 12, 17) is None
    whole = np.ones((12, 17), np.uint8)
    assert crops.box_of_run_lengths(run_lengths.to_kaggle(whole), 12, 17) == (0, 0, 12, 17)
    with pytest.raises(ValueError, match="leave a mask"):
        crops.box_of_run_lengths("200 9", 12, 17)


def test_a_crop_is_a_square_with_a_margin_as_far_as_the_picture_goes() -> None:
    assert crops.widen((40, 45, 60, 55), 0.2, 100, 100) == (36, 36, 64, 64)
    assert crops.widen((0, 0, 20, 20), 0.5, 100, 30) == (0, 0, 30, 30)


@pytest.fixture(scope="session")
def labelled(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The six phantoms with a data.csv as the LGG data has it: two types, and one patient without a value."""
    root = tmp_path_factory.mktemp("labelled")
    shutil.copytree(phantoms / "kaggle_3m", root / "kaggle_3m")
    names = sorted(path.name.rpartition("_")[0] for path in (root / "kaggle_3m").iterdir())
    table = pd.DataFrame({"Patient": names, **dict.fromkeys(lgg.TARGETS, ""), "gender": "1", "death01": "0"})
    table["COCCluster"] = ["1", "2", "1", "2", "1", ""]
    table["histological_type"] = ["1", "1", "1", "2", "2", "3"]
    table.to_csv(root / "kaggle_3m" / "data.csv", sep=";", index=False)
    return root


def test_a_patients_label_lies_on_every_slice_with_a_tumour(labelled: Path) -> None:
    listing = kaggle_3m.list_slices(labelled)
    cases = set(listing.table["case"])
    known = lgg.patients(listing.root, cases)
    table = listing.table.assign(positive=listing.table["slice"] % 2 == 0)
    found = targets.classify(table, "COCCluster", known, least=2)
    assert found.classes == ["1", "2"]
    assert found.left_out == {"without a value": 1}
    assert ((found.values >= 0) == (table["positive"] & (table["case"] != max(cases)))).all()
    rare = targets.classify(table, "histological_type", known, least=2)
    assert rare.classes == ["1", "2"]
    assert rare.left_out == {"of class 3": 1}
    chosen = targets.classify(table.assign(chosen=table["slice"] == 3), "COCCluster", known, least=2)
    assert set(table["slice"][chosen.values >= 0]) == {3}


@pytest.mark.parametrize("column", ["gender", "death01", "race"])
def test_what_is_no_matter_of_tumours_is_refused(column: str, labelled: Path) -> None:
    listing = kaggle_3m.list_slices(labelled)
    known = lgg.patients(listing.root, set(listing.table["case"]))
    with pytest.raises(ValueError, match=f"data.target={column}: this data allows tumour and histological_type.*COCC"):
        targets.classify(listing.table, column, known)


def test_trains_on_a_target_of_patients_and_scores_them(labelled: Path, command: Command, tmp_path: Path) -> None:
    asked = ["data=lgg", f"data.root={labelled}", "data.target=COCCluster", "data.min_patients=2", "data.split=patient"]
    output = command("train", *asked, "data.test_fraction=0.5", "data.split_seed=1", "model=cnn", *SMALL, cwd=tmp_path)
    found = record.read(tmp_path / run_folder(output.stdout))
    assert found["data"]["target"] == {"name": "COCCluster", "patients_left_out": {"without a value": 1}}
    assert found["data"]["patients"] == 5
    assert found["data"]["regions"]["test"]["by_run"] == 0
    assert found["data"]["regions"]["test"]["by_truth"] == found["split"]["test"]["slices"]
    assert {"patient_accuracy", "patient_auroc(1)", "recall(2)"} <= set(record.scores(found["test"]))
    assert set(found["baselines"]) == {"majority", "position", "shape"}
    assert "patient_accuracy" in found["baselines"]["shape"]


def _detected(folder: Path, table: pd.DataFrame, tested: str) -> Path:
    """Write what a detector's run leaves that was tested on one patient, and found slices 3 to 5."""
    folder.mkdir()
    own = table[table["case"] == tested]
    said = own[["path", "case"]].assign(**{"p(tumour)": own["slice"].between(3, 5).map({True: 0.9, False: 0.1})})
    said.to_csv(folder / "predictions.csv", index=False)
    parts = table["case"].map(lambda name: "test" if name == tested else "train")
    table[["path", "case"]].assign(part=parts).to_csv(folder / "split.csv", index=False)
    return folder


def test_slices_are_chosen_by_a_run_that_was_tested_on_the_patient(
    labelled: Path, cache_dir: Path, tmp_path: Path
) -> None:
    table = kaggle_3m.list_slices(labelled).table
    first, second = sorted(set(table["case"]))[:2]
    run = _detected(tmp_path / "run", table, first)

    def opened(tested: str) -> SliceDataModule:
        data = data_of(
            Lgg,
            root=str(labelled), cache_dir=str(cache_dir), transforms=Transforms(), size=32, target="COCCluster",
            min_patients=2, masks=f"run:{run}", test_cases=[tested],
        )  # fmt: skip
        data.setup()
        return data

    data = opened(first)
    assert data.table["slice"].iloc[data.rows["test"]].tolist() == [3, 4, 5]
    assert data.table["positive"].iloc[data.rows["train"]].all()
    found = description.describe(data)["regions"]
    assert found["test"] == {"by_truth": 0, "by_run": 3}
    assert found["train"]["by_run"] == 0
    with pytest.raises(ValueError, match="was trained on patients who are tested here"):
        opened(second)


@pytest.fixture(scope="session")
def localizers(command: Command, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Small segmenters of the two folds of a small set of types, and beside them that set."""
    home = tmp_path_factory.mktemp("localizers")
    write_set(home / "cheng")
    options = [
        "data=cheng", f"data.root={home}/cheng", "data.folds=2", "data.fold=0,1", "data.size=64", "data.batch_size=16",
        "model=resunet18", "model.weights=none", "optimizer=adamw", "trainer.max_epochs=1",
    ]  # fmt: skip
    command("train", "--multirun", *options, cwd=home)
    return sorted(path.parent for path in home.glob("outputs/*/results.json"))


def test_a_segmenter_says_how_well_it_finds_each_type(localizers: list[Path]) -> None:
    found = record.read(localizers[0])
    scores = record.scores(found["test"])
    assert {f"dice_slice({name})" for _, name in ROWS} <= set(scores)
    assert set(found["data"]["classes"]) == {name for _, name in ROWS}
    predictions = tables.read_csv(localizers[0] / "predictions.csv")
    assert {"p(tumour)", "dice", "run_lengths", "person"} <= set(predictions)
    kinds = predictions.groupby("label")["dice"].mean()
    assert scores["dice_slice(glioma)"]["value"] == pytest.approx(
        predictions[predictions["label"] == 0].groupby("person")["dice"].mean().mean()
    )
    assert len(kinds) == 3
    # Of a scan it tells whether there is a tumour, not which.
    assert trained.open_run(localizers[0]).classes == ["no tumour", "tumour"]


def _cropped(localizers: list[Path], *masks: Path, **settings: Any) -> SliceDataModule:
    """Set up fold 0 with crops."""
    home = localizers[0].parents[1]
    data = data_of(
        Cheng,
        root=str(home / "cheng"), cache_dir=str(home / "cache"), transforms=Transforms(), size=32, folds=2, fold=0,
        crop="tumour", masks=[f"run:{path}" for path in masks] or None, **settings,
    )  # fmt: skip
    data.setup()
    return data


def test_crops_come_from_runs_that_were_tested_on_them(localizers: list[Path]) -> None:
    first, second = localizers  # tested on fold 0 and on fold 1
    with pytest.raises(ValueError, match=r"data.masks: was trained on patients who are tested here.*all folds"):
        _cropped(localizers, second)
    oracle, honest, both = (_cropped(localizers, *own) for own in ((), (first,), (first, second)))
    regions_ = [description.describe(own)["regions"] for own in (oracle, honest, both)]
    assert [own["test"]["by_run"] > 0 for own in regions_] == [False, True, True]
    assert [own["test"]["by_truth"] > 0 for own in regions_] == [True, False, False]
    # Without the other fold's run its own training slices are cut by the truth.
    assert [own["train"]["by_run"] > 0 for own in regions_] == [False, False, True]
    assert len({own.decoded.key for own in (oracle, honest, both)}) == 3
    assert len({own.key for own in (oracle, honest, both)}) == 1  # of one data set all the same
    tested, trained = (torch.from_numpy(oracle.rows[part]) for part in ("test", "train"))
    assert not torch.equal(oracle.store.images[tested], honest.store.images[tested])
    assert torch.equal(oracle.store.images[trained], honest.store.images[trained])
    with pytest.raises(ValueError, match="would show this model where the tumour is"):
        oracle.serve_masks()


def test_what_a_run_has_inherited_counts_as_seen(localizers: list[Path], tmp_path: Path) -> None:
    first = localizers[0]
    tested = tables.read_csv(first / "predictions.csv")["case"]
    for name in ("predictions.csv", "split.csv"):
        shutil.copy(first / name, tmp_path)
    assert set(crops.read_runs(f"run:{tmp_path}").flagged) == set(tables.read_csv(first / "predictions.csv")["path"])
    tables.write_csv(tmp_path / "inherited.csv", pd.DataFrame({"case": tested.unique()[:1], "digest": ""}))
    predicted = crops.read_runs(f"run:{tmp_path}")
    assert tested.iloc[0] in predicted.trained
    assert len(predicted.flagged) == int((tested != tested.iloc[0]).sum())


def test_a_crop_shows_the_tumour_at_the_files_own_size(localizers: list[Path]) -> None:
    data = _cropped(localizers, crop_margin=0.0)
    assert data.decoded.masks is not None
    assert (data.table["height"] < 30).all()
    shares = data.decoded.masks.mean((1, 2))
    assert shares.min() > 0.2  # of a disc or an ellipse in its box


def test_trains_on_crops_that_runs_found_and_reports_on_them(
    localizers: list[Path], command: Command, tmp_path: Path
) -> None:
    options = [
        "data=cheng", f"data.root={localizers[0].parents[1]}/cheng", "data.folds=2", "data.fold=0,1", "model=cnn",
        *SMALL, "data.crop=tumour", f"data.masks=[run:{localizers[0]},run:{localizers[1]}]",
    ]  # fmt: skip
    command("train", "--multirun", *options, cwd=tmp_path)
    folders = sorted((tmp_path / "outputs").glob("*/results.json"))
    for path in folders:
        found = record.load(path)
        assert found["hyperparameters"]["crop"] == "tumour"
        assert found["data"]["regions"]["test"]["by_truth"] == 0
    for path in localizers:
        shutil.copytree(path, tmp_path / "outputs" / path.name)
    command("report", "outputs", cwd=tmp_path)
    home = tmp_path / "outputs" / "report"
    table = pd.read_csv(home / "types.csv", index_col=0)
    assert table["shown"].tolist()[0] == "crops, by a run's masks"
    assert {"always the commonest class", "the tumour's size and shape alone"} < set(table["model"])
    pooled = pd.concat(pd.read_csv(path.parent / "predictions.csv", dtype={"case": str}) for path in folders)
    assert len(pooled) == 30
    said = pooled.filter(regex=r"^p\(").to_numpy().argmax(1)
    assert table["accuracy"][0] == pytest.approx((said == pooled["label"]).mean())
    means = pooled.groupby("case")[["label", *pooled.filter(regex=r"^p\(")]].mean()
    right = means.filter(regex=r"^p\(").to_numpy().argmax(1) == means["label"]
    assert table["patient_accuracy"][0] == pytest.approx(right.mean())
    page = (home / "report.md").read_text()
    assert ".911" in page  # beside what others report
    assert "## Localization by type" in page
    assert (home / "types_1.png").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"crop": "square"}, "data.crop=square: choose one of"),
        ({"masks": "outputs/x"}, "data.masks: goes with"),
        ({"crop": "tumour", "masks": "outputs/x"}, "write run:FOLDER"),
        ({"crop": "tumour", "masks": "run:none"}, "no finished run there"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], said: str, localizers: list[Path], tmp_path: Path) -> None:
    root = str(localizers[0].parents[1] / "cheng")
    with pytest.raises(ValueError, match=said):
        data_of(Cheng, root=root, cache_dir=str(tmp_path), transforms=Transforms(), size=32, **settings).prepare_data()


def test_new_keys_leave_old_identities(localizers: list[Path]) -> None:
    """A run of yesterday's configuration has the id that it had yesterday."""
    from brain_tumor.runs import identity

    config = json.loads((localizers[0] / "results.json").read_text())["config"]
    own = identity.run_id(config)
    for key in ("crop", "crop_margin", "masks", "min_patients"):
        del config["data"][key]
    assert identity.run_id(config) == own


DOCS = Path(__file__).resolve().parents[1] / "docs"


def _cell(line: Any, name: str) -> str:
    value, low, high = (100 * line[column] for column in (name, f"{name} low", f"{name} high"))
    return f"{value:.1f} %" + (f" ({low:.1f} to {high:.1f})" if pd.notna(low) else "")


def test_the_tables_of_the_docs_are_the_reports() -> None:
    page = (DOCS / "types.md").read_text()
    table = pd.read_csv(DOCS / "results" / "report" / "types.csv", index_col=0)
    table = table[table["told apart"] == "cheng"]
    names = {f"ResNet-{size}, {strategy}": (size, strategy) for size in (18, 50) for strategy in ("frozen", "partial")}
    strategies = {"frozen": "freeze", "partial": "partial layer4"}
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ResNet-")]
    checked = 0
    for title, *cells in (row for row in rows if len(row) == 6):
        name, _, shown = title.rpartition(", ")
        size, strategy = names[name]
        of_model = table[
            (table["model"] == f"resnet{size}, {strategies[strategy]}") & table["shown"].str.startswith(shown)
        ].set_index("split")
        expected = [
            _cell(of_model.loc[split], score)
            for split in ("5 folds, the authors'", "5 folds", "by slice")
            for score in ("accuracy", "patient_accuracy")
        ]
        assert cells == expected[:5], title
        checked += 1
    assert checked == 8
    contrasts = pd.read_csv(DOCS / "results" / "report" / "types_contrasts.csv", index_col=0)
    for _, line in contrasts[contrasts["p, Holm"] < 0.05].iterrows():
        area = " ({:.3f} to {:.3f})".format(*line[["AUROC low", "AUROC high"]]).replace("0.", ".")
        assert f"{line['AUROC']:.3f}".lstrip("0") + area in page
    assert f"The interval of {(contrasts['AUROC low'] <= 0.5).sum()} covers .5" in page


def test_the_packed_runs_are_the_reports(tmp_path: Path) -> None:
    unpack(DOCS / "results" / "types" / "runs.tar.xz", tmp_path)
    folders = sorted((tmp_path / "types-runs").iterdir())
    assert len(folders) > 130
    assert all(record.load(folder / "results.json")["id"] in folder.name for folder in folders)
    table = pd.read_csv(DOCS / "results" / "report" / "types.csv", index_col=0)
    line = table[(table["model"] == "resnet50, partial layer4") & (table["split"] == "5 folds, the authors'")]
    chosen = tmp_path.glob("types-runs/cheng-resnet50-partial-*-fold?-seed0-*/predictions.csv")
    pooled = pd.concat(pd.read_csv(path, dtype={"case": str}) for path in chosen)
    said = pooled.filter(regex=r"^p\(").to_numpy().argmax(1)
    whole = line[line["shown"] == "whole slices"]["accuracy"].item()
    assert (len(pooled), whole) == (3064, pytest.approx((said == pooled["label"]).mean()))


def test_the_datas_own_folds_are_no_strata_of_one_models_test() -> None:
    table, probabilities = _table()
    table = table.assign(path="", slice=-1, fold=[int(name[1:]) // 3 % 2 for name in table["case"]])
    found = classification.score_probabilities(table, ["a", "b", "c"], probabilities, None)[0]
    expected = sk.roc_auc_score(table["label"] == 0, probabilities[:, 0].numpy())
    assert found["auroc(a)"]["value"] == pytest.approx(expected)
