"""Four sequences and three nested regions through every command, on phantom volumes."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest

from brain_tumor.data import nnunet_export
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.cases import Cases
from brain_tumor.datasets.kaggle_3m import list_slices
from brain_tumor.datasets.lgg import Lgg
from brain_tumor.datasets.nnunet import Nnunet
from brain_tumor.datasets.phantom3d import REGIONS, Phantom3d, write_case
from brain_tumor.io import run_lengths
from brain_tumor.runs import record
from tests.conftest import LAST, VOLUMES, Command, Start, data_of, run_folder

SHAPE = (32, 32, 16)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder."""
    return tmp_path_factory.mktemp("volumes")


@pytest.fixture(scope="module")
def run(volume_segmenter: Path, place: Path) -> Path:
    """A segmenter of three regions in four sequences."""
    return Path(shutil.copytree(volume_segmenter, place / "outputs" / volume_segmenter.name))


@pytest.fixture(scope="module")
def volumes(cache_dir: Path) -> Path:
    """The volumes that it has been trained on."""
    dataset = Phantom3d(cases=5, shape=SHAPE, cache_dir=str(cache_dir))
    dataset.listing()
    assert dataset.root is not None
    return dataset.root


def test_its_record_says_what_it_has_learnt(run: Path) -> None:
    data = record.read(run)["data"]
    assert data["sequences"] == ["t1", "t1ce", "t2", "flair"]
    assert data["volumes"] == {"scaling": "levels", "plane": "axial"}
    assert data["mask_labels"]["regions"] == {name: list(values) for name, values in REGIONS.members.items()}


def test_dice_by_region_and_volume_is_that_of_its_masks(run: Path, volumes: Path) -> None:
    """Recomputed from the run lengths and the files, with nothing of the package but the run lengths' reader."""
    predictions = pd.read_csv(run / "predictions.csv", keep_default_na=False)
    scores = record.read(run)["test"]
    for region, values in REGIONS.members.items():
        dice, brats = [], []
        for case, slices in predictions.groupby("case"):
            labels: Any = nibabel.load(volumes / "labelsTr" / f"{case}.nii.gz")
            truth = np.isin(np.asarray(labels.dataobj), values)
            texts = slices.sort_values("slice")[f"run_lengths({region})"]
            found = np.stack([run_lengths.from_kaggle(text, 32, 32).T for text in texts], -1).astype(bool)
            both = 2 * (truth & found).sum() / max(1, truth.sum() + found.sum())
            dice += [both] if truth.any() else []
            brats.append(both if truth.any() else float(not found.any()))
        assert scores[f"dice({region})"]["value"] == pytest.approx(np.mean(dice))
        assert scores[f"dice_brats({region})"]["value"] == pytest.approx(np.mean(brats))
    whole = sum(2 * predictions["tp"]) / sum(2 * predictions["tp"] + predictions["fp"] + predictions["fn"])
    assert scores["dice_pooled"]["value"] == pytest.approx(whole)


def test_held_out_volumes_get_masks_of_labels_on_their_own_grid(
    run: Path, place: Path, volumes: Path, command: Command
) -> None:
    """By the run and by its exported file, whose masks agree; and the test's path is predict's."""
    exported = command("export", f"run={run}", "to=model.onnx", cwd=place).stdout
    assert re.search(r"predict in float32, (32|48) slices \| .* \| none \|", exported)
    inputs = [
        f"sequences.{name}={volumes}/images{{}}/*_{number:04d}.nii.gz"
        for number, name in enumerate(["t1", "t1ce", "t2", "flair"])
    ]
    held_out = [text.format("Ts") for text in inputs]
    command("predict", f"run={run}", *held_out, "output_dir=run", "pages=true", cwd=place)
    command("predict", "run=model.onnx", *held_out, "output_dir=file", cwd=place)
    for path in sorted((place / "run" / "masks").glob("*.nii.gz")):
        mask, other = (nibabel.load(place / of / "masks" / path.name) for of in ("run", "file"))
        scan = nibabel.load(volumes / "imagesTs" / path.name.replace(".nii", "_0000.nii"))
        np.testing.assert_array_equal(mask.affine, scan.affine)  # type: ignore[attr-defined]
        values, again = (np.asarray(one.dataobj) for one in (mask, other))  # type: ignore[attr-defined]
        assert values.shape == SHAPE
        assert set(np.unique(values)) <= {0, 1, 2, 3}
        assert (values != again).mean() < 0.002
        row = pd.read_csv(place / "run" / "cases.csv").set_index("case").loc[path.name.removesuffix(".nii.gz")]
        voxel = float(abs(np.linalg.det(scan.affine))) / 1000  # type: ignore[attr-defined]
        assert row["volume_ml(core)"] == pytest.approx(np.isin(values, (1, 3)).sum() * voxel)
    assert len(list((place / "run" / "pages").glob("*.html"))) == 2

    command("predict", f"run={run}", *(text.format("Tr") for text in inputs), "output_dir=again", cwd=place)
    predictions = pd.read_csv(run / "predictions.csv", keep_default_na=False)
    for case, slices in predictions.groupby("case"):
        mask = nibabel.load(place / "again" / "masks" / f"{case}.nii.gz")
        texts = slices.sort_values("slice")["run_lengths"]
        tested = np.stack([run_lengths.from_kaggle(text, 32, 32).T for text in texts], -1)
        assert ((np.asarray(mask.dataobj) > 0) != tested).mean() < 0.002  # type: ignore[attr-defined]

    wrong = command("predict", f"run={run}", *held_out[:3], "output_dir=x", cwd=place, check=False)
    assert wrong.returncode == 1
    assert "sequences.flair: is needed, since the run sees it" in wrong.stderr


