"""Listing a folder of one's own, and what is wrong with it."""

import itertools
import os
import shutil
from pathlib import Path

import pytest

from brain_tumor.data.inspection import inspect
from brain_tumor.datasets.folder import list_slices
from brain_tumor.io import walk
from brain_tumor.scans.images import IMAGE_SUFFIXES
from tests.conftest import write_image, write_mask


def test_lists_class_folders_of_any_name(tmp_path: Path) -> None:
    for index, name in enumerate(["Meningioma", "no tumour", "glioma"]):
        write_image(tmp_path / name / f"Case {index} a.PNG", seed=index)
        write_image(tmp_path / name / f"Case {index} b.Jpeg", seed=10 + index)
    for name in ("Thumbs.db", "notes.txt"):
        (tmp_path / "glioma" / name).write_bytes(b"x")
    listing = list_slices(tmp_path, r"^(Case \d+)")
    assert sorted(listing.table["class"]) == ["Meningioma"] * 2 + ["glioma"] * 2 + ["no tumour"] * 2
    assert set(listing.table["case"]) == {"Case 0", "Case 1", "Case 2"}
    assert listing.ignored == ["glioma/notes.txt"]


def test_takes_given_parts_and_finds_files_on_both_sides(tmp_path: Path) -> None:
    homes = [tmp_path / part / label for part in ("Training", "Testing") for label in ("no", "yes")]
    for seed, (folder, index) in enumerate(itertools.product(homes, range(3))):
        write_image(folder / f"{index}.png", seed=seed)
    assert inspect(list_slices(tmp_path)).problems == []
    shutil.copy(tmp_path / "Training" / "yes" / "0.png", tmp_path / "Testing" / "yes" / "copy.png")
    listing = list_slices(tmp_path)
    assert set(listing.table["part"]) == {"train", "test"}
    assert any("identical files across train/, val/ and test/" in problem for problem in inspect(listing).problems)


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_takes_a_validation_folder(tmp_path: Path, name: str) -> None:
    for seed, (part, label) in enumerate(itertools.product(("train", name, "test"), ("no", "yes"))):
        write_image(tmp_path / part / label / "a.png", seed=seed)
    table = list_slices(tmp_path).table
    assert sorted(table["part"]) == ["test"] * 2 + ["train"] * 2 + ["val"] * 2
    assert sorted(set(table["class"])) == ["no", "yes"]


def test_takes_folders_of_folds(tmp_path: Path) -> None:
    for seed, (fold, label) in enumerate(itertools.product(("fold1", "Fold_2", "fold-10"), ("no", "yes"))):
        write_image(tmp_path / fold / label / "a.png", seed=seed)
    table = list_slices(tmp_path).table
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
        list_slices(tmp_path, pattern)


def test_refuses_a_missing_root(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        list_slices(tmp_path / "nowhere")


def test_a_name_without_a_patient_is_a_problem(tmp_path: Path) -> None:
    write_image(tmp_path / "yes" / "p1_a.png")
    write_image(tmp_path / "no" / "odd.png")
    assert "finds no patient" in list_slices(tmp_path, r"^p\d+").problems[0]


@pytest.mark.parametrize("layout", ["folders", "names"])
def test_takes_images_with_masks(tmp_path: Path, layout: str) -> None:
    names = {"folders": ("images/{}.png", "masks/{}.png"), "names": ("{}.jpg", "{}_mask.png")}[layout]
    for patient, number in itertools.product(("A", "B"), (2, 10)):
        image, mask = (tmp_path / name.format(f"{patient}_{number}") for name in names)
        write_image(image, seed=number + (patient == "A"))
        write_mask(mask, patient == "A")
    listing = list_slices(tmp_path, r"^(.+?)_(?P<slice>\d+)")
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
    table = list_slices(tmp_path).table
    assert sorted(table["class"]) == ["glioma"] * 2 + ["meningioma"] * 2
    assert set(table["mask"]) == {
        f"{part}/masks/{name}/a_mask.png" for part in ("train", "test") for name in ("glioma", "meningioma")
    }


def test_names_images_and_masks_without_the_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / "images" / f"{name}.png")
    for name in ("b", "c"):
        write_mask(tmp_path / "masks" / f"{name}.png", True)
    problems = list_slices(tmp_path).problems
    assert [problem.rpartition("/")[2] for problem in problems] == [
        "c.png: mask without image",
        "a.png: image without mask",
    ]
    # A folder without any mask has none to miss.
    for name in ("no/a.png", "yes/a.png"):
        write_image(tmp_path / "classes" / name)
    write_mask(tmp_path / "classes" / "yes" / "a_mask.png", True)
    listing = list_slices(tmp_path / "classes")
    assert (listing.problems, sorted(listing.table["mask"])) == ([], ["", "yes/a_mask.png"])


