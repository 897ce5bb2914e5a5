"""What verify knows of a data set's content, and training refuses."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brain_tumor.data import contradictions, description
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.inspection import inspect
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.folder import Folder, list_slices
from tests.conftest import data_of, write_image, write_mask


def _module(root: Path, **settings: Any) -> SliceDataModule:
    return data_of(
        Folder, root=str(root), transforms=Transforms(), cache_dir=str(root.parent / "cache"), size=32, **settings
    )


def _write(root: Path, classes: tuple[str, ...] = ("no", "yes"), each: int = 6) -> Path:
    for index, name in itertools.product(range(each), classes):
        write_image(root / name / f"{index}.png", seed=10 * index + len(name))
    return root


def _masked(root: Path, tumours: int, empty: int) -> Path:
    for index in range(tumours + empty):
        write_image(root / "images" / f"{index}.png", seed=index)
        write_mask(root / "masks" / f"{index}.png", index < tumours)
    return root


def test_identical_files_in_two_classes_are_refused_in_training_as_in_verify(tmp_path: Path) -> None:
    root = _write(tmp_path / "data")
    shutil.copy(root / "no" / "1.png", root / "no" / "copy.png")  # in one class, which is worth a note
    assert inspect(list_slices(root)).problems == []
    _module(root).setup()
    shutil.copy(root / "no" / "1.png", root / "yes" / "other.png")
    found = inspect(list_slices(root))
    line = "identical files in different classes: no/1.png and yes/other.png (3 in all); keep the one that is right"
    assert found.problems == [line]
    with pytest.raises(ValueError, match="identical files in different classes: no/1"):
        _module(root).setup()


def test_identical_images_with_different_masks_are_refused_in_training_as_in_verify(tmp_path: Path) -> None:
    root = _masked(tmp_path / "data", 4, 4)
    for image, mask in (("8.png", "0.png"), ("9.png", "0.png")):
        shutil.copy(root / "images" / "0.png", root / "images" / image)
        shutil.copy(root / "masks" / mask, root / "masks" / image)
    # Saved anew it is another file, and still the same mask.
    Image.open(root / "masks" / "9.png").save(root / "masks" / "9.png", compress_level=0)
    assert inspect(list_slices(root)).problems == []
    _module(root).setup()
    pixels = np.asarray(Image.open(root / "masks" / "9.png")).copy()
    pixels[29, 39] = 255
    Image.fromarray(pixels).save(root / "masks" / "9.png")
    message = "identical files in different masks: images/0.png and images/9.png"
    assert [line.partition(" (")[0] for line in inspect(list_slices(root)).problems] == [message]
    with pytest.raises(ValueError, match=message):
        _module(root).setup()
    write_mask(root / "masks" / "9.png", False)
    message = "identical files in different classes: images/0.png and images/9.png"
    assert [line.partition(" (")[0] for line in inspect(list_slices(root)).problems] == [message]


def test_the_archive_that_holds_itself_is_refused(tmp_path: Path) -> None:
    root = _write(tmp_path / "data")
    shutil.copytree(root, tmp_path / "copy")
    (tmp_path / "copy").rename(root / "brain_tumor_dataset")
    with pytest.raises(ValueError, match=r"brain_tumor_dataset/: holds no/, yes/ again"):
        _module(root).setup()
    problems = inspect(list_slices(root)).problems
    assert sum("identical files in different classes" in line for line in problems) == 12


def test_the_same_picture_in_other_files_is_named_with_what_differs(tmp_path: Path) -> None:
    root = _write(tmp_path / "data")
    for folder, wrong in (("no", False), ("yes", True)):
        for path in root.glob("*/saved.png"):
            path.unlink()
        Image.open(root / "no" / "1.png").save(root / folder / "saved.png", compress_level=0)
        found = inspect(list_slices(root))
        line = f"one picture, re-saved or re-scaled{' in different classes' * wrong}: no/1.png and {folder}/saved.png"
        assert [own.partition(";")[0] for own in found.notes] == [line]
        assert found.facts["re-saved or re-scaled"] == "1 pairs"


def test_patients_on_both_sides_of_given_parts(tmp_path: Path) -> None:
    for index, (part, name) in enumerate(itertools.product(("train", "test"), ("no", "yes"))):
        for patient in range(4):
            own = patient if part == "train" or patient == 0 else patient + 10
            write_image(tmp_path / "data" / part / name / f"p{own}_{index}.png", seed=10 * index + patient)
    pattern = r"^p(\d+)_"
    found = inspect(list_slices(tmp_path / "data", pattern))
    line = "1 of 7 patients stand in several of train/, val/ and test/: 0; give each to one of them"
    assert found.problems == [line]
    data = _module(tmp_path / "data", patient_pattern=pattern, split="given")
    data.setup()  # the folders say so, and the record says it too
    assert description.describe_split(data)["patients_on_both_sides"] == 1
    for patients in ("patient", "slice"):
        drawn = _module(tmp_path / "data", patient_pattern=pattern, split=patients, test_fraction=0.4)
        drawn.setup()
        assert (description.describe_split(drawn)["patients_on_both_sides"] > 0) is (patients == "slice")


def test_patients_in_several_given_folds(tmp_path: Path) -> None:
    for index, (fold, name) in enumerate(itertools.product(("fold1", "fold2"), ("no", "yes"))):
        write_image(tmp_path / fold / name / "p1_a.png", seed=index)
    (line,) = inspect(list_slices(tmp_path, r"^(p\d)_")).problems
    assert line == "1 of 1 patients stand in several of the folds: p1; give each to one fold"


def test_counts_by_the_target_that_training_uses(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for index, name in itertools.product(range(3), ("glioma", "meningioma")):
        write_image(root / "images" / name / f"{index}.png", seed=10 * index + len(name))
        write_mask(root / "masks" / name / f"{index}.png", True)
    found = inspect(list_slices(root), "class", "glioma")
    assert (found.problems, found.notes) == ([], [])
    assert [found.facts[f"class '{name}'"] for name in ("glioma", "meningioma")] == ["3", "3"]
    found = inspect(list_slices(root))
    assert (found.problems, found.facts["class 'tumour'"]) == ([], "6")
    assert found.notes == ["slices of one class only, 'tumour'; a classifier needs two, a segmenter does not"]
    assert inspect(list_slices(root), "class", "cyst").problems == [
        "data.positive=cyst: the classes are glioma, meningioma"
    ]
    assert inspect(list_slices(root), "grade").problems == ["data.target=grade: this data allows tumour and class"]


def test_tumour_slices_alone_train_a_model_of_masks_and_no_classifier(tmp_path: Path) -> None:
    data = _module(_masked(tmp_path / "data", 8, 0))
    data.setup()
    data.serve_masks()
    with pytest.raises(ValueError, match="no slice of the class 'no tumour' in the training part"):
        data.require_classes()
    with pytest.raises(ValueError, match="no slice of the class 'tumour' in the training part"):
        _module(_masked(tmp_path / "empty", 0, 8)).setup()
    assert inspect(list_slices(tmp_path / "empty")).problems == [
        "slices of one class only; a classifier needs at least two"
    ]


def test_classes_that_a_part_lacks(tmp_path: Path) -> None:
    for seed, name in enumerate(["train/no", "train/yes", "test/no", "test/yes", "test/other"]):
        write_image(tmp_path / name / "1.png", seed=seed)
    found = inspect(list_slices(tmp_path))
    assert (found.problems, found.notes) == (["no slice of the class 'other' in the train part"], [])
    (tmp_path / "test" / "other").rename(tmp_path / "train" / "other")
    found = inspect(list_slices(tmp_path))
    assert (found.problems, found.notes) == ([], ["no slice of the class 'other' in the test part"])


def test_masks_among_the_images_and_masks_the_wrong_way_round(tmp_path: Path) -> None:
    root = _masked(tmp_path, 4, 4)
    shutil.copy(root / "masks" / "1.png", root / "images" / "1.png")
    Image.fromarray(255 - np.asarray(Image.open(root / "masks" / "2.png"))).save(root / "masks" / "2.png")
    found = inspect(list_slices(root))
    assert found.problems == ["images/1.png: the image is the same file as a mask; give the image itself"]
    assert found.notes == ["masks/2.png: more than half of the mask is foreground; black must be what is none"]


def test_only_rows_that_are_told_contradict_each_other() -> None:
    table = pd.DataFrame({"path": list("abcd"), "digest": ["x", "x", "x", "y"]})
    assert contradictions.find(table, ["one", "", "one", "two"], lambda _: 0) == []
    assert contradictions.find(table, ["", "", "", ""], lambda row: row == 2) == [
        "identical files in different masks: a and c (3 in all); keep the one that is right"
    ]
