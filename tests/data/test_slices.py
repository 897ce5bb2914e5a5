"""Listing the two layouts, and what is wrong with them."""

import itertools
import shutil
from pathlib import Path

import pytest

from brain_tumor.data import slices
from brain_tumor.data.inspection import inspect
from tests.conftest import write_image, write_mask


@pytest.fixture
def tree(phantoms: Path, tmp_path: Path) -> Path:
    """A copy of the phantoms to damage."""
    shutil.copytree(phantoms / "kaggle_3m", tmp_path / "kaggle_3m")
    return tmp_path


def _first_case(root: Path) -> Path:
    return min((root / "kaggle_3m").iterdir())


def test_lists_every_slice_once(phantoms: Path) -> None:
    listing = slices.list_kaggle_3m(phantoms)
    assert len(listing.table) == len(list(phantoms.glob("*/*/*_mask.tif")))
    assert listing.table["case"].nunique() == 6
    assert listing.problems == []
    # Slice 2 comes before slice 10.
    assert listing.table[listing.table["case"] == listing.table["case"][0]]["slice"].is_monotonic_increasing


def test_accepts_kaggle_3m_itself(phantoms: Path) -> None:
    assert slices.list_kaggle_3m(phantoms / "kaggle_3m").table.equals(slices.list_kaggle_3m(phantoms).table)


def test_counts_a_double_tree_once(tree: Path) -> None:
    shutil.copytree(tree / "kaggle_3m", tree / "lgg-mri-segmentation" / "kaggle_3m")
    listing = slices.list_kaggle_3m(tree)
    assert len(listing.table) == len(list((tree / "kaggle_3m").glob("*/*_mask.tif")))
    assert listing.copies == [tree / "lgg-mri-segmentation" / "kaggle_3m"]
    found = inspect(listing)
    assert found.problems == []
    assert "the same tree stands again" in found.text()


def test_names_unpaired_files(tree: Path) -> None:
    case = _first_case(tree)
    (case / f"{case.name}_3.tif").unlink()
    (case / f"{case.name}_5_mask.tif").unlink()
    problems = "\n".join(slices.list_kaggle_3m(tree).problems)
    assert f"{case.name}_3_mask.tif: mask without image" in problems
    assert f"{case.name}_5.tif: image without mask" in problems


def test_inspection_finds_each_defect(tree: Path) -> None:
    case = _first_case(tree)
    (case / f"{case.name}_1.tif").write_bytes(b"")
    write_image(case / f"{case.name}_2.tif", size=(100, 100))
    write_image(case / f"{case.name}_3_mask.tif", size=(256, 256), mode="L")
    shutil.copy(case / f"{case.name}_7.tif", case / f"{case.name}_8.tif")
    (case / "notes.txt").write_text("x")
    found = inspect(slices.list_kaggle_3m(tree))
    text = found.text()
    assert "the file is empty" in text
    assert "the mask is 256x256 pixels, its image 100x100" in text
    assert "a mask must have two values" in text
    assert f"identical files: {case.name}/{case.name}_7.tif, {case.name}/{case.name}_8.tif" in text
    assert "1 other file(s) ignored" in text
    assert text.endswith("NOT SOUND: 3 problem(s)")


def test_lists_class_folders_of_any_name(tmp_path: Path) -> None:
    for index, name in enumerate(["Meningioma", "no tumour", "glioma"]):
        write_image(tmp_path / name / f"Case {index} a.PNG", seed=index)
        write_image(tmp_path / name / f"Case {index} b.Jpeg", seed=10 + index)
    (tmp_path / "glioma" / "Thumbs.db").write_bytes(b"x")
    listing = slices.list_folder(tmp_path, r"^(Case \d+)")
    assert sorted(listing.table["class"]) == ["Meningioma"] * 2 + ["glioma"] * 2 + ["no tumour"] * 2
    assert set(listing.table["case"]) == {"Case 0", "Case 1", "Case 2"}
    assert listing.ignored == ["glioma/Thumbs.db"]


