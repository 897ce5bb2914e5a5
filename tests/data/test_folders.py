"""Listing a folder of one's own, and what is wrong with it."""

import itertools
import shutil
from pathlib import Path

import pytest

from brain_tumor.data import folders
from brain_tumor.data.inspection import inspect
from tests.conftest import write_image, write_mask


def test_lists_class_folders_of_any_name(tmp_path: Path) -> None:
    for index, name in enumerate(["Meningioma", "no tumour", "glioma"]):
        write_image(tmp_path / name / f"Case {index} a.PNG", seed=index)
        write_image(tmp_path / name / f"Case {index} b.Jpeg", seed=10 + index)
    for name in ("Thumbs.db", "notes.txt"):
        (tmp_path / "glioma" / name).write_bytes(b"x")
    listing = folders.list_slices(tmp_path, r"^(Case \d+)")
    assert sorted(listing.table["class"]) == ["Meningioma"] * 2 + ["glioma"] * 2 + ["no tumour"] * 2
    assert set(listing.table["case"]) == {"Case 0", "Case 1", "Case 2"}
    assert listing.ignored == ["glioma/notes.txt"]


def test_takes_given_parts_and_finds_files_on_both_sides(tmp_path: Path) -> None:
    homes = [tmp_path / part / label for part in ("Training", "Testing") for label in ("no", "yes")]
    for seed, (folder, index) in enumerate(itertools.product(homes, range(3))):
        write_image(folder / f"{index}.png", seed=seed)
    assert inspect(folders.list_slices(tmp_path)).problems == []
    shutil.copy(tmp_path / "Training" / "yes" / "0.png", tmp_path / "Testing" / "yes" / "copy.png")
    listing = folders.list_slices(tmp_path)
    assert set(listing.table["part"]) == {"train", "test"}
    assert any("identical files across train/, val/ and test/" in problem for problem in inspect(listing).problems)


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_takes_a_validation_folder(tmp_path: Path, name: str) -> None:
    for seed, (part, label) in enumerate(itertools.product(("train", name, "test"), ("no", "yes"))):
        write_image(tmp_path / part / label / "a.png", seed=seed)
    table = folders.list_slices(tmp_path).table
    assert sorted(table["part"]) == ["test"] * 2 + ["train"] * 2 + ["val"] * 2
    assert sorted(set(table["class"])) == ["no", "yes"]


def test_takes_folders_of_folds(tmp_path: Path) -> None:
    for seed, (fold, label) in enumerate(itertools.product(("fold1", "Fold_2", "fold-10"), ("no", "yes"))):
        write_image(tmp_path / fold / label / "a.png", seed=seed)
    table = folders.list_slices(tmp_path).table
    assert sorted(table["fold"]) == [1, 1, 2, 2, 10, 10]
    assert set(table["part"]) == {""}


@pytest.mark.parametrize(
    ("names", "pattern", "message"),
    [
        ([], None, "the folder is empty"),
        (["yes"], None, "1 class folder"),
        (["train/yes", "train/no"], None, "without its counterpart"),
        (["train/yes", "train/no", "val/yes", "val/no"], None, "without its counterpart"),
        (["yes", "no"], "(", "not a regular expression"),
    ],
)
def test_refuses_folders_that_cannot_be_used(tmp_path: Path, names: list[str], pattern: str, message: str) -> None:
    for name in names:
        write_image(tmp_path / name / "a.png")
    with pytest.raises(ValueError, match=message):
        folders.list_slices(tmp_path, pattern)


def test_refuses_a_missing_root(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        folders.list_slices(tmp_path / "nowhere")


def test_a_name_without_a_patient_is_a_problem(tmp_path: Path) -> None:
    write_image(tmp_path / "yes" / "p1_a.png")
    write_image(tmp_path / "no" / "odd.png")
    assert "finds no patient" in folders.list_slices(tmp_path, r"^p\d+").problems[0]


@pytest.mark.parametrize("layout", ["folders", "names"])
def test_takes_images_with_masks(tmp_path: Path, layout: str) -> None:
    names = {"folders": ("images/{}.png", "masks/{}.png"), "names": ("{}.jpg", "{}_mask.png")}[layout]
    for patient, number in itertools.product(("A", "B"), (2, 10)):
        image, mask = (tmp_path / name.format(f"{patient}_{number}") for name in names)
        write_image(image, seed=number + (patient == "A"))
        write_mask(mask, patient == "A")
    listing = folders.list_slices(tmp_path, r"^(.+?)_(?P<slice>\d+)")
    assert (listing.problems, listing.ignored) == ([], [])
    assert set(listing.table["class"]) == {""}
    assert set(zip(listing.table["case"], listing.table["slice"], strict=True)) == set(
        itertools.product(("A", "B"), (2, 10))
    )
    assert dict(zip(listing.table["path"], listing.table["mask"], strict=True)) == {
        names[0].format(name): names[1].format(name) for name in ("A_2", "A_10", "B_2", "B_10")
    }
    found = inspect(listing)
    assert (found.problems, found.facts["slices"][0]) == ([], "4")


def test_takes_masks_in_class_folders_of_given_parts(tmp_path: Path) -> None:
    for part, name in itertools.product(("train", "test"), ("glioma", "meningioma")):
        write_image(tmp_path / part / "images" / name / "a.png")
        write_mask(tmp_path / part / "masks" / name / "a_mask.png", True)
    table = folders.list_slices(tmp_path).table
    assert sorted(table["class"]) == ["glioma"] * 2 + ["meningioma"] * 2
    assert set(table["mask"]) == {
        f"{part}/masks/{name}/a_mask.png" for part in ("train", "test") for name in ("glioma", "meningioma")
    }


def test_names_images_and_masks_without_the_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / "images" / f"{name}.png")
    for name in ("b", "c"):
        write_mask(tmp_path / "masks" / f"{name}.png", True)
    problems = folders.list_slices(tmp_path).problems
    assert [problem.rpartition("/")[2] for problem in problems] == [
        "c.png: mask without image",
        "a.png: image without mask",
    ]
    # A folder without any mask has none to miss.
    for name in ("no/a.png", "yes/a.png"):
        write_image(tmp_path / "classes" / name)
    write_mask(tmp_path / "classes" / "yes" / "a_mask.png", True)
    listing = folders.list_slices(tmp_path / "classes")
    assert (listing.problems, sorted(listing.table["mask"])) == ([], ["", "yes/a_mask.png"])


def test_a_slice_that_is_no_number_is_refused(tmp_path: Path) -> None:
    for name in ("no/a_x.png", "yes/a_y.png"):
        write_image(tmp_path / name)
    with pytest.raises(ValueError, match="slice finds 'x', no number"):
        folders.list_slices(tmp_path, r"^(.+?)_(?P<slice>\w+)")