def test_a_slice_that_is_no_number_is_refused(tmp_path: Path) -> None:
    for name in ("no/a_x.png", "yes/a_y.png"):
        write_image(tmp_path / name)
    with pytest.raises(ValueError, match="slice finds 'x', no number"):
        list_slices(tmp_path, r"^(.+?)_(?P<slice>\w+)")


def _classes(root: Path, *more: str) -> None:
    """Write a/ and b/ with two images each, and further files: images, masks or others by their names."""
    for seed, name in enumerate(["a/1.png", "a/2.png", "b/1.png", "b/2.png", *more]):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix not in IMAGE_SUFFIXES:
            path.write_bytes(b"x")
        elif "mask" in name:
            write_mask(path, True)
        else:
            write_image(path, seed=seed)


@pytest.mark.parametrize(
    "leftover",
    [
        "a/.ipynb_checkpoints/1-checkpoint.png", ".ipynb_checkpoints/1.png", "a/@eaDir/1.png/SYNOPHOTO_THUMB_M.png",
        "a/._1.png", "__MACOSX/a/._1.png", "__MACOSX/a/1.png", "a/deep/.hidden/1.png", "$RECYCLE.BIN/1.png",
    ],
)  # fmt: skip
def test_systems_leftovers_are_neither_images_nor_classes(tmp_path: Path, leftover: str) -> None:
    _classes(tmp_path, leftover)
    listing = list_slices(tmp_path)
    assert listing.table["path"].tolist() == ["a/1.png", "a/2.png", "b/1.png", "b/2.png"]
    assert (listing.problems, listing.notes, listing.ignored) == ([], [], [])


def test_our_results_are_no_class(tmp_path: Path) -> None:
    _classes(tmp_path)
    write_image(walk.make_results_folder(tmp_path / "outputs") / "run" / "picture.png")
    listing = list_slices(tmp_path)
    assert sorted(set(listing.table["class"])) == ["a", "b"]
    assert listing.problems == []
    assert listing.notes == [f"{tmp_path}/outputs: results of brain_tumor, which are no input; it is not counted"]
    with pytest.raises(ValueError, match=r"data\.root=.*outputs: results of brain_tumor"):
        list_slices(tmp_path / "outputs")


def test_links_are_followed_once_and_links_to_nothing_are_missing_files(tmp_path: Path) -> None:
    root, store = tmp_path / "root", tmp_path / "store"
    _classes(root)
    write_image(store / "more" / "3.png", seed=7)
    (root / "a" / "more").symlink_to(store / "more")
    (root / "c").symlink_to(root / "b")
    listing = list_slices(root)
    assert listing.table["path"].tolist() == ["a/1.png", "a/2.png", "a/more/3.png", "b/1.png", "b/2.png"]
    assert listing.problems == []
    assert [note.rpartition("/")[2] for note in listing.notes] == ["b; it is not counted"]
    for name in ("4.png", "5.png"):
        (root / "b" / name).symlink_to(store / "annex" / name)
    assert list_slices(root).problems == [f"{root}/b/4.png (and 1 more): a link to nothing; fetch what it stands for"]


def test_a_name_that_is_no_text_is_a_problem(tmp_path: Path) -> None:
    _classes(tmp_path)
    odd = os.fsdecode(b"caf\xe9")
    try:
        (tmp_path / "a" / "1.png").rename(tmp_path / "a" / f"{odd}.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    listing = list_slices(tmp_path)
    assert listing.table["path"].tolist() == ["a/2.png", "b/1.png", "b/2.png"]
    (problem,) = listing.problems
    assert problem.startswith(f"{tmp_path}/a/caf\\xe9.png: the name is not UTF-8")
    (tmp_path / odd).mkdir()
    with pytest.raises(ValueError, match=r"caf\\xe9: the name is not UTF-8"):
        list_slices(tmp_path / odd)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["top/a/1.png", "top/b/1.png"], "top/: holds a/, b/ again, which are classes beside it"),
        (["A/1.png"], "A/ and a/: two classes by upper and lower case, blanks or underscores only"),
        (["no tumour/1.png", "no_tumour/1.png"], "no tumour/ and no_tumour/: two classes by"),
        (["masks/1.png"], "masks/: no class by its name"),
        (["labels/1.png"], "labels/: no class by its name"),
        (["train_images/1.png"], "train_images/: no class by its name. Call it train/"),
        (["a/train/1.png", "a/test/1.png"], "a/: holds test/, train/; turn it round"),
        (["a/fold1/1.png"], "a/: holds fold1/; turn it round"),
        (["a/images/1.png", "a/masks/1.png"], "a/: holds masks/; give masks/a/ and images/a/ instead"),
        (["a/1_seg.png", "b/label-2.png"], "a/1_seg (and 1 more): called as the mask of another image there"),
        (["set1/yes/1.png", "set1/no/1.png"], "set1/: holds no/, yes/, which look like the classes"),
        (["3.png", "4.png"], "3.png (and 1 more): in no class folder"),
        (["a/3.webp", "b/3.dcm"], "a/3.webp (and 1 more): only .bmp .jpeg .jpg .png .tif .tiff are read"),
        (["a/3.nii.gz"], "a/3.nii.gz: only"),
    ],
)
def test_folders_that_mean_something_else(tmp_path: Path, more: list[str], problem: str) -> None:
    _classes(tmp_path, *more)
    found = [line.removeprefix(f"{tmp_path}/") for line in list_slices(tmp_path).problems]
    assert len(found) == 1
    assert found[0].startswith(problem)


