"""Listing the LGG data set's layout, and what is wrong with it."""

import shutil
from pathlib import Path

import pytest

from brain_tumor.data.inspection import inspect
from brain_tumor.datasets import kaggle_3m
from tests.conftest import write_image


@pytest.fixture
def tree(phantoms: Path, tmp_path: Path) -> Path:
    """A copy of the phantoms to damage."""
    shutil.copytree(phantoms / "kaggle_3m", tmp_path / "kaggle_3m")
    return tmp_path


def _first_case(root: Path) -> Path:
    return min((root / "kaggle_3m").iterdir())


def test_lists_every_slice_once(phantoms: Path) -> None:
    listing = kaggle_3m.list_slices(phantoms)
    assert len(listing.table) == len(list(phantoms.glob("*/*/*_mask.tif")))
    assert listing.table["case"].nunique() == 6
    assert listing.problems == []
    # Slice 2 comes before slice 10.
    assert listing.table[listing.table["case"] == listing.table["case"][0]]["slice"].is_monotonic_increasing


def test_accepts_kaggle_3m_itself(phantoms: Path) -> None:
    assert kaggle_3m.list_slices(phantoms / "kaggle_3m").table.equals(kaggle_3m.list_slices(phantoms).table)


def test_counts_a_double_tree_once(tree: Path) -> None:
    shutil.copytree(tree / "kaggle_3m", tree / "lgg-mri-segmentation" / "kaggle_3m")
    listing = kaggle_3m.list_slices(tree)
    assert len(listing.table) == len(list((tree / "kaggle_3m").glob("*/*_mask.tif")))
    assert listing.copies == [tree / "lgg-mri-segmentation" / "kaggle_3m"]
    found = inspect(listing)
    assert found.problems == []
    assert "the same tree stands again" in found.text()


def test_names_unpaired_files(tree: Path) -> None:
    case = _first_case(tree)
    (case / f"{case.name}_3.tif").unlink()
    (case / f"{case.name}_5_mask.tif").unlink()
    problems = "\n".join(kaggle_3m.list_slices(tree).problems)
    assert f"{case.name}_3_mask.tif: mask without image" in problems
    assert f"{case.name}_5.tif: image without mask" in problems


def test_inspection_finds_each_defect(tree: Path) -> None:
    case = _first_case(tree)
    (case / f"{case.name}_1.tif").write_bytes(b"")
    write_image(case / f"{case.name}_2.tif", size=(100, 100))
    write_image(case / f"{case.name}_3_mask.tif", size=(256, 256), mode="L")
    shutil.copy(case / f"{case.name}_7.tif", case / f"{case.name}_8.tif")
    (case / "notes.txt").write_text("x")
    found = inspect(kaggle_3m.list_slices(tree))
    text = found.text()
    assert "the file is empty" in text
    assert "the mask is 256x256 pixels, its image 100x100" in text
    assert "a mask must have two values" in text
    assert f"identical files: {case.name}/{case.name}_7.tif, {case.name}/{case.name}_8.tif" in text
    assert "1 other file(s) ignored" in text
    assert text.endswith("NOT SOUND: 3 problem(s)")


def test_systems_leftovers_and_links(tree: Path, tmp_path: Path) -> None:
    case = _first_case(tree)
    whole = kaggle_3m.list_slices(tree).table
    for folder in (case / ".ipynb_checkpoints", tree / "kaggle_3m" / ".ipynb_checkpoints", tree / "kaggle_3m/@eaDir"):
        folder.mkdir()
        shutil.copy(case / f"{case.name}_1.tif", folder / f"{case.name}_1.tif")
        shutil.copy(case / f"{case.name}_1_mask.tif", folder / f"{case.name}_1_mask.tif")
    (case / f"._{case.name}_1.tif").write_bytes(b"Mac OS X")
    shutil.move(case, tmp_path / "store" / "somewhere" / case.name)
    case.symlink_to(tmp_path / "store" / "somewhere" / case.name)
    listing = kaggle_3m.list_slices(tree)
    assert listing.table.equals(whole)
    assert (listing.problems, listing.notes, listing.ignored) == ([], [], [])
    (case / f"{case.name}_1.tif").unlink()
    (case / f"{case.name}_1.tif").symlink_to(tmp_path / "annex")
    problems = kaggle_3m.list_slices(tree).problems
    assert [line.rpartition("/")[2] for line in problems] == [
        f"{case.name}_1.tif: a link to nothing; fetch what it stands for",
        f"{case.name}_1_mask.tif: mask without image",
    ]


def test_a_slice_of_another_patient_in_a_case_is_a_problem(tree: Path) -> None:
    case = _first_case(tree)
    for ending in ("", "_mask"):
        (case / f"{case.name}_3{ending}.tif").rename(case / f"OTHER_3{ending}.tif")
    (problem,) = kaggle_3m.list_slices(tree).problems
    assert problem.endswith(": slices of several cases in one folder; give each case its own")
    assert "OTHER_3.tif" in problem


def test_trees_that_are_no_copies_of_each_other_are_a_problem(tree: Path) -> None:
    shutil.copytree(_first_case(tree), tree / "one case")
    (problem,) = kaggle_3m.list_slices(tree).problems
    assert problem.startswith(f"{tree}/kaggle_3m: holds other slices than {tree}, which would be read alone")
