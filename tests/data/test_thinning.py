"""Which slices a training may not see: those of a site, those near a tested one, those of patients not drawn."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from brain_tumor.config import typed
from brain_tumor.data import description, sequences, sites, targets
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.split import Split
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.lgg import Lgg
from brain_tumor.datasets.phantom import Phantom
from brain_tumor.runs import identity
from brain_tumor.runs.summary import split_title
from tests.conftest import SMALL, Command, data_of, run_folder

LATER = (
    "data.site", "data.site_by", "data.gap", "data.train_patients", "data.draw_seed", "data.target_seed",
    "transforms.grey",
)  # fmt: skip


def _table(cases: int = 20, each: int = 30) -> pd.DataFrame:
    count = cases * each
    return pd.DataFrame(
        {
            "case": np.repeat([f"TCGA_{'CS' if i < 5 else 'DU'}_{i:04d}_2000" for i in range(cases)], each),
            "slice": np.tile(np.arange(1, each + 1), cases),
            "digest": [f"d{i}" for i in range(count)],
            "part": "",
            "fold": -1,
        }
    )


def _draw(table: pd.DataFrame, **settings: Any) -> "np.ndarray[tuple[int], np.dtype[np.str_]]":
    return Split(**settings).draw(table, np.zeros(len(table), dtype=np.int64))


def test_what_came_later_changes_no_id() -> None:
    with initialize_config_dir(typed.CONF, version_base="1.3"):
        config: Any = OmegaConf.to_container(compose("train"), resolve=False)
    before = identity.run_id(config)
    for group, name in (key.split(".") for key in LATER):
        assert config[group].pop(name) == identity.NEUTRAL[f"{group}.{name}"]
    assert identity.run_id(config) == before


def test_a_site_is_left_out() -> None:
    table = _table()
    table["site"] = sites.find(table, Lgg.site, pd.DataFrame())
    parts = _draw(table, split="site", site="CS")
    assert set(table["site"][parts == "test"]) == {"CS"}
    assert set(table["site"][parts == "train"]) == {"DU"}
    validated = _draw(table, split="site", site="CS", val_fraction=0.2)
    np.testing.assert_array_equal(validated == "test", parts == "test")
    assert table["case"][validated == "val"].nunique() == 3
    drawn = Split("site", site="CS").describe(table)
    assert (drawn["method"], drawn["site"], drawn["sites"]) == ("site", "CS", {"CS": 5, "DU": 15})
    # One of DU's patients shares a file with one of CS's.
    table.loc[[0, 599], "digest"] = "same"
    assert table["case"][_draw(table, split="site", site="CS") == "test"].nunique() == 6
    with pytest.raises(ValueError, match=r"data.site=HT: choose the site to test: CS \(5 patients\), DU \(15 patients"):
        _draw(table, split="site", site="HT")
    with pytest.raises(ValueError, match=r"data.site=CS: names every patient"):
        _draw(table.assign(site="CS"), split="site", site="CS")


def test_a_column_of_patients_tells_the_site() -> None:
    table = _table(4)
    patients = pd.DataFrame({"scanner": ["1", "2", "2", "1"]}, index=sorted(set(table["case"])))
    table["site"] = sites.find(table, "scanner", patients)
    assert sites.count(table) == {"1": 2, "2": 2}
    assert table["case"][_draw(table, split="site", site=2) == "test"].nunique() == 2
    patients.iloc[0, 0] = ""
    with pytest.raises(ValueError, match=r"data.site_by=scanner: tells no site for 1 of 4 patients, such as TCGA"):
        sites.find(table, "scanner", patients)


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("_(CS)_", "tells no site for 15 of 20 patients, such as TCGA_DU_0005_2000$"),
        ("(", "no regular expression"),
        ("TCGA_(CS|DU)_(.)", "give a pattern over patients' names with one group"),
        ("grade", "with one group, such as '.*', or one of the columns scanner$"),
        ("", "data.split=site: sites are not known. Give data.site_by: a pattern"),
    ],
)
def test_refuses_what_tells_no_site(by: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sites.find(_table(), by, pd.DataFrame({"scanner": ["1"]}, index=["A"]))


def _distances(table: pd.DataFrame, parts: "np.ndarray[Any, Any]") -> list[int]:
    """How far every training slice of a tested patient lies from the nearest tested one."""
    tested = table[parts == "test"].groupby("case")["slice"].apply(list)
    rows = table[(parts == "train") & table["case"].isin(tested.index)]
    return [min(abs(number - other) for other in tested[case]) for case, number in zip(rows["case"], rows["slice"])]  # noqa: B905


@pytest.mark.parametrize("folds", [{}, {"folds": 5, "fold": 1}])
def test_a_gap_keeps_neighbours_out_and_the_test_as_it_is(folds: dict[str, Any]) -> None:
    table = _table()
    settings = {"split": "slice", "test_fraction": 0.05, **folds}
    doses = {gap: _draw(table, **settings, gap=gap) for gap in (0, 1, 4, "patient")} if folds else {}
    doses |= {gap: _draw(table, **settings, gap=gap) for gap in (0, 1, 4)}
    tests = [parts == "test" for parts in doses.values()]
    assert all((test == tests[0]).all() for test in tests)
    assert tests[0].sum() == (6 if folds else 30)
    for gap in (0, 1, 4):
        assert min(_distances(table, doses[gap])) == gap + 1
    if folds:
        whole = _draw(table, **{**settings, "gap": None})
        np.testing.assert_array_equal(doses["patient"] == "train", whole == "train")
        assert set(np.flatnonzero(tests[0])) <= set(np.flatnonzero(whole == "test"))
    else:
        np.testing.assert_array_equal(doses[0], _draw(table, **settings))
        with pytest.raises(ValueError, match=r"data.gap=patient: leaves no slice to train on"):
            _draw(table, **{**settings, "test_fraction": 0.5}, gap="patient")


def test_draws_of_patients_are_nested() -> None:
    table = _table()
    whole = _draw(table, folds=5, fold=0, val_fraction=0.2)
    draws = {
        (count, seed): _draw(table, folds=5, fold=0, val_fraction=0.2, train_patients=count, draw_seed=seed)
        for count in (3, 6, 12)
        for seed in (0, 1)
    }
    names = {key: set(table["case"][parts == "train"]) for key, parts in draws.items()}
    assert [len(names[count, 0]) for count in (3, 6, 12)] == [3, 6, 12]
    assert names[3, 0] < names[6, 0] < names[12, 0] == names[12, 1]
    assert names[6, 0] != names[6, 1]
    for parts in draws.values():
        for part in ("val", "test"):
            np.testing.assert_array_equal(parts == part, whole == part)
    # Two who share a file are drawn together, or not at all.
    table.loc[[0, 599], "digest"] = "same"
    for seed in range(8):
        shown = set(table["case"][_draw(table, folds=2, fold=0, train_patients=3, draw_seed=seed) == "train"])
        assert len(shown) in {2, 3}
        assert len(shown & {table["case"][0], table["case"][599]}) != 1
    with pytest.raises(ValueError, match=r"data.train_patients=99: the training part has 16 patients"):
        _draw(_table(), folds=5, fold=0, train_patients=99)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gap": -1}, "data.gap=-1: give a number of slices, 0 or more, or patient"),
        ({"gap": "near"}, "data.gap=near: give a number"),
        ({"gap": 2, "split": "patient"}, "data.gap=2: goes with data.split=slice or with data.folds"),
        ({"gap": 2, "test_cases": ["a"]}, "leave one of them out"),
        ({"site": "CS"}, "data.site=CS: goes with data.split=site"),
        ({"split": "site", "site": "CS", "folds": 5, "fold": 0}, "data.split=site: leaves nothing to data.folds"),
        ({"train_patients": 0}, "data.train_patients=0: must be at least 1"),
        ({"draw_seed": 1}, "data.draw_seed=1: of which draw"),
    ],
)
def test_refuses_bad_values(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Split(**settings)


def test_titles_say_what_was_left_out() -> None:
    split: Any = {"method": "folds", "fold": 0, "folds": 5, "gap": 2, "train_patients": 11}
    near = "without the patients' other slices within 2 of a tested one"
    assert split_title(split) == f"fold 0 of 5 by patient, {near}, 11 patients drawn to train on"
    site: Any = {"method": "site", "fold": None, "site": "CS"}
    assert split_title(site) == "site CS left out"


def test_coins_are_tossed_for_patients() -> None:
    table = _table().assign(mask="", positive=False)
    labels = targets.classify(table.assign(**{"class": ""}), "random")
    of_patients = pd.Series(labels.values).groupby(table["case"]).agg(["min", "max"])
    assert (of_patients["min"] == of_patients["max"]).all()
    assert of_patients["min"].sum() == 10
    other = targets.classify(table.assign(**{"class": ""}), "random", seed=1)
    assert (labels.values != other.values).any()


def _opened(cache_dir: Path, **settings: Any) -> SliceDataModule:
    data = data_of(Phantom, transforms=Transforms(), cases=6, cache_dir=str(cache_dir), size=32, **settings)
    data.prepare_data()
    data.setup()
    return data


def test_the_record_says_what_was_drawn(cache_dir: Path) -> None:
    data = _opened(cache_dir, target="random", target_seed=3, folds=3, fold=0, gap=1, test_fraction=0.1)
    found = description.describe(data)
    assert found["target"] == {"name": "random", "patients_left_out": {}, "seed": 3}
    assert "regions" not in found
    assert found["missing"] == {}
    assert found["labels"].keys() == {"heads", "tails"}
    split = description.describe_split(data)
    assert (split["gap"], split["duplicates_dropped"], split["patients_on_both_sides"]) == (1, 0, 2)
    with pytest.raises(ValueError, match=r"data.target_seed=3: goes with data.target=random"):
        _opened(cache_dir, target_seed=3)
    with pytest.raises(ValueError, match=r"data.masks: goes with"):
        _opened(cache_dir, target="random", masks="run:x")
    with pytest.raises(ValueError, match=r"data.site_by=_\(.\): goes with data.split=site"):
        _opened(cache_dir, site_by="_(.)")
    with pytest.raises(ValueError, match=r"data.site=None: choose the site to test: 0000 \(1 patient\), 0001"):
        _opened(cache_dir, split="site", site_by="_(....)_")


def test_missing_sequences_are_copies_of_flair() -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3), dtype=np.uint8)
    images[:3, ..., 2] = images[:3, ..., 1]
    images[4, ..., 0] = images[4, ..., 1]  # the middle slice of the second patient alone
    images[6:, ..., [0, 2]] = images[6:, ..., [1]]
    cases = pd.Series(np.repeat(["a", "b", "c"], 3))
    assert sequences.missing(images, cases, Lgg.sequences) == {"a": ["t1ce"], "c": ["t1", "t1ce"]}
    assert sequences.missing(images, cases, ()) is None
    assert sequences.missing(images, cases, ("flair",) * 3) is None


def test_grey_pictures_are_those_of_pillow() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    transforms = Transforms(normalize=True, mean=[0.08] * 3, std=[0.12] * 3, grey=True).eval()
    shown = transforms(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    grey = torch.tensor(np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float32)) / 255
    assert (shown == shown[:, :1]).all()
    assert ((shown[0, 0] * 0.12 + 0.08) - grey).abs().max() < 0.6 / 255  # Pillow rounds
    assert transforms.hyperparameters["normalized_by"] == "mean 0.08, deviation 0.12"
    assert "grey" not in Transforms(normalize=True).hyperparameters
    with pytest.raises(ValueError, match=r"transforms.grey=true: needs the three channels of a picture, not 4"):
        transforms.take(4)


def test_a_site_is_left_out_by_the_command(command: Command, tmp_path: Path) -> None:
    """Random labels, a site, a draw and grey slices go through training, its record and evaluate."""
    site = ["data.split=site", "data.site_by='_(....)_'", "data.site=0001", "data.train_patients=3", "data.draw_seed=2"]
    random = ["data.target=random", "data.target_seed=1", "transforms.grey=true", "trainer.max_epochs=1"]
    output = command("train", *SMALL, "model.strategy=freeze", *site, *random, cwd=tmp_path)
    folder = run_folder(output.stdout)
    assert "random1-resnet18-freeze-flip_norm-site0001-3patients2-seed0" in folder
    assert "site 0001 left out, 3 patients drawn to train on" in output.stdout
    parts = pd.read_csv(tmp_path / folder / "split.csv", keep_default_na=False)
    assert parts.groupby("part")["case"].nunique().to_dict() == {"": 2, "test": 1, "train": 3}
    assert "accuracy" in command("evaluate", f"run={folder}", cwd=tmp_path).stdout