def test_evaluate_and_the_same_command_again(run: Path, place: Path, command: Command) -> None:
    scores = record.read(run)["test"]
    command("evaluate", f"run={run}", cwd=place)
    again = json.loads((run / "evaluations" / "1" / "results.json").read_text())["test"]
    for name in ("dice", "dice(core)", "dice_brats(enhancing)"):
        assert again[name] == pytest.approx(scores[name])


def test_a_killed_training_goes_on_to_the_same_numbers(
    run: Path, command: Command, start: Start, tmp_path: Path
) -> None:
    start("train", *VOLUMES, "data.fold=0", cwd=tmp_path).kill_when(lambda: list(tmp_path.glob(LAST)))
    assert not list(tmp_path.glob("outputs/*/results.json"))
    resumed = command("train", *VOLUMES, "data.fold=0", cwd=tmp_path).stdout
    assert "goes on from its last checkpoint" in resumed
    folder = tmp_path / run_folder(resumed)
    assert (folder / "predictions.csv").read_text() == (run / "predictions.csv").read_text()
    for part in ("id", "history", "test", "threshold", "split"):
        assert record.read(folder)[part] == record.read(run)[part]


def test_a_sweep_over_folds_is_reported_by_region(run: Path, place: Path, command: Command, tmp_path: Path) -> None:
    swept = command("train", "--multirun", *VOLUMES, "data.fold=0,1", cwd=place).stdout
    assert swept.count("finished before") == 1
    folders = sorted((place / "outputs").glob("phantom3d-*"))
    assert run in folders
    command("report", "outputs", f"to={tmp_path}", cwd=place)
    found = pd.read_csv(tmp_path / "regions.csv").set_index("region")
    assert list(found.index) == ["whole", "core", "enhancing"]
    assert set(found["split"]) == {"2 folds by patient"}
    together = pd.concat([pd.read_csv(folder / "predictions.csv", keep_default_na=False) for folder in folders])
    for region in found.index:
        totals = together.groupby("case")[[f"{count}({region})" for count in ("tp", "fp", "fn")]].sum()
        tp, fp, fn = totals.to_numpy().T
        there, dice = tp + fn > 0, 2 * tp / np.maximum(2 * tp + fp + fn, 1)
        assert found.loc[region, ["patients", "patients_with_it"]].tolist() == [5, there.sum()]
        assert found.loc[region, "dice"] == pytest.approx(dice[there].mean())
        assert found.loc[region, "dice_brats"] == pytest.approx(np.where(there, dice, fp == 0).mean())
    assert found.loc["enhancing", "patients_with_it"] == 4
    page = (tmp_path / "report.html").read_text()
    assert f"{float(found['dice']['core']):.1%}" in page
    assert "Dice as BraTS counts" in page


def test_classifiers_see_all_channels(place: Path, command: Command) -> None:
    """A frozen one, whose features are kept, with neighbours; its heat maps are scored against the masks."""
    settings = [text for text in VOLUMES if not text.startswith("model=")]
    more = ["model=resnet18", "model.strategy=freeze", "data.neighbours=1", "data.fold=1"]
    folder = run_folder(command("train", *settings, *more, cwd=place).stdout)
    explained = command("evaluate", f"run={folder}", "explain=gradcam", cwd=place).stdout
    assert "pointing" in explained or "energy" in explained