@pytest.mark.parametrize(
    "more",
    [
        ["readme.txt", "a/axial/1.png", "b/axial/1.png"],
        ["HER2+/1.png", "HER2-/1.png"],
        ["a/7_seg.png", "b/roi.png"],
        ["a/1.PNG.png", "a/2.png.PNG"],
        ["pred.nii.gz"],
    ],
)
def test_what_is_unusual_but_right(tmp_path: Path, more: list[str]) -> None:
    _classes(tmp_path, *more)
    listing = list_slices(tmp_path)
    assert listing.problems == []
    assert len(listing.table) == 4 + sum(Path(name).suffix.lower() == ".png" for name in more)


def test_images_outside_of_the_layout_are_named(tmp_path: Path) -> None:
    for part in ("TRAIN", "Test"):
        _classes(tmp_path / part)
    write_image(tmp_path / "later" / "1.png")
    listing = list_slices(tmp_path)
    assert set(zip(listing.table["path"], listing.table["part"], strict=True)) >= {
        ("TRAIN/a/1.png", "train"), ("Test/a/1.png", "test")
    }  # fmt: skip
    assert listing.problems == []
    assert listing.notes == [f"{tmp_path}/later/1.png: outside of the layout, not used"]
    write_image(tmp_path / "Test" / "3.png")
    assert list_slices(tmp_path).problems == [f"{tmp_path}/Test/3.png: in no class folder. Move it into one, or away"]


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["images/1.png", "masks/1.png", "masks/1.tif"], "masks/1.png and {}/masks/1.tif: several masks for one image"),
        (
            ["images/1.png", "masks/1.png", "masks/1_mask.png"],
            "masks/1.png and {}/masks/1_mask.png: several masks for one",
        ),
        (["images/1.png", "images/1.tif", "masks/1.png"], "images/1.png and {}/images/1.tif: images for the one mask"),
        (["images/A1.png", "masks/a1.png"], "masks/a1.png: mask without image; {}/images/A1.png differs in upper"),
        (["images/a/1.png", "masks/a/1.png", "masks/b/1.png"], "masks/b/1.png: mask without image"),
        (["images/1.png", "images/a/1.png", "masks/1.png", "masks/a/1.png"], "images/1.png: in no class folder"),
        (["1.png", "1_mask.png", "1_MASK.tif"], "1_MASK.tif and {}/1_mask.png: several masks for one image"),
        (["1.png", "1.tif", "1_mask.png"], "1.png and {}/1.tif: images for the one mask"),
        (["1.png", "1_mask.png", "_mask.png"], "_mask.png: mask without image"),
    ],
)
def test_pairs_that_are_not_one_to_one(tmp_path: Path, names: list[str], problem: str) -> None:
    for seed, name in enumerate(["images/0.png", "masks/0.png"] if "/" in names[0] else ["0.png", "0_mask.png"]):
        write_image(tmp_path / name.replace("0", "a/0" if "images/a/1.png" in names else "0"), seed=seed)
    for name in names:
        write_image(tmp_path / name)
    problems = [line.removeprefix(f"{tmp_path}/") for line in list_slices(tmp_path).problems]
    assert problems[0].startswith(problem.format(tmp_path))
    assert len(problems) == 1 + ("a1" in problem)  # of the last pair, either side is named


def test_folders_of_images_and_masks_in_upper_case(tmp_path: Path) -> None:
    for name in ("Images/1.png", "Masks/1.png"):
        write_image(tmp_path / name)
    table = list_slices(tmp_path).table
    assert table[["path", "mask", "class"]].to_numpy().tolist() == [["Images/1.png", "Masks/1.png", ""]]
    write_image(tmp_path / "images" / "2.png")
    with pytest.raises(ValueError, match="holds Images/, images/, which mean the same"):
        list_slices(tmp_path)


def test_the_patient_is_another_group_than_the_slice(tmp_path: Path) -> None:
    for name in ("a/7_anna.png", "b/8_.png"):
        write_image(tmp_path / name)
    listing = list_slices(tmp_path, r"^(?P<slice>\d+)_(\w*)")
    assert listing.table[["case", "slice"]].to_numpy().tolist() == [["anna", 7], ["", 8]]
    assert [problem.rpartition("finds")[2] for problem in listing.problems] == [" no patient in this name"]
    with pytest.raises(ValueError, match="finds a slice, and no patient; add a group"):
        list_slices(tmp_path, r"^(?P<slice>\d+)_")
