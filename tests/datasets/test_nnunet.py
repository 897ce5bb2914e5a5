"""Data sets in nnU-Net's layout: what is listed, what is cut, and every fault of a broken one in one pass."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from brain_tumor.data import inspection
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets import nnunet_files, phantom3d
from brain_tumor.datasets.base import Listing
from brain_tumor.datasets.nnunet import Nnunet
from brain_tumor.datasets.phantom3d import LABELS, REGIONS, SEQUENCES
from brain_tumor.scans import nifti
from tests.conftest import Command, data_of

SHAPE = (24, 20, 16)
CASES = 18


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound data set; not to be changed."""
    folder = tmp_path_factory.mktemp("sound") / "Dataset001_SOUND"
    for number in range(CASES):
        phantom3d.write_case(folder, 0, SHAPE, number, held_out=False)
    nnunet_files.write_description(folder, SEQUENCES, REGIONS, CASES, "sound", "")
    return folder


def _case(number: int) -> str:
    return f"PHANTOM_{number:03d}"


def _image(root: Path, number: int, channel: int = 0) -> Path:
    return root / "imagesTr" / f"{_case(number)}_{channel:04d}.nii.gz"


def _label(root: Path, number: int) -> Path:
    return root / "labelsTr" / f"{_case(number)}.nii.gz"


def _rewrite(
    path: Path, change: Callable[[np.ndarray[Any, Any]], Any] = lambda values: values, shift: float = 0
) -> None:
    """Write a volume again with other voxels, or moved by some millimetres."""
    image: Any = nibabel.load(path)
    affine = image.affine.copy()
    affine[0, 3] += shift
    nibabel.save(nibabel.Nifti1Image(change(np.asarray(image.dataobj)), affine), path)  # type: ignore[no-untyped-call]


def _describe(root: Path, **changes: Any) -> None:
    path = root / "dataset.json"
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def _with_label(values: np.ndarray[Any, Any], label: float) -> np.ndarray[Any, Any]:
    changed = values.astype(np.float32 if label % 1 else values.dtype)
    changed[3, 3, 3] = label
    return changed


