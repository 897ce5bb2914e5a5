"""verify finds pictures that are the same but for re-saving or re-scaling, and takes no neighbours for such."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brain_tumor.data import near_duplicates
from tests.conftest import Command


@pytest.fixture
def copied(phantoms: Path, tmp_path: Path) -> dict[str, str]:
    """Slices of the phantoms, of which every third that shows something stands again; where, by the original."""
    originals = sorted(path for path in phantoms.rglob("*.tif") if not path.stem.endswith("_mask"))
    copies = {}
    for number, path in enumerate(originals):
        folder = tmp_path / "mine" / ("yes" if number % 2 else "no")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.name)
        with Image.open(path) as image:
            if number % 3 or np.asarray(image).std() < 8:
                continue
            if number % 2:
                image.convert("RGB").save(folder / f"{path.stem}_copy.jpg")
            else:
                image.resize((image.width // 3, image.height // 3)).save(folder / f"{path.stem}_copy.png")
        copies[path.stem] = str(folder)
    return copies


def test_copies_are_noted_and_neighbours_are_not(copied: dict[str, str], command: Command, tmp_path: Path) -> None:
    output = command("verify", "data=folder", "data.root=mine", cwd=tmp_path).stdout
    pairs = [line for line in output.splitlines() if line.startswith("note: one picture, re-saved or re-scaled: ")]
    right = [line for line in pairs if any(f"{name}.tif" in line and f"{name}_copy." in line for name in copied)]
    assert len(copied) >= 10
    assert len(right) == len(pairs) >= 0.9 * len(copied)
    assert f"re-saved or re-scaled  {len(pairs)} pairs" in output


def test_a_copy_in_another_part_is_a_problem(copied: dict[str, str], command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine").rename(tmp_path / "train")
    for folder in ("yes", "no"):
        (tmp_path / "mine" / "test" / folder).mkdir(parents=True)
    (tmp_path / "train").rename(tmp_path / "mine" / "train")
    name, home = next(iter(copied.items()))
    (copy,) = (tmp_path / "mine" / "train" / Path(home).name).glob(f"{name}_copy.*")
    copy.rename(tmp_path / "mine" / "test" / Path(home).name / copy.name)
    other = next((tmp_path / "mine" / "train" / ("yes" if Path(home).name == "no" else "no")).glob("*_copy.*"))
    other.rename(tmp_path / "mine" / "test" / other.parent.name / other.name)
    refused = command("verify", "data=folder", "data.root=mine", cwd=tmp_path, check=False)
    assert refused.returncode == 1
    assert "problem: one picture, re-saved or re-scaled across train/, val/ and test/: " in refused.stdout
    assert f"{name}_copy" in refused.stdout


def test_a_picture_of_one_grey_or_alone_has_no_twin() -> None:
    assert near_duplicates.pairs(np.zeros((0, 64, 64), np.uint8)) == []
    assert near_duplicates.pairs(np.full((1, 64, 64), 7, np.uint8)) == []
    assert near_duplicates.pairs(np.full((3, 64, 64), 7, np.uint8)) == []


def test_a_set_of_three_is_found_whole() -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (4, 64, 64), dtype=np.uint8)
    again = np.concatenate([drawn, drawn[:1] // 2 + 60, drawn[:1] // 2 + 61])
    assert near_duplicates.pairs(again) == [(0, 4), (0, 5), (4, 5)]