def test_takes_given_parts_and_finds_files_on_both_sides(tmp_path: Path) -> None:
    folders = [tmp_path / part / label for part in ("Training", "Testing") for label in ("no", "yes")]
    for seed, (folder, index) in enumerate(itertools.product(folders, range(3))):
        write_image(folder / f"{index}.png", seed=seed)
    assert inspect(slices.list_folder(tmp_path)).problems == []
    shutil.copy(tmp_path / "Training" / "yes" / "0.png", tmp_path / "Testing" / "yes" / "copy.png")
    listing = slices.list_folder(tmp_path)
    assert set(listing.table["part"]) == {"train", "test"}
    assert any("identical files across train/, val/ and test/" in problem for problem in inspect(listing).problems)


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_takes_a_validation_folder(tmp_path: Path, name: str) -> None:
    for seed, (part, label) in enumerate(itertools.product(("train", name, "test"), ("no", "yes"))):
        write_image(tmp_path / part / label / "a.png", seed=seed)
    table = slices.list_folder(tmp_path).table
    assert sorted(table["part"]) == ["test"] * 2 + ["train"] * 2 + ["val"] * 2
    assert sorted(set(table["class"])) == ["no", "yes"]


def test_takes_folders_of_folds(tmp_path: Path) -> None:
    for seed, (fold, label) in enumerate(itertools.product(("fold1", "Fold_2", "fold-10"), ("no", "yes"))):
        write_image(tmp_path / fold / label / "a.png", seed=seed)
    table = slices.list_folder(tmp_path).table
    assert sorted(table["fold"]) == [1, 1, 2, 2, 10, 10]
    assert set(table["part"]) == {""}


@pytest.mark.parametrize(
    ("folders", "pattern", "message"),
    [
        ([], None, "the folder is empty"),
        (["yes"], None, "1 class folder"),
        (["train/yes", "train/no"], None, "without its counterpart"),
        (["train/yes", "train/no", "val/yes", "val/no"], None, "without its counterpart"),
        (["yes", "no"], "(", "not a regular expression"),
    ],
)
def test_refuses_folders_that_cannot_be_used(tmp_path: Path, folders: list[str], pattern: str, message: str) -> None:
    for folder in folders:
        write_image(tmp_path / folder / "a.png")
    with pytest.raises(ValueError, match=message):
        slices.list_folder(tmp_path, pattern)


def test_refuses_a_missing_root(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        slices.list_folder(tmp_path / "nowhere")


def test_a_name_without_a_patient_is_a_problem(tmp_path: Path) -> None:
    write_image(tmp_path / "yes" / "p1_a.png")
    write_image(tmp_path / "no" / "odd.png")
    assert "finds no patient" in slices.list_folder(tmp_path, r"^p\d+").problems[0]


@pytest.mark.parametrize("layout", ["folders", "names"])
def test_takes_images_with_masks(tmp_path: Path, layout: str) -> None:
    names = {"folders": ("images/{}.png", "masks/{}.png"), "names": ("{}.jpg", "{}_mask.png")}[layout]
    for patient, number in itertools.product(("A", "B"), (2, 10)):
        image, mask = (tmp_path / name.format(f"{patient}_{number}") for name in names)
        write_image(image, seed=number + (patient == "A"))
        write_mask(mask, patient == "A")
    listing = slices.list_folder(tmp_path, r"^(.+?)_(?P<slice>\d+)")
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
    table = slices.list_folder(tmp_path).table
    assert sorted(table["class"]) == ["glioma"] * 2 + ["meningioma"] * 2
    assert set(table["mask"]) == {
        f"{part}/masks/{name}/a_mask.png" for part in ("train", "test") for name in ("glioma", "meningioma")
    }


def test_names_images_and_masks_without_the_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / "images" / f"{name}.png")
    for name in ("b", "c"):
        write_mask(tmp_path / "masks" / f"{name}.png", True)
    problems = slices.list_folder(tmp_path).problems
    assert [problem.rpartition("/")[2] for problem in problems] == [
        "c.png: mask without image",
        "a.png: image without mask",
    ]
    # A folder without any mask has none to miss.
    for name in ("no/a.png", "yes/a.png"):
        write_image(tmp_path / "classes" / name)
    write_mask(tmp_path / "classes" / "yes" / "a_mask.png", True)
    listing = slices.list_folder(tmp_path / "classes")
    assert (listing.problems, sorted(listing.table["mask"])) == ([], ["", "yes/a_mask.png"])


def test_a_slice_that_is_no_number_is_refused(tmp_path: Path) -> None:
    for name in ("no/a_x.png", "yes/a_y.png"):
        write_image(tmp_path / name)
    with pytest.raises(ValueError, match="slice finds 'x', no number"):
        slices.list_folder(tmp_path, r"^(.+?)_(?P<slice>\w+)")