def _with_nan(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return _with_label(values.astype(np.float32), np.nan)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _held_out(root: Path, number: int) -> None:
    (root / "imagesTs").mkdir()
    shutil.copy(_image(root, number), root / "imagesTs")


# Faults of single cases, each with the line that `verify` says; all of them can stand in one data set.
Break = Callable[[Path], object]
Turn = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]
FAULTS: dict[str, tuple[Break, str]] = {
    "missing channel": (lambda root: _image(root, 0, 2).unlink(), r"PHANTOM_000_0002.nii.gz: missing, a channel"),
    "one channel more": (
        lambda root: shutil.copy(_image(root, 1), _image(root, 1, 4)), r"PHANTOM_001_0004.nii.gz: is more than the 4"
    ),
    "shifted channel": (
        lambda root: _rewrite(_image(root, 2, 3), shift=2), r"PHANTOM_002_0003.nii.gz: its affine puts it elsewhere"
    ),
    "shifted labels": (
        lambda root: _rewrite(_label(root, 3), shift=2), r"labelsTr/PHANTOM_003.nii.gz: its affine puts it elsewhere"
    ),
    "other shape": (
        lambda root: _rewrite(_image(root, 4, 1), lambda values: values[:-1]),
        r"PHANTOM_004_0001.nii.gz: has 23 x 20 x 16 voxels, PHANTOM_004_0000.nii.gz has 24 x 20 x 16",
    ),
    "label 7": (
        lambda root: _rewrite(_label(root, 5), lambda values: _with_label(values, 7)),
        r"PHANTOM_005.nii.gz: has the label 7 \(1 voxels\)",
    ),
    "label 1.5": (
        lambda root: _rewrite(_label(root, 6), lambda values: _with_label(values, 1.5)), r"has the label 1.5"
    ),
    "empty labels": (
        lambda root: _rewrite(_label(root, 7), np.zeros_like), r"PHANTOM_007: its labels are empty"
    ),
    "not a number": (lambda root: _rewrite(_image(root, 8, 1), _with_nan), r"PHANTOM_008_0001.nii.gz: has voxels that"),
    "cut short": (lambda root: _cut(_image(root, 9, 2)), r"PHANTOM_009_0002.nii.gz: not a readable NIfTI"),
    "empty file": (lambda root: _label(root, 10).write_bytes(b""), r"PHANTOM_010.nii.gz: not a readable NIfTI"),
    "wrong ending": (
        lambda root: _image(root, 11, 0).rename(root / "imagesTr" / "PHANTOM_011_0000.mha"),
        r"PHANTOM_011_0000.mha: does not end in .nii.gz",
    ),
    "no labels": (lambda root: _label(root, 12).unlink(), r"PHANTOM_012.nii.gz: missing, the labels of"),
    "no images": (
        lambda root: shutil.copy(_label(root, 13), root / "labelsTr" / "OTHER.nii.gz"),
        r"OTHER.nii.gz: labels without images",
    ),
    "in both parts": (lambda root: _held_out(root, 14), r"imagesTs: PHANTOM_014 is in imagesTr, too"),
    "channels disagree": (
        lambda root: _rewrite(_image(root, 15), lambda values: np.stack([values, values], -1)),
        r"PHANTOM_015_0000.nii.gz: has 5 channel\(s\), dataset.json declares 4",
    ),
    "labels of two channels": (
        lambda root: _rewrite(_label(root, 16), lambda values: np.stack([values, values], -1)),
        r"PHANTOM_016.nii.gz: has 2 channels; labels have one",
    ),
    "unknown case in a fold": (
        lambda root: (root / "splits_final.json").write_text(json.dumps([{"train": [_case(0)], "val": ["NOBODY"]}])),
        r"splits_final.json: fold 0 names NOBODY, which is no case",
    ),
    "another count": (lambda root: _describe(root, numTraining=99), r"numTraining is 99; imagesTr has 18 cases"),
    "fold with a case twice": (
        lambda root: (root / "splits_final.json").write_text(
            json.dumps([{"train": [_case(1), _case(2)], "val": ["NOBODY", _case(2)]}])
        ),
        r"splits_final.json: fold 0 has PHANTOM_002 in train and in val",
    ),
}  # fmt: skip
# Without what these lack nothing can be read, so that each is the only line.
FATAL: dict[str, tuple[Break, str]] = {
    "no dataset.json": (lambda root: (root / "dataset.json").unlink(), "has no dataset.json"),
    "damaged dataset.json": (lambda root: (root / "dataset.json").write_text("{"), "dataset.json: damaged"),
    "no channels": (lambda root: _describe(root, channel_names=None), "names no channels"),
    "unread ending": (lambda root: _describe(root, file_ending=".mha"), "file_ending .mha; only"),
    "no folder": (lambda root: shutil.rmtree(root / "imagesTr"), "has no imagesTr"),
}


def _open(root: Path, cache: Path, **settings: Any) -> Any:
    return data_of(Nnunet, transforms=Transforms(), root=str(root), cache_dir=str(cache), **settings)


def _lines(root: Path, cache: Path) -> list[str]:
    """Return what `verify` says is wrong, or worth knowing."""
    dataset = _open(root, cache).dataset
    listing: Listing = dataset.listing()
    report = inspection.inspect(listing)
    return [*report.problems, *dataset.remarks(listing).problems, *report.notes]


@pytest.mark.parametrize("name", FATAL)
def test_what_makes_reading_impossible_is_one_line(name: str, sound: Path, tmp_path: Path) -> None:
    broken = tmp_path / "Dataset002_BROKEN"
    shutil.copytree(sound, broken)
    FATAL[name][0](broken)
    with pytest.raises(ValueError, match=re.escape(FATAL[name][1])):
        _open(broken, tmp_path).dataset.listing()