def test_slices_written_in_nnunets_layout_are_the_same_data(phantoms: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"cache_dir": str(tmp_path), "size": 48, "folds": 3, "fold": 1, "split_seed": 5}
    slices = data_of(Lgg, transforms=Transforms(), root=str(phantoms), **settings)
    slices.setup()
    said = nnunet_export.write(slices, tmp_path / "raw" / "Dataset501_LGG")
    assert said[1] == "splits_final.json: 3 fold(s), which validate on our test parts"
    volumes = data_of(Nnunet, transforms=Transforms(), root=str(tmp_path / "raw" / "Dataset501_LGG"), **settings)
    volumes.setup()
    assert volumes.decoded.folder != slices.decoded.folder
    for name in ("images.npy", "masks.npy", "originals.bin"):
        assert (volumes.decoded.folder / name).read_bytes() == (slices.decoded.folder / name).read_bytes()
    assert volumes.dataset.sequences == slices.dataset.sequences
    assert volumes.dataset.slice_mm == slices.dataset.slice_mm
    assert volumes.regions == slices.regions
    for column in ("case", "label", "part", "positive", "height", "width"):
        assert volumes.table[column].tolist() == slices.table[column].tolist()
    given = {**settings, "folds": None, "split": "given"}
    follows = data_of(Nnunet, transforms=Transforms(), root=str(tmp_path / "raw" / "Dataset501_LGG"), **given)
    follows.setup()
    assert follows.table["part"].tolist() == slices.table["part"].tolist()
    with pytest.raises(ValueError, match="exists already"):
        nnunet_export.write(slices, tmp_path / "raw" / "Dataset501_LGG")
    assert len(list_slices(phantoms).table) == len(volumes.table)


def test_slices_in_nnunets_layout_train_to_the_same_scores(command: Command, phantoms: Path, tmp_path: Path) -> None:
    """By the commands that docs/volumes.md has, on slices as the LGG data has them."""
    folds = ["data.folds=3", "data.fold=1"]
    slices = ["data=lgg", f"data.root={phantoms}", *folds]
    command("export_dataset", *slices, "to=raw/Dataset501_LGG", cwd=tmp_path)
    model = ["model=resunet18", "model.weights=none", "data.size=32", "data.batch_size=16", "optimizer=adamw"]
    short = [*model, "trainer.max_epochs=1", "+trainer.limit_train_batches=4"]
    first, second = (
        tmp_path / run_folder(command("train", *data, *short, cwd=tmp_path).stdout)
        for data in (slices, ["data=nnunet", "data.root=raw/Dataset501_LGG", *folds])
    )
    tested, again = (pd.read_csv(own / "predictions.csv", keep_default_na=False) for own in (first, second))
    assert (tested["path"] != again["path"]).all()
    assert (tested["slice"] - 1 == again["slice"]).all()  # the files' names count from 1
    names = ["path", "slice"]
    pd.testing.assert_frame_equal(tested.drop(columns=names), again.drop(columns=names), check_exact=True)
    assert tested["predicted_area"].sum() > 0
    for part in ("history", "test", "baselines", "threshold"):
        assert record.read(first)[part] == record.read(second)[part]


def test_published_layouts_are_found_by_patterns(tmp_path: Path) -> None:
    """BraTS as it is published: a folder a patient, labels 1, 2 and 4; and what is missing or there twice."""
    for number in range(3):
        write_case(tmp_path / "drawn", 0, SHAPE, number, held_out=False)
        name = f"BraTS2021_{number:05d}"
        folder = tmp_path / "brats" / name
        folder.mkdir(parents=True)
        drawn = f"PHANTOM_{number:03d}"
        for channel, sequence in enumerate(("t1", "t1ce", "t2", "flair")):
            file = tmp_path / "drawn" / "imagesTr" / f"{drawn}_{channel:04d}.nii.gz"
            file.rename(folder / f"{name}_{sequence}.nii.gz")
        image: Any = nibabel.load(tmp_path / "drawn" / "labelsTr" / f"{drawn}.nii.gz")
        labels = np.asarray(image.dataobj)
        labels = np.where(labels == 3, 4, labels).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(labels, image.affine), folder / f"{name}_seg.nii.gz")  # type: ignore[no-untyped-call]
    settings: dict[str, Any] = {
        "root": str(tmp_path / "brats"), "cache_dir": str(tmp_path), "labels": "*_seg.nii.gz",
        "channels": {name: f"*_{name}.nii.gz" for name in ("t1", "t1ce", "t2", "flair")},
        "label_names": {"necrosis": 1, "oedema": 2, "enhancing": 4}, "regions": {"core": [1, 4], "whole": [1, 2, 4]},
    }  # fmt: skip
    data = data_of(Cases, transforms=Transforms(), size=32, split="patient", test_fraction=0.3, **settings)
    data.setup()
    assert (data.channels, data.table["case"].nunique(), data.regions.names) == (4, 3, ["whole", "core"])
    assert data.decoded.masks is not None
    assert set(np.unique(data.decoded.masks)) == {0, 1, 2, 4}
    (tmp_path / "brats" / "BraTS2021_00000" / "BraTS2021_00000_t2.nii.gz").unlink()
    (tmp_path / "brats" / "BraTS2021_00001" / "again_seg.nii.gz").touch()
    problems = data.dataset.listing().problems
    assert [re.sub(".*/", "", line) for line in problems] == [
        "BraTS2021_00000: t2=*_t2.nii.gz finds 0 files, none; it must find one",
        "BraTS2021_00001: labels=*_seg.nii.gz finds 2 files, BraTS2021_00001_seg.nii.gz and again_seg.nii.gz; it must "
        "find one",
    ]