def test_verify_names_every_fault_in_one_pass(sound: Path, tmp_path: Path, command: Command) -> None:
    broken = tmp_path / "Dataset002_BROKEN"
    shutil.copytree(sound, broken)
    for breaking, _ in FAULTS.values():
        breaking(broken)
    finished = command("verify", "data=nnunet", f"data.root={broken}", cwd=tmp_path, check=False)
    assert finished.returncode == 1
    for name, (_, line) in FAULTS.items():
        assert len(re.findall(line, finished.stdout)) == 1, (name, finished.stdout)
    said = re.findall("^(problem|note): ", finished.stdout, re.MULTILINE)
    # Besides, it is worth knowing that there are held-out cases, and what the fold's parts are.
    assert len(said) == len(FAULTS) + 2, finished.stdout


def test_without_declared_labels_the_rest_is_still_checked(sound: Path, tmp_path: Path) -> None:
    broken = tmp_path / "Dataset002_BROKEN"
    shutil.copytree(sound, broken)
    _describe(broken, labels={"tumour": [1, 2, 3]})
    _rewrite(_image(broken, 2, 3), shift=2)
    said = _lines(broken, tmp_path)
    assert [bool(re.search("needs one label of the value 0|its affine puts it elsewhere", line)) for line in said] == [
        True
    ] * 2


def test_a_sound_one_is_sound(sound: Path, tmp_path: Path) -> None:
    assert _lines(sound, tmp_path) == []


def test_slices_are_those_of_the_volume(sound: Path, tmp_path: Path) -> None:
    """Grey levels by the 99.5th percentile of each sequence's volume, labels as they are, in every plane."""
    drawn = [nibabel.load(_image(sound, 0, channel)).get_fdata() for channel in range(4)]  # type: ignore[attr-defined]
    labels = nibabel.load(_label(sound, 0)).get_fdata()  # type: ignore[attr-defined]
    planes: dict[str, Turn] = {
        "axial": lambda v: v.transpose(2, 1, 0),
        "coronal": lambda v: v.transpose(1, 2, 0)[::-1, ::-1],
        "sagittal": lambda v: v.transpose(0, 2, 1)[::-1, ::-1],
    }
    for plane, turn in planes.items():
        listing = _open(sound, tmp_path, plane=plane).dataset.listing()
        contents = listing.stacks[0].read()
        assert listing.table["slice"][: len(contents)].tolist() == list(range(len(contents)))
        for channel, values in enumerate(drawn):
            scaled = (values * (255 / np.percentile(values[values > 0], 99.5))).clip(0, 255).round()
            expected = turn(scaled)
            if plane == "axial":
                np.testing.assert_allclose(np.stack([c.image[..., channel] for c in contents]), expected, atol=1)
        if plane == "axial":
            np.testing.assert_array_equal(np.stack([c.mask for c in contents]), turn(labels))
        else:  # pixels of 1 x 9.7 mm are made square
            assert contents[0].image.shape[0] == round(16 * 155 / 16)
            middle = np.stack([c.mask for c in contents])[:, 4::10][:, :15]
            assert (middle == turn(labels)[:, :15]).mean() > 0.97


def test_tumour_slices_and_every_nth(sound: Path, tmp_path: Path) -> None:
    whole = _open(sound, tmp_path).dataset.listing()
    masks = {s.name: np.asarray(np.stack([c.mask for c in s.read()]).any((1, 2))) for s in whole.stacks}
    selections: list[tuple[dict[str, Any], Turn]] = [
        ({"slices": "tumour"}, lambda shown: np.flatnonzero(shown)),
        ({"slices": "tumour", "every": 2}, lambda shown: np.flatnonzero(shown)[::2]),
        ({"every": 3}, lambda shown: np.arange(len(shown))[::3]),
    ]
    for settings, chosen in selections:
        listing = _open(sound, tmp_path, **settings).dataset.listing()
        for name, numbers in listing.table.groupby("case")["slice"]:
            assert numbers.tolist() == chosen(masks[str(name)]).tolist()
        assert sum(stack.count for stack in listing.stacks) == len(listing.table)
    data = _open(sound, tmp_path, slices="tumour", intensities="volume")
    data.transforms.normalize = True
    with pytest.raises(ValueError, match="measures whole volumes"):
        data.setup()


def test_msd_and_pictures_are_read_likewise(sound: Path, tmp_path: Path) -> None:
    """One 4-D file a case with its older dataset.json, and pictures of grey levels."""
    msd, flat = tmp_path / "Task01_X", tmp_path / "Dataset003_FLAT"
    for root in (msd, flat):
        (root / "imagesTr").mkdir(parents=True)
        (root / "labelsTr").mkdir()
    for number in range(3):
        channels = [nibabel.load(_image(sound, number, c)) for c in range(4)]
        stacked = np.stack([np.asarray(c.dataobj) for c in channels], -1)  # type: ignore[attr-defined]
        image = nibabel.Nifti1Image(stacked, channels[0].affine)  # type: ignore[attr-defined, no-untyped-call]
        nibabel.save(image, msd / "imagesTr" / f"{_case(number)}.nii.gz")
        shutil.copy(_label(sound, number), msd / "labelsTr")
        middle = np.asarray(nibabel.load(_label(sound, number)).dataobj)[..., 9]  # type: ignore[attr-defined]
        for channel in range(2):
            levels = (stacked[..., 9, channel] / 8).clip(0, 255).astype(np.uint8)
            Image.fromarray(levels).save(flat / "imagesTr" / f"C{number}_{channel:04d}.png")
        Image.fromarray(middle.astype(np.uint8)).save(flat / "labelsTr" / f"C{number}.png")
    labels = {"0": "background", **{str(value): name for name, value in LABELS.items()}}
    modality = {"0": "T1w", "1": "t1gd", "2": "T2w", "3": "FLAIR"}
    (msd / "dataset.json").write_text(json.dumps({"modality": modality, "labels": labels, "numTraining": 3}))
    named = {"background": 0, **LABELS}
    description = {"channel_names": {"0": "T1w", "1": "T1gd"}, "labels": named, "file_ending": ".png", "numTraining": 3}
    (flat / "dataset.json").write_text(json.dumps(description))

    dataset = _open(msd, tmp_path).dataset
    listing, expected = dataset.listing(), _open(sound, tmp_path).dataset.listing()
    assert listing.problems == []
    assert dataset.sequences == ("t1", "t1ce", "t2", "flair")
    assert listing.regions.exclusive
    for one, other in zip(listing.stacks[1].read(), expected.stacks[1].read(), strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.mask, other.mask)

    pictures = _open(flat, tmp_path).dataset.listing()
    assert pictures.problems == []
    assert (pictures.channels, len(pictures.table)) == (2, 3)
    (content,) = pictures.stacks[0].read()
    np.testing.assert_array_equal(content.image[..., 0], np.asarray(Image.open(flat / "imagesTr" / "C0_0000.png")))
    assert set(np.unique(content.mask)) <= {0, 1, 2, 3}


def test_labels_and_folds_survive_the_cache(sound: Path, tmp_path: Path) -> None:
    root = tmp_path / "Dataset004_FOLDS"
    shutil.copytree(sound, root)
    names = [_case(number) for number in range(CASES)]
    folds = [{"train": [n for n in names if n not in names[f::3]], "val": names[f::3]} for f in range(3)]
    (root / "splits_final.json").write_text(json.dumps(folds))
    data = _open(root, tmp_path, split="given", fold=1, size=32)
    data.setup()
    tested = data.table.iloc[data.rows["test"]]
    assert sorted(set(tested["case"])) == names[1::3]
    row = int(tested.index[8])
    labels, _ = nifti.read_labels(_label(root, 1))
    np.testing.assert_array_equal(data.decoded.original_labels(row), labels[..., 8].T)
    np.testing.assert_array_equal(data.decoded.original_mask(row), (labels[..., 8].T > 0))
    assert data.table["positive"].iloc[row] == bool((labels[..., 8] > 0).any())
    other = _open(root, tmp_path, split="given", fold=1, size=32, regions={"core": ["label 1", "enhancing"]})
    other.setup()
    assert other.decoded.key == data.decoded.key  # regions decode nothing anew
    np.testing.assert_array_equal(other.decoded.original_mask(row), np.isin(labels[..., 8].T, (1, 3)))
